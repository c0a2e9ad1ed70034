"""The first page: what this is, what it costs, and the way in."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from marketplace.billing import selectors as billing
from marketplace.catalog import selectors as catalog
from portal.kernel.clock import utc_now
from portal.web.snippets import build_snippets

PRICE_SAMPLES = 6


@require_safe
def landing(request: HttpRequest) -> HttpResponse:
    """Connected services come first: what is shown can be called."""
    now = utc_now()
    samples = catalog.list_landing_services(limit=PRICE_SAMPLES, now=now)
    example = next((item.service.handle for item in samples), "qwen/qwen3-8b")
    return render(
        request,
        "web/landing.html",
        {
            "samples": samples,
            "packs": billing.list_packs(currency=settings.TARIFF_CURRENCY)[:3],
            "snippets": build_snippets(model=example),
        },
    )
