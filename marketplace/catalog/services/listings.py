"""Drafting and changing listings.

A draft is changed freely. On a live or paused service some fields are free (how it is described)
and some are *reviewed*: what the market vouched for when it approved the listing. A reviewed
change waits in a ``ServiceReview`` and comes into force with its approval, while the service goes
on under the terms that tenants know.
"""

from collections.abc import Mapping, Sequence
from copy import copy
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.text import slugify
from django.utils.translation import gettext_lazy as _

from accounts.services import SYSTEM_ACTOR, Actor
from marketplace.catalog import vocabulary
from marketplace.catalog.models import (
    AIModel,
    CutStreamBilling,
    Provider,
    Service,
    ServiceReview,
    ServiceStatus,
)
from marketplace.catalog.services.checks import (
    EndpointNeedsCredential,
    ServiceRetired,
    announce_change,
    audit_service,
    rejected,
    require_endpoint,
    require_fields,
)
from marketplace.catalog.services.search_index import refresh_search_text
from marketplace.catalog.services.snapshots import lock_service, snapshot_of
from portal.kernel.errors import Conflict

FREE_FIELDS = frozenset(
    {
        "summary_en", "summary_zh", "supported_parameters", "max_output_tokens",
        "requests_per_minute", "tokens_per_minute",
    }
)  # fmt: skip
REVIEWED_FIELDS = frozenset(
    {
        "endpoint_url", "credential", "upstream_model", "region", "country", "quantisation",
        "context_length", "cut_stream_billing", "retains_prompts_days", "trains_on_data",
    }
)  # fmt: skip


class UnderReview(Conflict):
    """This listing is being reviewed; withdraw the review before changing it."""

    code = "under_review"


def create_service(
    *,
    provider: Provider,
    model: AIModel,
    region: str,
    country: str,
    quantisation: str = "unknown",
    context_length: int | None = None,
    max_output_tokens: int = 4096,
    endpoint_url: str = "",
    credential: str = "",
    upstream_model: str = "",
    supported_parameters: Sequence[str] = (),
    cut_stream_billing: str = CutStreamBilling.DELIVERED,
    requests_per_minute: int | None = None,
    tokens_per_minute: int | None = None,
    retains_prompts_days: int = 0,
    trains_on_data: bool = False,
    summary_en: str = "",
    summary_zh: str = "",
    test: bool = False,
    is_sample: bool = False,
    private_endpoint_allowed: bool = False,
    now: datetime,
    actor: Actor = SYSTEM_ACTOR,
) -> Service:
    """A draft of a new listing; ``context_length`` is the model's unless the provider serves less.

    Its handle is "model@provider", with the region, then a number, when that is taken.
    Raises ``ListingRejected``.
    """
    service = Service(
        provider=provider,
        model=model,
        region=region,
        country=country,
        quantisation=quantisation,
        context_length=context_length or model.context_length,
        max_output_tokens=max_output_tokens,
        endpoint_url=endpoint_url,
        credential=credential,
        upstream_model=upstream_model,
        supported_parameters=list(supported_parameters),
        cut_stream_billing=cut_stream_billing,
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
        retains_prompts_days=retains_prompts_days,
        trains_on_data=trains_on_data,
        summary_en=summary_en,
        summary_zh=summary_zh,
        test=test,
        is_sample=is_sample,
        created_at=now,
    )
    with transaction.atomic():
        # Two drafts at once must not choose the same handle.
        Provider.objects.select_for_update().get(pk=provider.pk)
        service.handle = _free_handle(service)
        service.slug = slugify(service.handle.translate(str.maketrans("/@:.", "----")))
        _require_listing(service, private_endpoint_allowed)
        service.save()
        refresh_search_text(Service.objects.filter(pk=service.pk))
        audit_service(service, "service.created", actor=actor, now=now)
    service.refresh_from_db(fields=["search_text"])
    return service


