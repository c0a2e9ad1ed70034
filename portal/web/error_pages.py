"""What people see when a page cannot be shown: what happened, whether anything was charged, and
what to do. Wired up in ``portal.urls`` (handler400 …) and by ``CSRF_FAILURE_VIEW``.
"""

from typing import Any

import structlog
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string

logger = structlog.get_logger(__name__)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400; a body over the limit is 413."""
    if isinstance(exception, RequestDataTooBig):
        return render(request, "errors/413.html", status=413)
    return render(request, "errors/400.html", status=400)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """403 with the refusal's own sentence, which names the role that is missing."""
    return render(request, "errors/403.html", {"message": str(exception)}, status=403)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404, whether the thing does not exist or is another tenant's."""
    return render(request, "errors/404.html", status=404)


def too_many_requests(request: HttpRequest) -> HttpResponse:
    """429 at the doors, where allauth counts attempts."""
    return render(request, "errors/429.html", status=429)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """403 for a form without a valid token; the reason goes to the log only."""
    logger.warning("csrf_failure", reason=reason)
    return render(request, "errors/csrf.html", status=403)


def server_error(request: HttpRequest) -> HttpResponse:
    """500 with the id of the request; without context processors, which may be what failed."""
    request_id = structlog.contextvars.get_contextvars().get("request_id", "")
    context: dict[str, Any] = {"request_id": request_id}
    return HttpResponse(render_to_string("errors/500.html", context), status=500)
