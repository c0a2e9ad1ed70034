"""Is the process alive, and may it serve money?"""

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from marketplace.ledger import watch


@require_safe
@never_cache
def live(request: HttpRequest) -> HttpResponse:
    """The process answers; nothing else is asked."""
    return JsonResponse({"status": "live"})


@require_safe
@never_cache
def ready(request: HttpRequest) -> HttpResponse:
    """The database answers, is migrated, and has all that guards the ledger; else 503 with the
    reasons. Asking is looking: what was mended is noticed at once."""
    try:
        reasons = watch.look()
    except DatabaseError:
        reasons = ["the database does not answer"]
    if reasons:
        return JsonResponse({"status": "not_ready", "reasons": reasons}, status=503)
    return JsonResponse({"status": "ready"})
