"""Automatic top-up: how it stands, the card, what to agree to, and off at once."""

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts.access import OrganisationRequest, organisation_view
from accounts.models import Role
from accounts.services import actor_from_request
from marketplace.billing import services, top_up_state
from marketplace.billing.models import SavedCard, TopUpRule
from marketplace.billing.top_up_forms import TopUpForm, describe_rule
from marketplace.billing.views.buying import STATUS_BY_KIND
from portal.kernel.clock import utc_now
from portal.kernel.errors import DomainError

_ORDERS_SHOWN = 10


@require_http_methods(["GET", "HEAD", "POST"])
@organisation_view(role=Role.BILLING)
def top_up(request: OrganisationRequest, organisation: str) -> HttpResponse:
    """How it stands. With terms in the address: what they mean. That page posts back here."""
    rule = top_up_state.find_rule(request.organisation)
    if rule is None:
        services.look_at_card_visits(organisation=request.organisation, now=utc_now())
    card = rule.card if rule else top_up_state.find_card(request.organisation)
    if request.method == "POST":
        return _agree(request, rule, card)
    if card is None or "pack" not in request.GET:
        return _render_page(request, rule, card)
    form = TopUpForm(request.GET, organisation=request.organisation, card=card)
    if not form.is_valid():
        return _render_page(request, rule, card, form, status=400)
    return _render_consent(request, form)


@require_POST
@organisation_view(role=Role.BILLING)
def switch_off(request: OrganisationRequest, organisation: str) -> HttpResponse:
    services.switch_off_top_up(
        organisation=request.organisation, actor=actor_from_request(request), now=utc_now()
    )
    messages.success(request, _("Automatic top-up is off. Nothing more will be charged."))
    return redirect("billing:top_up", organisation=organisation)


@require_POST
@organisation_view(role=Role.BILLING)
def save_card(request: OrganisationRequest, organisation: str) -> HttpResponse:
    """To the payment provider's page for it."""
    try:
        address = services.begin_card_visit(
            organisation=request.organisation, user=request.user, now=utc_now()
        )
    except DomainError as error:
        rule = top_up_state.find_rule(request.organisation)
        card = top_up_state.find_card(request.organisation)
        return _render_page(request, rule, card, problem=error)
    return redirect(address)


@require_POST
@organisation_view(role=Role.BILLING)
def remove_card(request: OrganisationRequest, organisation: str, card: str) -> HttpResponse:
    found = SavedCard.objects.filter(
        organisation=request.organisation, public_id=card, saved_at__isnull=False
    ).first()
    if found is None:
        raise Http404
    services.remove_card(card=found, actor=actor_from_request(request), now=utc_now())
    messages.success(request, _("The card is removed. It will not be charged again."))
    return redirect("billing:top_up", organisation=organisation)


def _agree(
    request: OrganisationRequest, rule: TopUpRule | None, card: SavedCard | None
) -> HttpResponse:
    if card is None:
        return _render_page(request, rule, card, problem=services.NoSavedCard())
    form = TopUpForm(request.POST, organisation=request.organisation, card=card)
    if not form.is_valid() or form.terms is None:
        return _render_page(request, rule, card, form, status=400)
    try:
        services.agree_to_top_up(
            terms=form.terms,
            digest=request.POST.get("digest", ""),
            user=request.user,
            actor=actor_from_request(request),
            now=utc_now(),
        )
    except DomainError as error:
        return _render_consent(request, form, problem=error)
    messages.success(request, _("Automatic top-up is on."))
    return redirect("billing:top_up", organisation=request.organisation.slug)


def _render_page(
    request: OrganisationRequest,
    rule: TopUpRule | None,
    card: SavedCard | None,
    form: TopUpForm | None = None,
    *,
    problem: DomainError | None = None,
    status: int = 200,
) -> HttpResponse:
    tenant, now = request.organisation, utc_now()
    judgement = top_up_state.judge_rule(rule, now=now) if rule else None
    waits = judgement is not None and judgement.reason == "in_flight"
    if form is None and card is not None:
        initial = describe_rule(rule) if rule else None
        form = TopUpForm(organisation=tenant, card=card, initial=initial)
    return render(
        request,
        "billing/top_up.html",
        {
            "rule": rule,
            "judgement": judgement,
            "in_flight": top_up_state.find_open_order(tenant) if waits else None,
            "month_minor": top_up_state.sum_of_month(rule, now=now) if rule else 0,
            "last_rule": None if rule else top_up_state.find_last_rule(tenant),
            "card": card,
            "form": form,
            "orders": top_up_state.list_top_up_orders(tenant)[:_ORDERS_SHOWN],
            "problem": problem,
        },
        status=STATUS_BY_KIND.get(problem.kind, 400) if problem else status,
    )


def _render_consent(
    request: OrganisationRequest, form: TopUpForm, *, problem: DomainError | None = None
) -> HttpResponse:
    """The words to agree to, with all that they were made from."""
    return render(
        request,
        "billing/top_up_consent.html",
        {"form": form, "terms": form.terms, "problem": problem},
        status=STATUS_BY_KIND.get(problem.kind, 400) if problem else 200,
    )
