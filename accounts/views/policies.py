"""What services calls may go to: the organisation's policy, and a key's that narrows it."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from accounts import services
from accounts.access import OrganisationRequest, organisation_view, posted, recent_sign_in_required
from accounts.forms.policies import PolicyForm
from accounts.hooks import hooks
from accounts.models import Role
from accounts.views.keys import get_visible_key
from portal.kernel.clock import utc_now
from portal.kernel.errors import DomainError


@require_http_methods(["GET", "HEAD", "POST"])
@organisation_view(Role.OWNER)
@recent_sign_in_required
def policy(request: OrganisationRequest, organisation: str) -> HttpResponse:
    """For all calls of the organisation. ``preview`` counts and saves nothing."""
    stored = request.organisation.policy
    form = PolicyForm(posted(request), stored=stored)
    if request.method == "POST" and form.is_valid():
        if "preview" in request.POST:
            stored = form.policy().as_stored()
        else:
            try:
                services.change_organisation_policy(
                    organisation=request.organisation,
                    policy=form.policy(),
                    actor=services.actor_from_request(request),
                    now=utc_now(),
                )
            except DomainError as refusal:
                form.add_error(None, str(refusal))
            else:
                messages.success(request, _("Policy saved. Calls go by it within five seconds."))
                return redirect("accounts:policy", organisation=organisation)
    context = {"form": form, **_count(services.apply_policies(organisation=stored), "live")}
    return render(request, "accounts/policy.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@organisation_view()
@recent_sign_in_required
def key_policy(request: OrganisationRequest, organisation: str, key: str) -> HttpResponse:
    """For calls with one key, beside the organisation's. Its holder and owners set it."""
    found = get_visible_key(request, key)
    stored, outer = found.policy, request.organisation.policy
    form = PolicyForm(posted(request), stored=stored, within=outer)
    if request.method == "POST" and form.is_valid():
        if "preview" in request.POST:
            stored = form.policy().as_stored()
        else:
            try:
                services.change_key_policy(
                    key=found,
                    policy=form.policy(),
                    actor=services.actor_from_request(request),
                    now=utc_now(),
                )
            except DomainError as refusal:
                form.add_error(None, str(refusal))
            else:
                messages.success(request, _("Policy saved. Calls go by it within five seconds."))
                return redirect("accounts:key", organisation=organisation, key=key)
    applied = services.apply_policies(organisation=outer, key=stored)
    unit = "test" if found.kind == "test" else "live"
    context = {"form": form, "key": found, **_count(applied, unit)}
    return render(request, "accounts/key_policy.html", context)


def _count(applied: services.AppliedPolicies, unit: str) -> dict[str, Any]:
    permitted, connected = hooks.count_permitted(applied, unit)
    unreadable = any(policy is None for _owner, policy in applied.policies)
    return {"permitted": permitted, "connected": connected, "unreadable": unreadable}
