"""What people see when the ledger does not stand as it should: 503, and why."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from marketplace.ledger.services import LedgerUnguarded, SealsDisagree


class UnguardedMiddleware:
    """Turns the ledger's refusals into a page, wherever a view lets them pass."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, LedgerUnguarded | SealsDisagree):
            return None
        return render(request, "errors/503.html", {"message": exception.message}, status=503)
