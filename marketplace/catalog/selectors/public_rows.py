"""One light row for each public service, with the price in force: what lists are made from.

A market has hundreds of services, perhaps thousands, and a list wants counts for a dozen facets
under each other's filters. One query for plain columns and a pass in Python gives all of them;
the alternative is a query per facet, and neither database indexes JSON lists the same way.
"""

from datetime import datetime
from typing import NamedTuple

from django.db.models import OuterRef, Subquery

from marketplace.catalog.models import Modality, PriceVersion, ServiceStatus
from marketplace.catalog.pricing import TYPICAL_TOKENS, PriceSnapshot, typical_cost
from marketplace.catalog.search import patterns_of


class PublicRow(NamedTuple):
    """The columns, in the order in which they are read."""

    pk: int
    handle: str
    status: str
    region: str
    country: str
    quantisation: str
    context_length: int
    endpoint_url: str
    retains_prompts_days: int
    trains_on_data: bool
    went_live_at: datetime | None
    model_pk: int
    model_name: str
    modality: str
    licence: str
    tasks: list[str]
    industries: list[str]
    provider_slug: str
    provider_name: str
    price: PriceSnapshot

    @property
    def is_ready(self) -> bool:
        """Whether a call would reach an endpoint now."""
        return bool(self.endpoint_url) and self.status == ServiceStatus.LIVE

    @property
    def keeps_no_data(self) -> bool:
        return not self.retains_prompts_days and not self.trains_on_data

    @property
    def typical_cost(self) -> int:
        """Millitokens for a thousand model tokens; embeddings answer with none."""
        if self.modality == Modality.EMBEDDING:
            return TYPICAL_TOKENS * self.price.input_millitokens + self.price.request_millitokens
        return typical_cost(self.price)


_COLUMNS = (
    "service_id", "service__handle", "service__status", "service__region", "service__country",
    "service__quantisation", "service__context_length", "service__endpoint_url",
    "service__retains_prompts_days", "service__trains_on_data", "service__went_live_at",
    "service__model_id", "service__model__name", "service__model__modality",
    "service__model__licence_spdx", "service__model__tasks", "service__model__industries",
    "service__provider__slug", "service__provider__name",
)  # fmt: skip
_PRICE_COLUMNS = (
    "id", "public_id", "input_millitokens", "cached_input_millitokens", "output_millitokens",
    "request_millitokens",
)  # fmt: skip
PUBLIC_STATUSES = (ServiceStatus.LIVE, ServiceStatus.PAUSED)


def list_public_rows(
    *, words: str = "", provider_pk: int | None = None, model_pk: int | None = None, now: datetime
) -> list[PublicRow]:
    """All public services (of a provider, of a model) that have every word of a search."""
    in_force = PriceVersion.objects.filter(service=OuterRef("service")).in_force(now=now)
    prices = PriceVersion.objects.filter(
        service__status__in=PUBLIC_STATUSES,
        service__test=False,
        pk=Subquery(in_force.values("pk")[:1]),
    )
    for pattern in patterns_of(words):
        prices = prices.filter(service__search_text__contains=pattern)
    if provider_pk is not None:
        prices = prices.filter(service__provider_id=provider_pk)
    if model_pk is not None:
        prices = prices.filter(service__model_id=model_pk)
    columns = len(_COLUMNS)
    return [
        PublicRow._make((*row[:columns], PriceSnapshot(*row[columns:])))
        for row in prices.order_by("service_id").values_list(*_COLUMNS, *_PRICE_COLUMNS)
    ]