def update_service(
    *,
    service: Service,
    changes: Mapping[str, Any],
    submitted_by_label: str,
    private_endpoint_allowed: bool = False,
    now: datetime,
    actor: Actor = SYSTEM_ACTOR,
) -> ServiceReview | None:
    """Change a listing; ``changes`` maps ``FREE_FIELDS`` and ``REVIEWED_FIELDS`` to new values.

    On a draft all of it is in force at once. On a live or paused service the reviewed fields open
    a review, which is returned, and change only when it is approved. Values equal to the present
    ones are no change. The service passed in is brought up to date.

    Raises ``ListingRejected``, ``EndpointNeedsCredential`` (a new endpoint without its
    credential), ``UnderReview``, ``ServiceRetired``.
    """
    unknown = set(changes) - FREE_FIELDS - REVIEWED_FIELDS
    if unknown:
        raise rejected({name: [_("This cannot be changed.")] for name in sorted(unknown)})
    with transaction.atomic():
        current = lock_service(service)
        changed = {k: v for k, v in changes.items() if getattr(current, k) != v}
        before = {k: getattr(current, k) for k in changed}
        reviewed = changed.keys() & REVIEWED_FIELDS
        if current.status == ServiceStatus.RETIRED:
            raise ServiceRetired(_("This service is retired; list a new one instead."))
        if current.status == ServiceStatus.IN_REVIEW and changed:
            raise _under_review()
        if "endpoint_url" in changed and current.credential and not changes.get("credential"):
            raise EndpointNeedsCredential(
                _("Enter the credential of the new endpoint; the old one is not sent elsewhere."),
                data={"fields": {"credential": [str(_("Enter the credential again."))]}},
            )
        waits = current.status in (ServiceStatus.LIVE, ServiceStatus.PAUSED) and bool(reviewed)
        if waits and current.reviews.filter(decision="").exists():
            raise _under_review()
        proposed = copy(current) if waits else current
        for field, value in changed.items():
            setattr(proposed, field, value)
        _require_listing(proposed, private_endpoint_allowed)
        at_once = sorted(changed.keys() - reviewed if waits else changed.keys())
        for field in at_once:
            setattr(current, field, changed[field])
        if at_once:
            current.save(update_fields=at_once)
            refresh_search_text(Service.objects.filter(pk=current.pk))
            announce_change()
        if changed:
            audit_service(
                current,
                "service.change_submitted" if waits else "service.updated",
                actor=actor,
                now=now,
                before={k: v for k, v in before.items() if k != "credential"},
                after={k: "changed" if k == "credential" else v for k, v in changed.items()},
            )
        review = None
        if waits:
            review = ServiceReview.objects.create(
                service=current,
                submitted_by_label=submitted_by_label,
                submitted_at=now,
                snapshot=snapshot_of(proposed, now=now),
                changed_fields=sorted(reviewed),
                credential=proposed.credential if "credential" in reviewed else "",
            )
    service.refresh_from_db()
    return review


def _under_review() -> UnderReview:
    return UnderReview(
        _("A change of this service is being reviewed. Withdraw it before making another.")
    )


def _require_listing(service: Service, private_endpoint_allowed: bool) -> None:
    wrong: dict[str, list[Any]] = {}
    if service.region not in vocabulary.REGIONS:
        wrong["region"] = [_("Choose a region from the list.")]
    if not vocabulary.is_country(service.country):
        wrong["country"] = [_("Enter a country's two-letter code, such as DE or CN.")]
    if service.quantisation not in vocabulary.QUANTISATIONS:
        wrong["quantisation"] = [_("Choose a quantisation from the list.")]
    if not 0 < service.context_length <= service.model.context_length:
        wrong["context_length"] = [
            _("The context must be between 1 and the model's %(most)s tokens.")
            % {"most": service.model.context_length}
        ]
    if service.max_output_tokens < 1:
        wrong["max_output_tokens"] = [_("The longest answer must be at least one token.")]
    names = service.supported_parameters
    if not isinstance(names, list) or not all(isinstance(n, str) and n for n in names):
        wrong["supported_parameters"] = [_("Enter parameter names, such as temperature.")]
    if wrong:
        raise rejected(wrong)
    require_endpoint(service.endpoint_url, private_allowed=private_endpoint_allowed)
    require_fields(service, exclude=("supported_parameters",))


def _free_handle(service: Service) -> str:
    base = f"{service.model.handle}@{service.provider.slug}"
    if service.test:
        base += "-test"
    wishes = [base, f"{base}-{service.region}"]
    taken = set(Service.objects.filter(handle__startswith=base).values_list("handle", flat=True))
    wishes += [f"{wishes[1]}-{number}" for number in range(2, len(taken) + 3)]
    return next(wish for wish in wishes if wish not in taken)
