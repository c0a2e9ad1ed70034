"""How fast, from where and by which web sites a key may be used."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from accounts import services
from accounts.access import OrganisationRequest, organisation_view, posted, recent_sign_in_required
from accounts.forms.key_access import KeyAccessFields, show_access
from accounts.views.keys import get_visible_key
from portal.kernel.clock import utc_now
from portal.kernel.errors import DomainError


@require_http_methods(["GET", "HEAD", "POST"])
@organisation_view()
@recent_sign_in_required
def change_key_access(request: OrganisationRequest, organisation: str, key: str) -> HttpResponse:
    """Its holder and owners set it. Sending the form twice is once."""
    found = get_visible_key(request, key)
    form = KeyAccessFields(posted(request), initial=show_access(found))
    if request.method == "POST" and form.is_valid():
        try:
            services.change_key_access(
                key=found,
                access=form.access(),
                actor=services.actor_from_request(request),
                now=utc_now(),
            )
        except DomainError as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, _("Limits and access saved."))
            return redirect("accounts:key", organisation=organisation, key=key)
    return render(request, "accounts/change_key_access.html", {"form": form, "key": found})
