"""The stock admin, behind two-factor sign-in."""

from django.contrib.admin import AdminSite
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext_lazy as _

from accounts.access import has_second_factor
from accounts.models import User


class TwoFactorAdminSite(AdminSite):
    """Staff with a second factor come in; its own password form is never shown."""

    site_header = _("Records")
    site_title = _("Records")

    def has_permission(self, request: HttpRequest) -> bool:
        user = request.user
        return (
            super().has_permission(request) and isinstance(user, User) and has_second_factor(user)
        )

    def login(
        self, request: HttpRequest, extra_context: dict[str, object] | None = None
    ) -> HttpResponse:
        """allauth's door, or the page where staff set up their second factor."""
        user = request.user
        if not isinstance(user, User):
            target = request.GET.get("next") or request.get_full_path()
            return redirect_to_login(target)
        if not user.is_staff:
            raise Http404
        if not has_second_factor(user):
            return redirect("mfa_index")
        return redirect("admin:index")
