"""Webhooks: owners choose where their own systems are told of events, and see what was sent."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.forms import Form
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import selectors, services
from accounts.access import OrganisationRequest, organisation_view, posted, recent_sign_in_required
from accounts.forms.webhooks import NewWebhookForm, OnceForm, WebhookForm
from accounts.models import Role, WebhookEndpoint
from accounts.once import is_first_time, new_once
from portal.kernel.clock import utc_now
from portal.kernel.errors import DomainError, NotFound

_PAGE_SIZE = 25


@require_safe
@organisation_view(role=Role.OWNER)
def webhook_list(request: OrganisationRequest, organisation: str) -> HttpResponse:
    endpoints = selectors.list_webhooks(request.organisation)
    return render(request, "accounts/webhooks.html", {"endpoints": endpoints})


@require_http_methods(["GET", "HEAD", "POST"])
@organisation_view(role=Role.OWNER)
@recent_sign_in_required
def create_webhook(request: OrganisationRequest, organisation: str) -> HttpResponse:
    """Add one and show its secret once, in this very answer."""
    form = NewWebhookForm(posted(request), initial={"once": new_once()})
    if request.method == "POST" and form.is_valid():
        if not is_first_time(request.user, form.cleaned_data["once"]):
            return _say_done_already(request, organisation)
        try:
            endpoint, secret = services.create_webhook(
                organisation=request.organisation,
                created_by=request.user,
                actor=services.actor_from_request(request),
                now=utc_now(),
                **form.settings(),
            )
        except DomainError as refusal:
            _add_refusal(form, refusal)
            # Nothing was made: this very form may be mended and sent again.
            again = request.POST.copy()
            again["once"] = new_once()
            form.data = again
        else:
            return _show_once(request, endpoint, secret)
    return _render_form(request, "accounts/create_webhook.html", form)


@require_safe
@organisation_view(role=Role.OWNER)
def webhook(request: OrganisationRequest, organisation: str, webhook: str) -> HttpResponse:
    """One endpoint and the log of what was sent to it."""
    endpoint = _get_webhook(request, webhook)
    log = Paginator(selectors.list_webhook_deliveries(endpoint), _PAGE_SIZE)
    page = log.get_page(request.GET.get("page"))
    return render(request, "accounts/webhook.html", {"endpoint": endpoint, "page": page})


@require_http_methods(["GET", "HEAD", "POST"])
@organisation_view(role=Role.OWNER)
@recent_sign_in_required
def change_webhook(request: OrganisationRequest, organisation: str, webhook: str) -> HttpResponse:
    """Another address or other events. Sending the form twice is once."""
    endpoint = _get_webhook(request, webhook)
    now_set = {"url": endpoint.url, "event_types": endpoint.event_types}
    form = WebhookForm(posted(request), initial=now_set)
    if request.method == "POST" and form.is_valid():
        try:
            services.change_webhook(
                endpoint=endpoint,
                actor=services.actor_from_request(request),
                now=utc_now(),
                **form.settings(),
            )
        except DomainError as refusal:
            _add_refusal(form, refusal)
        else:
            messages.success(request, _("Webhook changed."))
            return redirect("accounts:webhook", organisation=organisation, webhook=webhook)
    return _render_form(request, "accounts/change_webhook.html", form, endpoint)


@require_http_methods(["GET", "HEAD", "POST"])
@organisation_view(role=Role.OWNER)
@recent_sign_in_required
def rotate_secret(request: OrganisationRequest, organisation: str, webhook: str) -> HttpResponse:
    """A new secret, shown once; the old one counts for a day more."""
    endpoint = _get_webhook(request, webhook)
    form = OnceForm(posted(request), initial={"once": new_once()})
    if request.method == "POST" and form.is_valid():
        if not is_first_time(request.user, form.cleaned_data["once"]):
            return _say_done_already(request, organisation)
        secret = services.rotate_webhook_secret(
            endpoint=endpoint, actor=services.actor_from_request(request), now=utc_now()
        )
        return _show_once(request, endpoint, secret, rotated=True)
    return _render_form(request, "accounts/rotate_webhook_secret.html", form, endpoint)


@require_http_methods(["GET", "HEAD", "POST"])
@organisation_view(role=Role.OWNER)
@recent_sign_in_required
def remove_webhook(request: OrganisationRequest, organisation: str, webhook: str) -> HttpResponse:
    """For good, after saying what goes with it."""
    endpoint = _get_webhook(request, webhook)
    if request.method == "POST":
        services.remove_webhook(
            endpoint=endpoint, actor=services.actor_from_request(request), now=utc_now()
        )
        messages.success(request, _("Webhook removed."))
        return redirect("accounts:webhooks", organisation=organisation)
    return render(request, "accounts/remove_webhook.html", {"endpoint": endpoint})


@require_POST
@organisation_view(role=Role.OWNER)
def test_webhook(request: OrganisationRequest, organisation: str, webhook: str) -> HttpResponse:
    endpoint = _get_webhook(request, webhook)
    try:
        services.test_webhook(endpoint=endpoint, now=utc_now())
    except DomainError as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, _("A test is on its way. Its outcome shows below."))
    return redirect("accounts:webhook", organisation=organisation, webhook=webhook)


@require_POST
@organisation_view(role=Role.OWNER)
def resume_webhook(request: OrganisationRequest, organisation: str, webhook: str) -> HttpResponse:
    services.resume_webhook(
        endpoint=_get_webhook(request, webhook),
        actor=services.actor_from_request(request),
        now=utc_now(),
    )
    messages.success(request, _("Webhook switched on."))
    return redirect("accounts:webhook", organisation=organisation, webhook=webhook)


@require_POST
@organisation_view(role=Role.OWNER)
def resend(
    request: OrganisationRequest, organisation: str, webhook: str, delivery: str
) -> HttpResponse:
    endpoint = _get_webhook(request, webhook)
    try:
        found = selectors.get_webhook_delivery(endpoint, delivery)
        services.resend_webhook(delivery=found, now=utc_now())
    except NotFound as missing:
        raise Http404 from missing
    except DomainError as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, _("The message is on its way again."))
    return redirect("accounts:webhook", organisation=organisation, webhook=webhook)


def _get_webhook(request: OrganisationRequest, public_id: str) -> WebhookEndpoint:
    try:
        return selectors.get_webhook(request.organisation, public_id)
    except NotFound as missing:
        raise Http404 from missing


def _render_form(
    request: OrganisationRequest, template: str, form: Form, endpoint: WebhookEndpoint | None = None
) -> HttpResponse:
    status = 400 if form.is_bound else 200
    return render(request, template, {"form": form, "endpoint": endpoint}, status=status)


def _show_once(
    request: OrganisationRequest, endpoint: WebhookEndpoint, secret: str, *, rotated: bool = False
) -> HttpResponse:
    context = {"endpoint": endpoint, "secret": secret, "rotated": rotated}
    return render(request, "accounts/webhook_secret.html", context)


def _say_done_already(request: OrganisationRequest, organisation: str) -> HttpResponse:
    messages.info(
        request, _("That was done already. A secret is shown once: change it if you lost it.")
    )
    return redirect("accounts:webhooks", organisation=organisation)


def _add_refusal(form: Form, refusal: DomainError) -> None:
    named = refusal.data.get("field", "")
    form.add_error(named if named in form.fields else None, str(refusal))
