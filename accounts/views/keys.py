"""API keys. Members see and manage their own, owners all of their organisation's."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.forms import Form
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import selectors, services
from accounts.access import OrganisationRequest, organisation_view, posted, recent_sign_in_required
from accounts.forms.keys import KeyForm, RotateForm
from accounts.hooks import hooks
from accounts.key_words import KEY_STATUSES, SCOPES
from accounts.models import ApiKey, ApiKeyQuerySet, KeyKind, Role
from accounts.once import is_first_time, new_once
from portal.kernel.clock import utc_now
from portal.kernel.errors import DomainError, NotFound

PAGE_SIZE = 50


@require_safe
@organisation_view()
def keys(request: OrganisationRequest, organisation: str) -> HttpResponse:
    """All keys one may see; those that ended for good only on demand."""
    now = utc_now()
    ended = request.GET.get("show") == "ended"
    visible = _visible_keys(request)
    chosen = visible.ended(now=now) if ended else visible.not_ended(now=now)
    page = Paginator(chosen, PAGE_SIZE).get_page(request.GET.get("page"))
    spend = hooks.spend_by_key(request.organisation, list(page))
    context = {
        "rows": [_row(request, key, now=now, spend=spend) for key in page],
        "page": page,
        "ended": ended,
        "sees_all": request.membership.includes(Role.OWNER),
    }
    return render(request, "accounts/keys.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@organisation_view()
@recent_sign_in_required
def create_key(request: OrganisationRequest, organisation: str) -> HttpResponse:
    """Make a key and show it once, in this very answer."""
    now = utc_now()
    form = KeyForm(
        posted(request),
        timezone=request.organisation.timezone,
        now=now,
        initial={"once": new_once()},
    )
    if request.method == "POST" and form.is_valid():
        if not is_first_time(request.user, form.cleaned_data["once"]):
            return _say_made_already(request, organisation)
        try:
            key, text = services.create_api_key(
                organisation=request.organisation,
                created_by=request.user,
                now=now,
                actor=services.actor_from_request(request),
                **form.settings(),
            )
        except DomainError as refusal:
            form.add_error(_form_field(form, refusal), str(refusal))
        else:
            return _show_once(request, key, text)
    return render(request, "accounts/create_key.html", {"form": form})


@require_safe
@organisation_view()
def key(request: OrganisationRequest, organisation: str, key: str) -> HttpResponse:
    """One key: what it may do, what it spent, what can be done with it."""
    found, now = get_visible_key(request, key), utc_now()
    allowed = set(found.allowed_services)
    known = {choice.public_id: choice.label for choice in hooks.list_services()} if allowed else {}
    policies = services.apply_policies(organisation=request.organisation.policy, key=found.policy)
    unit = KeyKind.TEST if found.kind == KeyKind.TEST else KeyKind.LIVE
    context = {
        **_row(request, found, now=now, spend=hooks.spend_by_key(request.organisation, [found])),
        "scopes": [SCOPES.get(scope, scope) for scope in found.scopes],
        "allowed_services": [known.get(public_id, public_id) for public_id in sorted(allowed)],
        # Of the services that can be called, those that pass and all; None without a policy.
        "permitted": hooks.count_permitted(policies, unit) if policies.policies else None,
        "holder_is_out": not found.holder_is_in,
        "requests_per_minute": found.requests_per_minute
        or settings.GATEWAY_KEY_REQUESTS_PER_MINUTE,
        "tokens_per_minute": found.tokens_per_minute or settings.GATEWAY_KEY_TOKENS_PER_MINUTE,
    }
    return render(request, "accounts/key.html", context)


@require_POST
@organisation_view()
def suspend_key(request: OrganisationRequest, organisation: str, key: str) -> HttpResponse:
    """Refuse its calls, from now until it is resumed. No question asked: it can be undone."""
    try:
        services.suspend_api_key(
            key=get_visible_key(request, key),
            actor=services.actor_from_request(request),
            now=utc_now(),
        )
    except DomainError as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(
            request, _("Key suspended. Within five seconds all calls with it are refused.")
        )
    return redirect(_back(request, organisation, key))


@require_POST
@organisation_view()
@recent_sign_in_required
def resume_key(request: OrganisationRequest, organisation: str, key: str) -> HttpResponse:
    """Let its calls through again."""
    try:
        services.resume_api_key(
            key=get_visible_key(request, key),
            membership=request.membership,
            actor=services.actor_from_request(request),
            now=utc_now(),
        )
    except DomainError as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, _("Key resumed."))
    return redirect(_back(request, organisation, key))


@require_http_methods(["GET", "HEAD", "POST"])
@organisation_view()
@recent_sign_in_required
def rotate_key(request: OrganisationRequest, organisation: str, key: str) -> HttpResponse:
    """A new text for the same rights, shown once; the old one ends after a grace."""
    found = get_visible_key(request, key)
    form = RotateForm(posted(request), initial={"once": new_once()})
    if request.method == "POST" and form.is_valid():
        if not is_first_time(request.user, form.cleaned_data["once"]):
            return _say_made_already(request, organisation)
        try:
            successor, text = services.rotate_api_key(
                key=found,
                grace=form.cleaned_data["grace"],
                holder=None if found.holder_is_in else request.user,
                actor=services.actor_from_request(request),
                now=utc_now(),
            )
        except DomainError as refusal:
            form.add_error(None, str(refusal))
        else:
            return _show_once(request, successor, text, rotated=found)
    return render(request, "accounts/rotate_key.html", {"form": form, "key": found})


@require_http_methods(["GET", "HEAD", "POST"])
@organisation_view()
@recent_sign_in_required
def revoke_key(request: OrganisationRequest, organisation: str, key: str) -> HttpResponse:
    """End a key for good, after saying so."""
    found = get_visible_key(request, key)
    if request.method == "POST":
        services.revoke_api_key(
            key=found, actor=services.actor_from_request(request), now=utc_now()
        )
        messages.success(request, _("Key revoked."))
        return redirect("accounts:keys", organisation=organisation)
    return render(request, "accounts/revoke_key.html", {"key": found})


def _visible_keys(request: OrganisationRequest) -> ApiKeyQuerySet:
    own_only = None if request.membership.includes(Role.OWNER) else request.user
    return selectors.list_api_keys(request.organisation, created_by=own_only)


def get_visible_key(request: OrganisationRequest, public_id: str) -> ApiKey:
    """404 for another tenant's key as for a colleague's that one may not see."""
    try:
        found = selectors.get_api_key(request.organisation, public_id)
    except NotFound as missing:
        raise Http404 from missing
    if not request.membership.includes(Role.OWNER) and found.created_by_id != request.user.pk:
        raise Http404
    return found


def _row(request: OrganisationRequest, key: ApiKey, *, now: Any, spend: Any) -> dict[str, Any]:
    stored = key.status(now=now)
    # Shown is what its caller meets: a key whose holder is out is refused like a suspended one.
    in_use = stored in {"active", "rotated"}
    status = "suspended" if in_use and not key.holder_is_in else stored
    return {
        "key": key,
        "status": status,
        "status_label": KEY_STATUSES[status],
        "spent_millitokens": spend.get(key.public_id),
        "can_suspend": in_use and key.holder_is_in,
        "can_resume": status == "suspended" and services.may_resume(key, request.membership),
        "can_rotate": stored == "active",
        "can_revoke": status != "revoked",
    }


def _show_once(
    request: OrganisationRequest, key: ApiKey, text: str, *, rotated: ApiKey | None = None
) -> HttpResponse:
    """The only time that the text leaves the process; ``organisation_view`` adds no-store."""
    if rotated:
        rotated.refresh_from_db()
    context = {"key": key, "secret": text, "rotated": rotated}
    return render(request, "accounts/key_created.html", context)


def _say_made_already(request: OrganisationRequest, organisation: str) -> HttpResponse:
    messages.warning(
        request,
        _(
            "The key was made already, and its text was shown once. If you did not keep it, "
            "revoke the key and create another."
        ),
    )
    return redirect("accounts:keys", organisation=organisation)


def _form_field(form: Form, refusal: DomainError) -> str | None:
    field = {"cap_millitokens": "cap_tokens", "expires_at": "expires_on"}.get(
        refusal.data.get("field", ""), refusal.data.get("field")
    )
    return field if field in form.fields else None


def _back(request: OrganisationRequest, organisation: str, key: str) -> str:
    """To the list or to the key's own page, whence the button was pressed."""
    if request.POST.get("from") == "key":
        return reverse("accounts:key", args=[organisation, key])
    return reverse("accounts:keys", args=[organisation])
