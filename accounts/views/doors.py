"""Joining, proving an address, choosing a language, the terms."""

from typing import Any

from allauth.account.views import ConfirmEmailView, SignupView
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe
from django.views.i18n import set_language as django_set_language

from accounts import services
from accounts.models import Invitation
from accounts.views.invitations import INVITATION_PAGE, forget_invitation, invitation_in
from portal.kernel.clock import utc_now

VERIFICATION_KEY = "verification_key"


class JoinView(SignupView):
    """/join/: person and company; behind an invitation's link, the person alone."""

    invitation: Invitation | None = None

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        found = invitation_in(request)
        self.invitation = found if found and found.is_open(now=utc_now()) else None
        if self.invitation and request.user.is_authenticated:
            return redirect(INVITATION_PAGE)
        return super().dispatch(request, *args, **kwargs)

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "invitation": self.invitation}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return {**super().get_context_data(**kwargs), "invitation": self.invitation}

    def form_valid(self, form: Any) -> HttpResponse:
        try:
            response: HttpResponse = super().form_valid(form)
        except services.InvitationUnusable as refusal:
            form.add_error(None, str(refusal))
            return self.form_invalid(form)
        if self.invitation:
            forget_invitation(self.request)
        return response


class VerifyView(ConfirmEmailView):
    """/verify/<key>/: the key goes into the session at once, so that it leaves the address bar."""

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if "key" in self.kwargs:
            request.session[VERIFICATION_KEY] = self.kwargs["key"]
            return redirect("account_verify")
        return super().get(request, *args, **kwargs)

    def get_object(self, queryset: Any = None) -> Any:
        self.kwargs.setdefault("key", self.request.session.get(VERIFICATION_KEY, ""))
        return super().get_object(queryset)


@require_POST
def set_language(request: HttpRequest) -> HttpResponse:
    """Django's own, which sets the cookie; signed in, the choice is the person's for good."""
    language = request.POST.get("language", "")
    if request.user.is_authenticated and language in dict(settings.LANGUAGES):
        services.update_person(user=request.user, language=language)
    return django_set_language(request)


@require_safe
def terms(request: HttpRequest) -> HttpResponse:
    """What people accept when they join."""
    return render(request, "accounts/terms.html", {"version": settings.TERMS_VERSION})
