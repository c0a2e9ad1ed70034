"""What people see when a page would have moved money while the ledger is not fully guarded."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from marketplace.ledger.services import LedgerUnguarded


class UnguardedMiddleware:
    """Turns the ledger's refusal into a page, wherever a view lets it pass: 503."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, LedgerUnguarded):
            return None
        return render(request, "errors/503.html", {"message": exception.message}, status=503)
