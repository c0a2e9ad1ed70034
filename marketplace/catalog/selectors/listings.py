"""The public lists: all services, those of a model, those of a provider."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from marketplace.catalog.listing_query import ListingQuery
from marketplace.catalog.models import AIModel, Provider, Service
from marketplace.catalog.pricing import PriceSnapshot
from marketplace.catalog.search import words_of
from marketplace.catalog.selectors.facets import Facet, filter_and_count
from marketplace.catalog.selectors.public_rows import PublicRow, list_public_rows
from marketplace.catalog.workload import Workload

_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ServiceCard:
    """A public service as lists show it.

    ``month_millitokens`` is the cost of the reader's workload; None when one call of it does not
    fit the context.
    """

    service: Service
    price: PriceSnapshot
    is_ready: bool
    month_millitokens: int | None


@dataclass(frozen=True, slots=True)
class Listing:
    """All rows that match, in order, and the facets beside them."""

    rows: list[PublicRow]
    facets: list[Facet]


def list_services(*, query: ListingQuery, now: datetime) -> Listing:
    """What an address of the service list asks for: one query to the database."""
    rows = list_public_rows(words=query.words, now=now)
    passing, facets = filter_and_count(rows, query.chosen)
    return Listing(sort_rows(passing, query), facets)


def list_model_services(*, model: AIModel, query: ListingQuery, now: datetime) -> list[ServiceCard]:
    """All public services of one model, in the order that the query asks for."""
    rows = sort_rows(list_public_rows(model_pk=model.pk, now=now), query)
    return list_cards(rows, workload=query.workload)


def list_provider_listings(
    *, provider: Provider, query: ListingQuery, now: datetime
) -> list[ServiceCard]:
    """All public services of one provider, in the order that the query asks for."""
    rows = sort_rows(list_public_rows(provider_pk=provider.pk, now=now), query)
    return list_cards(rows, workload=query.workload)


def list_landing_services(*, limit: int, now: datetime) -> list[ServiceCard]:
    """The cheapest service of each model, what can be called first."""
    rows = sort_rows(list_public_rows(now=now), ListingQuery())
    per_model: dict[int, PublicRow] = {}
    for row in rows:
        per_model.setdefault(row.model_pk, row)
    return list_cards(list(per_model.values())[:limit], workload=ListingQuery().workload)


def list_cards(rows: Sequence[PublicRow], *, workload: Workload) -> list[ServiceCard]:
    """The rows with their services, models and providers: one query, whatever the number."""
    services = (
        Service.objects.select_related("model", "provider")
        .defer("credential", "search_text")
        .in_bulk([row.pk for row in rows])
    )
    return [
        ServiceCard(
            service=services[row.pk],
            price=row.price,
            is_ready=row.is_ready,
            month_millitokens=_month(row, workload),
        )
        for row in rows
        if row.pk in services
    ]


def sort_rows(rows: list[PublicRow], query: ListingQuery) -> list[PublicRow]:
    """In the order asked for; equals by price, then by name, so pages never shuffle."""
    order = sorted(rows, key=lambda row: (row.typical_cost, row.model_name.lower(), row.handle))
    keys: dict[str, Callable[[PublicRow], Any]] = {
        "": _recommendation(query.words),
        "cost": lambda row: _month_or_last(row, query.workload),
        "price": lambda row: row.typical_cost,
        "context": lambda row: -row.context_length,
        "newest": lambda row: -(row.went_live_at or _LONG_AGO).timestamp(),
        "name": lambda row: (row.model_name.lower(), row.handle),
    }
    return sorted(order, key=keys[query.sort])


def _recommendation(words: str) -> Callable[[PublicRow], Any]:
    """What the reader named, then what can be called, then chat before embeddings."""
    named = list(words_of(words))

    def key(row: PublicRow) -> tuple[Any, ...]:
        title = f"{row.handle} {row.model_name} {row.provider_name}".lower()
        return (
            -sum(word in title for word in named),
            not row.is_ready,
            row.modality != "chat",
        )

    return key


def _month(row: PublicRow, workload: Workload) -> int | None:
    fits = workload.fits(context_length=row.context_length, modality=row.modality)
    return workload.cost(row.price) if fits else None


def _month_or_last(row: PublicRow, workload: Workload) -> tuple[bool, int]:
    month = _month(row, workload)
    return (month is None, month or 0)
