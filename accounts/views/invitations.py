"""The invited person's side: from the link in the mail into the organisation."""

from allauth.account.adapter import get_adapter
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts import selectors, services
from accounts.models import Invitation, Membership, User
from portal.kernel.clock import utc_now
from portal.kernel.errors import DomainError

SESSION_KEY = "invitation"
INVITATION_PAGE = "accounts:invitation"


@require_safe
@never_cache
def open_invitation(request: HttpRequest, token: str) -> HttpResponse:
    """The token leaves the address at once; the session keeps its digest."""
    _remember(request, services.token_digest_of(token))
    return redirect(INVITATION_PAGE)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def invitation(request: HttpRequest) -> HttpResponse:
    """Who invites whom to what; joining by one button, if the right person is signed in."""
    found = invitation_in(request)
    if found is None:
        return _refuse(request, None, 404)
    user = request.user if request.user.is_authenticated else None
    if not found.is_open(now=utc_now()):
        if user and found.email == user.email and _is_member(found, user):
            return redirect("web:home", organisation=found.organisation.slug)
        return _refuse(request, found, 410)
    if request.method == "POST" and user:
        if request.POST.get("action") == "switch":
            return _switch_person(request, found)
        try:
            return _accept(request, found, user)
        except DomainError as refusal:
            messages.error(request, str(refusal))
            return redirect(INVITATION_PAGE)
    page = reverse(INVITATION_PAGE)
    context = {
        "invitation": found,
        "wrong_person": user is not None and user.email != found.email,
        "has_account": User.objects.filter(email=found.email).exists(),
        "sign_in_url": f"{reverse('account_login')}?{urlencode({'next': page})}",
    }
    return render(request, "accounts/invitation.html", context)


def invitation_in(request: HttpRequest) -> Invitation | None:
    """The invitation whose link this browser opened."""
    digest = request.session.get(SESSION_KEY)
    return selectors.find_invitation(digest) if digest else None


def forget_invitation(request: HttpRequest) -> None:
    request.session.pop(SESSION_KEY, None)


def _remember(request: HttpRequest, digest: str) -> None:
    request.session[SESSION_KEY] = digest


def _accept(request: HttpRequest, found: Invitation, user: User) -> HttpResponse:
    services.accept_invitation(
        invitation=found,
        user=user,
        actor=services.actor_from_request(request),
        now=utc_now(),
    )
    forget_invitation(request)
    messages.success(
        request,
        _("You are now a member of %(company)s.") % {"company": found.organisation.name},
    )
    return redirect("web:home", organisation=found.organisation.slug)


def _switch_person(request: HttpRequest, found: Invitation) -> HttpResponse:
    """Sign out, and come back to the invitation as somebody else."""
    get_adapter(request).logout(request)
    _remember(request, found.token_digest)
    return redirect(INVITATION_PAGE)


def _is_member(found: Invitation, user: User) -> bool:
    return Membership.objects.filter(organisation_id=found.organisation_id, user=user).exists()


def _refuse(request: HttpRequest, found: Invitation | None, status: int) -> HttpResponse:
    return render(
        request, "accounts/invitation_unusable.html", {"invitation": found}, status=status
    )
