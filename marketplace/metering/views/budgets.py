"""Budgets as the tenant sees them: how each stands, making, changing and archiving one."""

from django.contrib import messages
from django.forms import Form
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts import selectors as accounts
from accounts.access import OrganisationRequest, organisation_view, posted
from accounts.models import Role, User
from accounts.services import actor_from_request
from marketplace.metering import selectors, services
from marketplace.metering.forms import BudgetForm, NewBudgetForm
from marketplace.metering.models import Budget
from marketplace.metering.selectors import BudgetState
from portal.kernel.clock import utc_now
from portal.kernel.errors import DomainError, NotFound


@require_safe
@organisation_view()
def budget_list(request: OrganisationRequest, organisation: str) -> HttpResponse:
    """All for owners and billing, for members those that concern them; beside them keys' caps."""
    now = utc_now()
    member = _own_only(request)
    budgets = list(selectors.list_budgets(request.organisation, member=member))
    states = selectors.get_budget_states(budgets, now=now)
    sees_all_keys = request.membership.includes(Role.OWNER)
    keys = list(
        accounts.list_api_keys(
            request.organisation, created_by=None if sees_all_keys else request.user
        )
        .not_ended(now=now)
        .filter(cap_millitokens__isnull=False)
        .select_related("organisation", "created_by")
    )
    key_states = selectors.get_key_states(keys, now=now)
    return render(
        request,
        "metering/budgets.html",
        {
            "rows": [(budget, states[budget.pk]) for budget in budgets],
            "key_rows": [(key, key_states[key.pk]) for key in keys],
            "may_change": request.membership.includes(Role.BILLING),
            "only_own": member is not None,
        },
    )


@require_http_methods(["GET", "HEAD", "POST"])
@organisation_view(role=Role.BILLING)
def create_budget(request: OrganisationRequest, organisation: str) -> HttpResponse:
    """Sent twice, it is made once."""
    form = NewBudgetForm(posted(request), organisation=request.organisation)
    if request.method == "POST" and form.is_valid():
        try:
            services.create_budget(
                organisation=request.organisation,
                created_by=request.user,
                actor=actor_from_request(request),
                now=utc_now(),
                **form.settings(),
            )
        except DomainError as refusal:
            _add_refusal(form, refusal)
        else:
            messages.success(request, _("Budget made. It is in force within a few seconds."))
            return redirect("metering:budgets", organisation=organisation)
    status = 400 if form.is_bound else 200
    return render(request, "metering/create_budget.html", {"form": form}, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@organisation_view(role=Role.BILLING)
def change_budget(request: OrganisationRequest, organisation: str, budget: str) -> HttpResponse:
    """Maximum and alerts; whose it is and its period stay."""
    found = _get_budget(request, budget)
    form = BudgetForm(posted(request), initial=BudgetForm.initial_of(found))
    if request.method == "POST" and form.is_valid():
        try:
            services.change_budget(
                budget=found,
                actor=actor_from_request(request),
                now=utc_now(),
                **form.settings(),
            )
        except DomainError as refusal:
            _add_refusal(form, refusal)
        else:
            messages.success(request, _("Budget changed. It is in force within a few seconds."))
            return redirect("metering:budgets", organisation=organisation)
    context = {"form": form, "budget": found, "state": _state_of(found)}
    status = 400 if form.is_bound else 200
    return render(request, "metering/change_budget.html", context, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@organisation_view(role=Role.BILLING)
def archive_budget(request: OrganisationRequest, organisation: str, budget: str) -> HttpResponse:
    """End a budget, after saying what that means."""
    found = _get_budget(request, budget)
    if request.method == "POST":
        services.archive_budget(budget=found, actor=actor_from_request(request), now=utc_now())
        messages.success(request, _("Budget archived. It limits no calls any more."))
        return redirect("metering:budgets", organisation=organisation)
    return render(request, "metering/archive_budget.html", {"budget": found})


def _own_only(request: OrganisationRequest) -> User | None:
    return request.user if selectors.sees_own_budgets_only(request.membership) else None


def _get_budget(request: OrganisationRequest, public_id: str) -> Budget:
    """404 for another tenant's, and for one that is archived: nothing is left to do with it."""
    try:
        found = selectors.get_budget(request.organisation, public_id)
    except NotFound as missing:
        raise Http404 from missing
    if found.archived_at and request.method != "POST":
        raise Http404
    return found


def _state_of(budget: Budget) -> BudgetState:
    return selectors.get_budget_states([budget], now=utc_now())[budget.pk]


def _add_refusal(form: Form, refusal: DomainError) -> None:
    fields = {"max_millitokens": "max_tokens", "alert_percentages": "alerts"}
    named = refusal.data.get("field", "")
    field = fields.get(named, named)
    form.add_error(field if field in form.fields else None, str(refusal))
