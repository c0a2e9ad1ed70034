"""An organisation's first pages: where it stands, and how to make the first call."""

from datetime import timedelta

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from accounts import selectors as accounts_selectors
from accounts import services as accounts
from accounts.access import (
    OrganisationRequest,
    PersonRequest,
    organisation_view,
    person_view,
    recent_sign_in_required,
)
from accounts.models import Role
from accounts.once import is_first_time, new_once
from marketplace.billing import selectors as billing
from marketplace.catalog import selectors as catalog
from marketplace.metering import selectors as metering
from portal.kernel.clock import utc_now
from portal.web.budget_alerts import list_nearly_used
from portal.web.snippets import build_snippets

COST_DAYS = 30
RECENT_CALLS = 5
# The start page asks itself again while it waits for the first call.
POLL_SECONDS = 3


@require_safe
@person_view
def choose_organisation(request: PersonRequest) -> HttpResponse:
    """To the person's organisation, or to a choice where there are several."""
    organisations = list(accounts_selectors.list_organisations_of(user=request.user))
    if len(organisations) == 1:
        return redirect("web:home", organisation=organisations[0].slug)
    return render(request, "web/organisations.html", {"organisations": organisations})


@require_safe
@organisation_view()
def home(request: OrganisationRequest, organisation: str) -> HttpResponse:
    """Balance, run-out and cost; for a member their own cost, for a newcomer the next step."""
    now = utc_now()
    tenant, role = request.organisation, request.membership.role
    member = request.user if role == Role.MEMBER else None
    # Days begin at midnight, and today is one of them: the same as the usage page counts.
    since = now - timedelta(days=COST_DAYS - 1)
    return render(
        request,
        "web/home.html",
        {
            "cost_days": COST_DAYS,
            "spend": metering.get_spend(organisation=tenant, since=since, member=member),
            "recent_calls": metering.list_calls(organisation=tenant, member=member)[:RECENT_CALLS],
            "steps": _checklist(request),
            "may_buy": role in {Role.OWNER, Role.BILLING},
            "only_own": member is not None,
            "tight_budgets": list_nearly_used(request.membership, now=now),
        },
    )


def _checklist(request: OrganisationRequest) -> dict[str, bool]:
    """Which of the four first steps are done; empty once all are."""
    tenant = request.organisation
    steps = {
        "verified": tenant.verified_at is not None,
        "key": accounts_selectors.list_api_keys(organisation=tenant).exists(),
        "call": metering.has_first_call(organisation=tenant),
        "pack": billing.has_paid_order(organisation=tenant),
    }
    return {} if all(steps.values()) else steps


@require_safe
@organisation_view()
def start(request: OrganisationRequest, organisation: str) -> HttpResponse:
    """A key, a snippet, and word of the first call when it arrives."""
    return _render_start(request)


@require_http_methods(["GET", "HEAD", "POST"])
@organisation_view()
@recent_sign_in_required
def create_first_key(request: OrganisationRequest, organisation: str) -> HttpResponse:
    """Make a key and show it once, in this very answer: it is never stored or put in a session."""
    if request.method != "POST" or not is_first_time(request.user, request.POST.get("once", "")):
        return redirect("web:start", organisation=organisation)
    now = utc_now()
    _key, secret = accounts.create_api_key(
        organisation=request.organisation,
        created_by=request.user,
        kind="live",
        name="First key",
        scopes=["inference", "read"],
        now=now,
        actor=accounts.actor_from_request(request),
    )
    return _render_start(request, secret=secret)


def _render_start(request: OrganisationRequest, *, secret: str = "") -> HttpResponse:
    now = utc_now()
    tenant = request.organisation
    services = catalog.list_callable_services(unit="live", now=now)
    member = request.user if request.membership.role == Role.MEMBER else None
    example = next(
        (service for service in services if service.modality == "chat" and service.is_connected),
        None,
    )
    model = example.model_handle if example else "qwen/qwen3-8b"
    fragment = "HX-Request" in request.headers and not secret
    return render(
        request,
        "web/start_waiting.html" if fragment else "web/start.html",
        {
            "secret": secret,
            "once": new_once(),
            "snippets": build_snippets(model=model, **({"key": secret} if secret else {})),
            "first_call": metering.get_first_call(organisation=tenant, member=member),
            "poll_seconds": POLL_SECONDS,
        },
    )
