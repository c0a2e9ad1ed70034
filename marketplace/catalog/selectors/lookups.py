"""Single listings, and what a provider and the market's staff look at."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from accounts.models import Organisation
from marketplace.catalog import listing_words
from marketplace.catalog.models import (
    AIModel,
    PriceVersion,
    Provider,
    ReviewDecision,
    Service,
    ServiceReview,
)
from portal.kernel.errors import NotFound


class ServiceNotFound(NotFound):
    """There is no such service."""

    code = "service_not_found"


def get_service(slug: str) -> Service:
    """A public service with its model and provider; raises ``ServiceNotFound``."""
    service = Service.objects.public().select_related("model", "provider").filter(slug=slug).first()
    if service is None:
        raise ServiceNotFound(_("There is no service at this address."))
    return service


def get_model(slug: str) -> AIModel:
    """A model that at least one public service offers; raises ``NotFound``."""
    public = Service.objects.public().values("model")
    model = AIModel.objects.filter(slug=slug, pk__in=public).first()
    if model is None:
        raise NotFound(_("There is no model at this address."))
    return model


def get_provider(slug: str) -> Provider:
    """Any provider by its slug; raises ``NotFound``."""
    provider = Provider.objects.select_related("organisation").filter(slug=slug).first()
    if provider is None:
        raise NotFound(_("There is no provider at this address."))
    return provider


def get_provider_for(organisation: Organisation) -> Provider | None:
    """The organisation's provider profile, if it has one."""
    return Provider.objects.filter(organisation=organisation).first()


def list_provider_services(provider: Provider) -> QuerySet[Service]:
    """All of the provider's services in any status, newest first, models loaded."""
    return provider.services.select_related("model", "provider").order_by("-created_at", "-pk")


def get_provider_service(provider: Provider, public_id: str) -> Service:
    """One of the provider's own; raises ``ServiceNotFound`` for any other provider's."""
    service = list_provider_services(provider).filter(public_id=public_id).first()
    if service is None:
        raise ServiceNotFound(_("There is no such service."))
    return service


def get_price_in_force(service: Service, *, now: datetime) -> PriceVersion | None:
    """What a call would be charged at now; None for a listing without a price yet."""
    return PriceVersion.objects.filter(service=service).in_force(now=now).first()


def list_price_versions(service: Service) -> QuerySet[PriceVersion]:
    """All prices, past and announced, the latest to begin first."""
    return PriceVersion.objects.filter(service=service).order_by("-effective_at", "-number")


def find_priced_services(price_versions: Iterable[str]) -> dict[str, Service]:
    """The service that each price version (by its public id) belongs to, with its names; in any
    status, since calls of the past stay named."""
    versions = PriceVersion.objects.filter(public_id__in=set(price_versions))
    return {
        version.public_id: version.service
        for version in versions.select_related("service__model", "service__provider")
    }


def list_open_reviews() -> QuerySet[ServiceReview]:
    """What waits for staff, the longest waiting first."""
    return (
        ServiceReview.objects.filter(decision="")
        .select_related("service__model", "service__provider")
        .order_by("submitted_at", "pk")
    )


def get_review(public_id: str) -> ServiceReview:
    """A review, open or decided; raises ``NotFound``."""
    review = (
        ServiceReview.objects.select_related(
            "service__model", "service__provider__organisation", "decided_by"
        )
        .filter(public_id=public_id)
        .first()
    )
    if review is None:
        raise NotFound(_("There is no such review."))
    return review


@dataclass(frozen=True)
class Difference:
    """One field of a listing: as last approved, and as submitted. ``before`` None: not yet."""

    field: str
    before: Any
    after: Any
    changed: bool

    @property
    def label(self) -> str:
        return listing_words.field_label(self.field)

    @property
    def before_text(self) -> str:
        return listing_words.field_value(self.field, self.before)

    @property
    def after_text(self) -> str:
        return listing_words.field_value(self.field, self.after)


def get_review_diff(review: ServiceReview) -> list[Difference]:
    """Every field of the submitted listing beside the last approved one, changed fields first.

    A credential shows only as whether there is one; a new one is the field "credential".
    """
    approved = (
        ServiceReview.objects.filter(
            service=review.service, decision=ReviewDecision.APPROVED, decided_at__isnull=False
        )
        .exclude(pk=review.pk)
        .filter(submitted_at__lte=review.submitted_at)
        .order_by("-decided_at", "-pk")
        .first()
    )
    before = approved.snapshot if approved else {}
    fields = [
        Difference(
            field=field,
            before=before.get(field),
            after=after,
            changed=approved is None or before.get(field) != after,
        )
        for field, after in review.snapshot.items()
    ]
    if "credential" in review.changed_fields:
        fields.append(Difference("credential", "••••", "••••", changed=True))
    return sorted(fields, key=lambda difference: not difference.changed)
