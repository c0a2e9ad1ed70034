"""The pages of one service, one model, one provider."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from marketplace.catalog import selectors
from marketplace.catalog.extras import NOT_MEASURED, get_figures, get_snippets
from marketplace.catalog.listing_query import ListingQuery
from marketplace.catalog.pricing import PriceSnapshot, typical_cost
from marketplace.catalog.views.presets import link_presets
from marketplace.catalog.views.rows import MeasuredCard, with_figures
from marketplace.catalog.workload import EXAMPLES
from portal.kernel.clock import utc_now
from portal.kernel.errors import NotFound

# What prices are told in: ten units of the tariff currency.
BUDGET_UNITS = 10
BUDGET_MILLITOKENS = BUDGET_UNITS * 1_000_000_000
# Older prices are counted, not listed.
SHOWN_PRICES = 12


@dataclass(frozen=True, slots=True)
class Piece:
    """Work that the budget pays for; ``number`` is None when it costs nothing."""

    name: str
    words_in: int
    words_out: int
    number: int | None


@require_safe
def service(request: HttpRequest, slug: str) -> HttpResponse:
    """All that is known of one service, and how to call it."""
    now = utc_now()
    try:
        found = selectors.get_service(slug)
    except NotFound as missing:
        raise Http404 from missing
    query = ListingQuery.from_params(request.GET)
    siblings = selectors.list_model_services(model=found.model, query=query, now=now)
    card = next((c for c in siblings if c.service.pk == found.pk), None)
    if card is None:
        # Public services have a price; one that lost it is no offer.
        raise Http404
    versions = list(selectors.list_price_versions(found)[:SHOWN_PRICES])
    figures = get_figures([found.pk], now=now)
    return render(
        request,
        "catalog/service.html",
        {
            "card": card,
            "service": found,
            "model": found.model,
            "provider": found.provider,
            "figures": figures.get(found.pk, NOT_MEASURED),
            "coming": next((v for v in reversed(versions) if v.effective_at > now), None),
            "versions": versions,
            "pieces": _pieces(card.price, found.model.modality),
            "budget_minor": BUDGET_UNITS * 100,
            "query": query,
            "presets": link_presets(query, found.model.modality),
            "others": [c for c in siblings if c.service.pk != found.pk],
            "cheapest_other": min(
                (c for c in siblings if c.service.pk != found.pk),
                key=lambda c: typical_cost(c.price),
                default=None,
            ),
            "snippets": get_snippets(found.handle, found.model.modality),
        },
    )


@require_safe
def model(request: HttpRequest, slug: str) -> HttpResponse:
    """One model, and all its services side by side."""
    now = utc_now()
    try:
        found = selectors.get_model(slug)
    except NotFound as missing:
        raise Http404 from missing
    query = ListingQuery.from_params(request.GET)
    cards = selectors.list_model_services(model=found, query=query, now=now)
    sort, rows = _sorted_rows(with_figures(cards, now=now), request.GET.get("sort", ""))
    return render(
        request,
        "catalog/model.html",
        {
            "model": found,
            "rows": rows,
            "sort": sort,
            "query": query,
            "presets": link_presets(query, found.modality),
            "snippets": get_snippets(found.handle, found.modality),
        },
    )


@require_safe
def provider(request: HttpRequest, slug: str) -> HttpResponse:
    """Who a provider is, and what it offers."""
    now = utc_now()
    try:
        found = selectors.get_provider(slug)
    except NotFound as missing:
        raise Http404 from missing
    query = ListingQuery.from_params(request.GET)
    cards = selectors.list_provider_listings(provider=found, query=query, now=now)
    sort, rows = _sorted_rows(with_figures(cards, now=now), request.GET.get("sort", ""))
    return render(
        request,
        "catalog/provider.html",
        {
            "provider": found,
            "rows": rows,
            "sort": sort,
            "places": sorted({row.card.service.place for row in rows}),
            "query": query,
        },
    )


def _pieces(price: PriceSnapshot, modality: str) -> list[Piece]:
    return [
        Piece(
            name=str(example.pieces),
            words_in=example.words_in,
            words_out=example.words_out,
            number=example.count_for(price, budget_millitokens=BUDGET_MILLITOKENS),
        )
        for example in EXAMPLES[modality]
    ]


# Columns that tables of services sort by; what is missing comes last in either direction.
_COLUMNS: dict[str, Callable[[MeasuredCard], Any]] = {
    "model": lambda row: row.card.service.model.name.lower(),
    "provider": lambda row: row.card.service.provider.name.lower(),
    "place": lambda row: row.card.service.place,
    "context": lambda row: row.card.service.context_length,
    "input": lambda row: row.card.price.input_millitokens,
    "output": lambda row: row.card.price.output_millitokens,
    "cost": lambda row: row.card.month_millitokens,
    "answer": lambda row: row.figures.answer_p50_ms,
    "success": lambda row: row.figures.success_basis_points,
}


def _sorted_rows(rows: Sequence[MeasuredCard], sort: str) -> tuple[str, list[MeasuredCard]]:
    """The sort in force ("" is the recommended order) and the rows in it."""
    value = _COLUMNS.get(sort.removeprefix("-"))
    if value is None:
        return "", list(rows)
    known = [row for row in rows if value(row) is not None]
    unknown = [row for row in rows if value(row) is None]
    return sort, [*sorted(known, key=value, reverse=sort.startswith("-")), *unknown]
