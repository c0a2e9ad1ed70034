"""What the market's own staff do to listings without a review: they are the reviewers."""

from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts.services import Actor, record_audit
from marketplace.catalog.models import Provider, Service, ServiceStatus
from marketplace.catalog.services.checks import (
    EndpointNeedsCredential,
    ServiceRetired,
    announce_change,
    audit_service,
    rejected,
    require_endpoint,
    require_fields,
)
from marketplace.catalog.services.snapshots import lock_service


def connect_service(
    *,
    service: Service,
    endpoint_url: str,
    upstream_model: str,
    credential: str = "",
    actor: Actor,
    now: datetime,
) -> Service:
    """Put an endpoint behind a listing (or take it away: empty); a sample is none any more.

    An empty ``credential`` keeps the present one, but only for the present endpoint. The address
    may be on the operator's own network; ``OUTBOUND_ALLOWED_PRIVATE`` decides at each call.
    Raises ``ListingRejected``, ``EndpointNeedsCredential``, ``ServiceRetired``.
    """
    with transaction.atomic():
        current = lock_service(service)
        before = current.endpoint_url
        if current.status == ServiceStatus.RETIRED:
            raise ServiceRetired(_("This service is retired; list a new one instead."))
        if endpoint_url and endpoint_url != before and current.credential and not credential:
            raise EndpointNeedsCredential(
                _("Enter the credential of the new endpoint; the old one is not sent elsewhere."),
                data={"fields": {"credential": [str(_("Enter the credential again."))]}},
            )
        current.endpoint_url = endpoint_url
        current.upstream_model = upstream_model
        current.credential = (credential or current.credential) if endpoint_url else ""
        current.is_sample = current.is_sample and not endpoint_url
        require_endpoint(endpoint_url, private_allowed=True)
        require_fields(current, exclude=("supported_parameters",))
        current.save(update_fields=["endpoint_url", "upstream_model", "credential", "is_sample"])
        audit_service(
            current,
            "service.connected" if endpoint_url else "service.disconnected",
            actor=actor,
            now=now,
            before={"endpoint_url": before},
            after={"endpoint_url": endpoint_url, "credential": bool(current.credential)},
        )
        announce_change()
    service.refresh_from_db()
    return service


def set_commission(
    *, provider: Provider, commission_basis_points: int, actor: Actor, now: datetime
) -> Provider:
    """The market's share of the provider's calls from now on; past calls keep theirs."""
    if not 0 <= commission_basis_points <= 10_000:
        raise rejected({"commission_basis_points": [_("Enter a share from 0 to 10,000.")]})
    with transaction.atomic():
        current = Provider.objects.select_for_update().get(pk=provider.pk)
        before, current.commission_basis_points = (
            current.commission_basis_points,
            commission_basis_points,
        )
        current.save(update_fields=["commission_basis_points"])
        record_audit(
            organisation=current.organisation,
            actor=actor,
            action="provider.commission_changed",
            target_id=current.public_id,
            target_label=current.name,
            before={"commission_basis_points": before},
            after={"commission_basis_points": commission_basis_points},
            now=now,
        )
        announce_change()
    provider.refresh_from_db()
    return provider
