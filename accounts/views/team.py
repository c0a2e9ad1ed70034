"""The team of an organisation. All members see it; owners change it."""

from typing import Any

from allauth.core import ratelimit
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import selectors, services
from accounts.access import OrganisationRequest, organisation_view, posted, recent_sign_in_required
from accounts.forms.team import InviteForm, RemoveMemberForm, RoleForm
from accounts.models import Membership, Role
from portal.kernel.clock import utc_now
from portal.kernel.errors import DomainError, NotFound


@require_safe
@organisation_view()
def team(request: OrganisationRequest, organisation: str) -> HttpResponse:
    """Who belongs here, in which role, and who is invited."""
    return _render_team(request, InviteForm())


@require_POST
@organisation_view(Role.OWNER)
@recent_sign_in_required
def invite(request: OrganisationRequest, organisation: str) -> HttpResponse:
    """Send an invitation, also again."""
    form = InviteForm(request.POST)
    if not form.is_valid():
        return _render_team(request, form)
    if not ratelimit.consume(request, action="invite", user=request.user):
        form.add_error(None, _("You sent many invitations. Please wait an hour."))
        return _render_team(request, form, status=429)
    try:
        invitation = services.invite_member(
            organisation=request.organisation,
            email=form.cleaned_data["email"],
            role=form.cleaned_data["role"],
            invited_by=request.user,
            actor=services.actor_from_request(request),
            now=utc_now(),
        )
    except DomainError as refusal:
        form.add_error(refusal.data.get("field"), str(refusal))
        return _render_team(request, form)
    messages.success(request, _("Invitation sent to %(address)s.") % {"address": invitation.email})
    return redirect("accounts:team", organisation=organisation)


@require_POST
@organisation_view(Role.OWNER)
def withdraw(request: OrganisationRequest, organisation: str, invitation: str) -> HttpResponse:
    """Make an invitation's link useless."""
    try:
        services.withdraw_invitation(
            invitation=selectors.get_invitation(request.organisation, invitation),
            actor=services.actor_from_request(request),
            now=utc_now(),
        )
    except NotFound as missing:
        raise Http404 from missing
    except DomainError as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, _("Invitation withdrawn."))
    return redirect("accounts:team", organisation=organisation)


@require_http_methods(["GET", "HEAD", "POST"])
@organisation_view(Role.OWNER)
@recent_sign_in_required
def member(request: OrganisationRequest, organisation: str, member: str) -> HttpResponse:
    """One member's role."""
    person = _get_member(request, member)
    form = RoleForm(posted(request), initial={"role": person.role})
    if request.method == "POST" and form.is_valid():
        try:
            services.change_role(
                membership=person,
                role=form.cleaned_data["role"],
                actor=services.actor_from_request(request),
                now=utc_now(),
            )
        except DomainError as refusal:
            form.add_error(refusal.data.get("field"), str(refusal))
        else:
            messages.success(request, _("Role changed."))
            return redirect("accounts:team", organisation=organisation)
    return render(request, "accounts/member.html", {"form": form, "member": person})


@require_http_methods(["GET", "HEAD", "POST"])
@organisation_view(Role.OWNER)
@recent_sign_in_required
def remove(request: OrganisationRequest, organisation: str, member: str) -> HttpResponse:
    """Take a member out and decide what becomes of their keys."""
    person = _get_member(request, member)
    form = RemoveMemberForm(posted(request))
    if request.method == "POST" and form.is_valid():
        try:
            services.remove_member(
                membership=person,
                heir=request.user if form.cleaned_data["keys"] == "hand_over" else None,
                actor=services.actor_from_request(request),
                now=utc_now(),
            )
        except DomainError as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, _("%(person)s was removed.") % {"person": person.user.email})
            return redirect("accounts:team", organisation=organisation)
    keys = selectors.list_api_keys(request.organisation, created_by=person.user)
    context = {
        "form": form,
        "member": person,
        "key_count": keys.usable(now=utc_now()).count(),
    }
    return render(request, "accounts/remove_member.html", context)


def _get_member(request: OrganisationRequest, public_id: str) -> Membership:
    try:
        return selectors.get_member(request.organisation, public_id)
    except NotFound as missing:
        raise Http404 from missing


def _render_team(
    request: OrganisationRequest, form: InviteForm, *, status: int = 200
) -> HttpResponse:
    is_owner = request.membership.includes(Role.OWNER)
    context: dict[str, Any] = {
        "members": selectors.list_members(request.organisation),
        "form": form,
        "is_owner": is_owner,
        "invitations": selectors.list_open_invitations(request.organisation) if is_owner else [],
        "now": utc_now(),
    }
    return render(request, "accounts/team.html", context, status=status)
