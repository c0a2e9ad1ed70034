"""Who may see a provider's pages: members of the provider's organisation, by role."""

from collections.abc import Callable
from functools import wraps
from typing import Any, cast

from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render

from accounts.access import OrganisationRequest, View, admit_member, never_stored
from accounts.models import Role
from marketplace.catalog import selectors as catalog
from marketplace.catalog.models import Provider
from portal.kernel.errors import NotFound


class ProviderRequest(OrganisationRequest):
    """What a view behind ``provider_view`` gets; for type annotations."""

    provider: Provider


def provider_view(role: str = Role.MEMBER) -> Callable[[View], View]:
    """For pages under ``/p/<slug:provider>/…``: members of at least ``role`` only.

    Refuses as ``organisation_view`` does: another provider's page is 404, as one that does not
    exist. Sets ``request.provider``, ``request.organisation`` and ``request.membership``.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(
            request: HttpRequest, *args: Any, provider: str, **kwargs: Any
        ) -> HttpResponseBase:
            if not request.user.is_authenticated:
                return never_stored(redirect_to_login(request.get_full_path()))
            try:
                found = catalog.get_provider(provider)
            except NotFound as missing:
                raise Http404(str(missing)) from missing
            refusal = admit_member(request, found.organisation.slug, role=role)
            cast(ProviderRequest, request).provider = found
            response = refusal or view(request, *args, provider=provider, **kwargs)
            return never_stored(response)

        return guarded

    return decorate


def render_page(
    request: ProviderRequest, template: str, context: dict[str, Any] | None = None, **kwargs: Any
) -> HttpResponse:
    """A page in the provider's layout, which needs to know whose it is."""
    return render(request, template, {"provider": request.provider, **(context or {})}, **kwargs)
