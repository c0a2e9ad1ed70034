"""How a provider's own systems talk to the market: keys, addresses, an example."""

import secrets

from django.conf import settings
from django.contrib import messages
from django.core.cache import cache
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts import selectors as accounts_selectors
from accounts import services as accounts
from accounts.access import posted, recent_sign_in_required
from accounts.models import ApiKey, KeyKind, Role
from marketplace.partners.access import ProviderRequest, provider_view, render_page
from marketplace.partners.forms import ProviderKeyForm
from portal.kernel.clock import utc_now
from portal.kernel.errors import DomainError, NotFound

ONCE_SECONDS = 24 * 3600


@require_safe
@provider_view(Role.OWNER)
def integration(request: ProviderRequest, provider: str) -> HttpResponse:
    """The provider's keys, and where to send requests."""
    keys = accounts_selectors.list_api_keys(request.organisation).filter(kind=KeyKind.PROVIDER)
    api_url = f"{settings.SITE_URL}/api/provider/v1"
    context = {
        "keys": keys,
        "now": utc_now(),
        "api_url": api_url,
        "jwks_url": f"{settings.SITE_URL}/.well-known/tokenworks/jwks.json",
        "snippets": _build_snippets(api_url),
    }
    return render_page(request, "partners/integration.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@provider_view(Role.OWNER)
@recent_sign_in_required
def create_key(request: ProviderRequest, provider: str) -> HttpResponse:
    """Make a provider key and show it once, in this very answer."""
    form = ProviderKeyForm(posted(request), initial={"once": secrets.token_hex(16)})
    if request.method == "POST" and form.is_valid():
        if not _first_time(request, form):
            messages.warning(
                request,
                _("The key was made already and shown once. If you lost it, make another."),
            )
            return redirect("partners:integration", provider=provider)
        try:
            key, text = accounts.create_api_key(
                organisation=request.organisation,
                created_by=request.user,
                kind=KeyKind.PROVIDER,
                name=form.cleaned_data["name"],
                now=utc_now(),
                actor=accounts.actor_from_request(request),
            )
        except DomainError as refusal:
            form.add_error(None, str(refusal))
        else:
            context = {"key": key, "secret": text}
            return render_page(request, "partners/key_created.html", context)
    return render_page(request, "partners/create_key.html", {"form": form})


@require_http_methods(["GET", "HEAD", "POST"])
@provider_view(Role.OWNER)
@recent_sign_in_required
def revoke_key(request: ProviderRequest, provider: str, key: str) -> HttpResponse:
    """End a provider key for good, after a question."""
    found = _own_key(request, key)
    if request.method == "POST":
        accounts.revoke_api_key(
            key=found, actor=accounts.actor_from_request(request), now=utc_now()
        )
        messages.success(request, _("Key revoked. Requests with it are refused from now on."))
        return redirect("partners:integration", provider=provider)
    return render_page(request, "partners/revoke_key.html", {"key": found})


def _build_snippets(api_url: str) -> list[tuple[str, str, str]]:
    """The same request in two ways: id, name, code."""
    curl = f'curl {api_url}/services \\\n  -H "Authorization: Bearer $TOKENWORKS_PROVIDER_KEY"'
    python = (
        "import json, os, urllib.request\n\n"
        "request = urllib.request.Request(\n"
        f'    "{api_url}/services",\n'
        '    headers={"Authorization": "Bearer " + os.environ["TOKENWORKS_PROVIDER_KEY"]},\n'
        ")\n"
        "print(json.load(urllib.request.urlopen(request)))"
    )
    return [("curl", "curl", curl), ("python", "Python", python)]


def _own_key(request: ProviderRequest, public_id: str) -> ApiKey:
    try:
        key = accounts_selectors.get_api_key(request.organisation, public_id)
    except NotFound as missing:
        raise Http404(str(missing)) from missing
    if key.kind != KeyKind.PROVIDER:
        raise Http404
    return key


def _first_time(request: ProviderRequest, form: ProviderKeyForm) -> bool:
    """Whether this very form was not sent before: a reload must not make a second key."""
    name = f"partners:once:{request.user.pk}:{form.cleaned_data['once']}"
    return bool(cache.add(name, True, ONCE_SECONDS))
