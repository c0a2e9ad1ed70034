"""The documentation that callers and providers read in the portal."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from marketplace.catalog import selectors as catalog
from portal.kernel.clock import utc_now
from portal.web.error_codes import ERROR_CODES
from portal.web.snippets import build_snippets

PAGES = {
    "quickstart": _("Quickstart"),
    "errors": _("Errors and what they cost"),
    "tokens": _("Tokens, packs and balances"),
    "webhooks": _("Webhooks"),
    "verify": _("Check your entries yourself"),
    "providers": _("For model providers"),
}


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """What there is to read."""
    return render(request, "web/docs/index.html", {"pages": PAGES})


@require_safe
def page(request: HttpRequest, page: str) -> HttpResponse:
    """One page; unknown names are 404."""
    if page not in PAGES:
        raise Http404
    services = catalog.list_callable_services(unit="live", now=utc_now())
    connected = [service for service in services if service.is_connected]
    chat = next((s.model_handle for s in connected if s.modality == "chat"), "qwen/qwen3-8b")
    embedding = next((s.model_handle for s in connected if s.modality == "embedding"), "")
    return render(
        request,
        f"web/docs/{page}.html",
        {
            "pages": PAGES,
            "current": page,
            "errors": ERROR_CODES,
            "chat_snippets": build_snippets(model=chat),
            "embedding_snippets": build_snippets(model=embedding, modality="embedding")
            if embedding
            else [],
        },
    )
