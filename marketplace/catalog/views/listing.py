"""The list of services: everything about a view of it is in its address."""

from typing import Any
from urllib.parse import urlencode

from django.core.paginator import Page, Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext
from django.views.decorators.http import require_safe

from marketplace.catalog import selectors
from marketplace.catalog.listing_query import SORTS, ListingQuery
from marketplace.catalog.views.presets import Link, link_presets
from marketplace.catalog.views.rows import with_figures
from portal.kernel.clock import utc_now

PAGE_SIZE = 24
# Facets that are folded until something in them is chosen.
FOLDED_FACETS = frozenset({"quantisation", "industry", "data", "context", "price"})


@require_safe
def services(request: HttpRequest) -> HttpResponse:
    """Search, filter, sort and page; with htmx only the part below the head is sent."""
    now = utc_now()
    query = ListingQuery.from_params(request.GET)
    listing = selectors.list_services(query=query, now=now)
    page = Paginator(listing.rows, PAGE_SIZE).get_page(request.GET.get("page"))
    cards = selectors.list_cards(list(page.object_list), workload=query.workload)
    context = {
        "query": query,
        "page": page,
        "cards": with_figures(cards, now=now),
        "facets": listing.facets,
        "folded_facets": FOLDED_FACETS,
        "chips": _chips(query, listing.facets),
        "sorts": [
            Link(str(label), query.sorted_by(key).address(), key == query.sort)
            for key, label in SORTS.items()
        ],
        "presets": link_presets(query, "chat"),
        "unfiltered_url": query.unfiltered().address(),
        "is_fragment": _wants_fragment(request),
    }
    template = "catalog/_browse.html" if context["is_fragment"] else "catalog/services.html"
    response = render(request, template, context)
    patch_vary_headers(response, ["HX-Request"])
    if context["is_fragment"]:
        response["HX-Push-Url"] = _address_to_push(request, query, page)
    return response


def _wants_fragment(request: HttpRequest) -> bool:
    htmx: Any = getattr(request, "htmx", None)
    return bool(htmx) and not htmx.history_restore_request


def _address_to_push(request: HttpRequest, query: ListingQuery, page: Page[Any]) -> str:
    """The view's address; "false" where the browser shows it already, so that Back needs no
    second step for a request that changed nothing."""
    address = reverse("catalog:services") + query.address().removeprefix(".")
    if page.number > 1:
        address += f"{'&' if '?' in address else '?'}{urlencode({'page': page.number})}"
    htmx: Any = request.htmx  # type: ignore[attr-defined]
    return "false" if address == htmx.current_url_abs_path else address


def _chips(query: ListingQuery, facets: list[selectors.Facet]) -> list[Link]:
    """The filters in force, each with the address without it."""
    chips = []
    if query.words:
        label = gettext("Search: %(words)s") % {"words": query.words}
        chips.append(Link(label, query.without_words().address()))
    for facet in facets:
        for option in facet.chosen:
            label = gettext("%(facet)s: %(choice)s") % {
                "facet": facet.label,
                "choice": option.label,
            }
            chips.append(Link(label, query.without(facet.name, option.value).address()))
    return chips
