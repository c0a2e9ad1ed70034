"""What browsers and proxies may keep."""

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.deprecation import MiddlewareMixin

# The doors and the account: forms with addresses, tokens and codes, also before a sign-in.
NEVER_STORED = ("/account/", "/invite/", "/join/", "/login/", "/logout/", "/reset/", "/verify/")


class NeverStoredMiddleware(MiddlewareMixin):
    """``private, no-store`` for the doors and for all that a signed-in person is shown.

    A view that says itself what may be kept is believed. Stands under AuthenticationMiddleware;
    static files are answered above it. On a shared machine the next person's back button then
    shows nothing.
    """

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        # REST views leave a lazy None where nobody is known, which is not the constant None.
        signed_in = getattr(request.user, "is_authenticated", False)
        if not response.has_header("Cache-Control") and (
            request.path.startswith(NEVER_STORED) or signed_in
        ):
            response["Cache-Control"] = "private, no-store"
        return response
