"""A person's own pages: who they are, where they belong, further organisations, leaving."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import translation
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from accounts import selectors, services
from accounts.access import (
    OrganisationRequest,
    PersonRequest,
    organisation_view,
    person_view,
    posted,
)
from accounts.adapters import remember_language
from accounts.forms.organisations import NewOrganisationForm, ProfileForm
from portal.kernel.clock import utc_now
from portal.kernel.errors import DomainError


@require_http_methods(["GET", "HEAD", "POST"])
@person_view
def profile(request: PersonRequest) -> HttpResponse:
    """Name and language; the organisations one belongs to."""
    form = ProfileForm(posted(request), instance=request.user)
    if request.method == "POST" and form.is_valid():
        services.update_person(user=request.user, **form.cleaned_data)
        with translation.override(request.user.language):
            messages.success(request, str(_("Saved.")))
        response = redirect("accounts:profile")
        remember_language(response, request.user.language)
        return response
    memberships = selectors.list_memberships_of(request.user)
    return render(request, "accounts/profile.html", {"form": form, "memberships": memberships})


@require_http_methods(["GET", "HEAD", "POST"])
@person_view
def create_organisation(request: PersonRequest) -> HttpResponse:
    """Another company of the same person."""
    form = NewOrganisationForm(posted(request))
    if request.method == "POST" and form.is_valid():
        try:
            organisation = services.create_organisation(
                user=request.user,
                name=form.cleaned_data["name"],
                actor=services.actor_from_request(request),
                now=utc_now(),
            )
        except DomainError as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, _("Organisation created."))
            return redirect("web:home", organisation=organisation.slug)
    return render(request, "accounts/create_organisation.html", {"form": form})


@require_http_methods(["GET", "HEAD", "POST"])
@organisation_view()
def leave(request: OrganisationRequest, organisation: str) -> HttpResponse:
    """Go by oneself; the last owner cannot."""
    refusal = None
    if request.method == "POST":
        try:
            services.leave_organisation(
                membership=request.membership,
                actor=services.actor_from_request(request),
                now=utc_now(),
            )
        except DomainError as error:
            refusal = str(error)
        else:
            messages.success(
                request,
                _("You have left %(company)s.") % {"company": request.organisation.name},
            )
            return redirect("accounts:profile")
    keys = selectors.list_api_keys(request.organisation, created_by=request.user)
    context = {"refusal": refusal, "key_count": keys.usable(now=utc_now()).count()}
    return render(request, "accounts/leave.html", context, status=409 if refusal else 200)
