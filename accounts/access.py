"""Who may see a page: decorators for views, declared beside each of them.

Refusals come in the order: not signed in → the login page; not a member → 404 (as for a company
that does not exist); a lower role → 403 that names the role and who can grant it.
"""

import time
from collections.abc import Callable
from functools import wraps
from typing import Any, Protocol, cast

from allauth.account.authentication import get_authentication_records
from allauth.core.exceptions import ReauthenticationRequired
from allauth.mfa.models import Authenticator
from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import redirect, render
from django.utils.cache import patch_cache_control
from django.utils.translation import gettext_lazy as _

from accounts import selectors
from accounts.models import Membership, Organisation, Role, User
from portal.kernel.errors import NotFound

SIGNED_IN_AT = "signed_in_at"


class PersonRequest(HttpRequest):
    """A request of somebody who is signed in; for type annotations."""

    user: User


class OrganisationRequest(PersonRequest):
    """What a view behind ``organisation_view`` gets; for type annotations."""

    organisation: Organisation
    membership: Membership


class View(Protocol):
    """Any view function, whatever its URL arguments."""

    def __call__(self, request: Any, /, *args: Any, **kwargs: Any) -> HttpResponseBase: ...


def person_view(view: View) -> View:
    """For pages of a person's own: signed in, never cached. ``request.user`` is a User."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        return never_stored(view(request, *args, **kwargs))

    return guarded


def organisation_view(role: str = Role.MEMBER) -> Callable[[View], View]:
    """For pages under ``/o/<slug:organisation>/…``: members of at least ``role`` only.

    Sets ``request.organisation`` and ``request.membership``; the view also gets the slug as its
    argument ``organisation``. The answer is never cached.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(
            request: HttpRequest, *args: Any, organisation: str, **kwargs: Any
        ) -> HttpResponseBase:
            refusal = admit_member(request, organisation, role=role)
            response = refusal or view(request, *args, organisation=organisation, **kwargs)
            return never_stored(response)

        return guarded

    return decorate


def admit_member(request: HttpRequest, slug: str, *, role: str) -> HttpResponse | None:
    """The answer that refuses, or None after setting organisation and membership.

    For decorators that find the organisation otherwise (a provider's pages). Raises Http404.
    """
    if not request.user.is_authenticated:
        return redirect_to_login(request.get_full_path())
    try:
        membership = selectors.get_membership_for(request.user, slug)
    except NotFound as missing:
        raise Http404(str(missing)) from missing
    membership.user = request.user
    member_request = cast(OrganisationRequest, request)
    member_request.membership = membership
    member_request.organisation = membership.organisation
    if membership.organisation.two_factor_required and not has_second_factor(request.user):
        messages.warning(
            request,
            _("%(company)s asks its members for two-factor sign-in. Please set it up.")
            % {"company": membership.organisation.name},
        )
        return redirect("mfa_index")
    if not membership.includes(role):
        return _refuse_role(member_request, role)
    return None


def staff_view(view: View) -> View:
    """For the operator's pages under ``/ops/``: staff with two-factor sign-in.

    Everybody else gets 404; staff without a second factor are sent to set one up.
    """

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        if not request.user.is_staff:
            raise Http404
        if not has_second_factor(request.user):
            messages.warning(
                request, _("Staff pages need two-factor sign-in. Please set it up first.")
            )
            return redirect("mfa_index")
        return never_stored(view(request, *args, **kwargs))

    return guarded


def recent_sign_in_required(view: View) -> View:
    """For what a stolen session must not do (keys, payouts, team): ask for the password again.

    A sign-in counts for RECENT_SIGN_IN_SECONDS. After that allauth asks for the password or the
    second factor and goes on with the same request, its form included. Put it under the
    decorator that admits the person.
    """

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        records = get_authentication_records(request, request.user)
        moments = [request.session.get(SIGNED_IN_AT, 0.0), *(record["at"] for record in records)]
        if time.time() - max(moments) > settings.RECENT_SIGN_IN_SECONDS:
            raise ReauthenticationRequired
        return view(request, *args, **kwargs)

    return guarded


def note_sign_in(request: HttpRequest) -> None:
    """This session was opened just now, by whatever proof allauth accepts."""
    request.session[SIGNED_IN_AT] = time.time()


def has_second_factor(user: User) -> bool:
    """An authenticator app or a passkey; recovery codes alone are none."""
    return bool(is_mfa_enabled(user, types=[Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN]))


def posted(request: HttpRequest) -> QueryDict | None:
    """What to bind a form to: an empty POST is one too, all boxes unticked."""
    return request.POST if request.method == "POST" else None


def never_stored(response: HttpResponseBase) -> HttpResponseBase:
    """Neither the browser nor a proxy keeps tenant pages."""
    patch_cache_control(response, no_store=True, private=True)
    return response


def _refuse_role(request: OrganisationRequest, role: str) -> HttpResponse:
    context = {
        "needed_role": Role(role).label,
        "own_role": Role(request.membership.role).label,
        "owners": selectors.list_owners(request.organisation),
    }
    return render(request, "accounts/role_needed.html", context, status=403)
