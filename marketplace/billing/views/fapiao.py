"""Fapiao: the list of what was asked for, the form that asks, and taking it back."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import OrganisationRequest, organisation_view
from accounts.models import Organisation, Role
from accounts.services import actor_from_request
from marketplace.billing import fapiao as selectors
from marketplace.billing import services
from marketplace.billing.forms import FapiaoForm
from marketplace.billing.models import FAPIAO_CURRENCY, FapiaoKind, Order, kept_minor
from marketplace.billing.views.buying import STATUS_BY_KIND
from portal.kernel.clock import utc_now
from portal.kernel.errors import DomainError, NotFound
from portal.kernel.quantities import format_money

FAPIAO_PER_PAGE = 25


@require_safe
@organisation_view(role=Role.BILLING)
def fapiao_list(request: OrganisationRequest, organisation: str) -> HttpResponse:
    return _show_list(request)


@require_http_methods(["GET", "HEAD", "POST"])
@organisation_view(role=Role.BILLING)
def ask_fapiao(request: OrganisationRequest, organisation: str) -> HttpResponse:
    """``?order=`` ticks one; what the company's settings know is filled in."""
    able = selectors.list_fapiao_orders(organisation=request.organisation)
    choices = [(order.public_id, _label(order)) for order in able[: services.MAX_FAPIAO_ORDERS]]
    form = FapiaoForm(
        request.POST if request.method == "POST" else None,
        orders=choices,
        initial=_propose(request.organisation) | {"orders": request.GET.getlist("order")},
    )
    status = 200
    if request.method == "POST":
        status = 400
        if form.is_valid():
            said = dict(form.cleaned_data)
            try:
                services.request_fapiao(
                    organisation=request.organisation,
                    user=request.user,
                    orders=said.pop("orders"),
                    details=services.FapiaoDetails(kind=FapiaoKind(said.pop("kind")), **said),
                    actor=actor_from_request(request),
                    now=utc_now(),
                )
            except DomainError as refusal:
                form.add_error(refusal.data.get("field"), str(refusal))
                status = STATUS_BY_KIND.get(refusal.kind, 400)
            else:
                messages.success(request, _("We have your request. You see here how it goes on."))
                return redirect("billing:fapiao", organisation=organisation)
    return render(
        request, "billing/ask_fapiao.html", {"form": form, "able": choices}, status=status
    )


@require_POST
@organisation_view(role=Role.BILLING)
def withdraw_fapiao(request: OrganisationRequest, organisation: str, fapiao: str) -> HttpResponse:
    """Back to the list, which says so if we decided first."""
    try:
        found = selectors.get_fapiao(organisation=request.organisation, public_id=fapiao)
    except NotFound as error:
        raise Http404 from error
    try:
        services.withdraw_fapiao(fapiao=found, actor=actor_from_request(request), now=utc_now())
    except DomainError as refusal:
        return _show_list(request, problem=refusal)
    messages.success(request, _("Withdrawn. Its orders can be asked for again."))
    return redirect("billing:fapiao", organisation=organisation)


def _show_list(request: OrganisationRequest, problem: DomainError | None = None) -> HttpResponse:
    rows = selectors.list_fapiao(organisation=request.organisation)
    return render(
        request,
        "billing/fapiao.html",
        {
            "page": Paginator(rows, FAPIAO_PER_PAGE).get_page(request.GET.get("page")),
            "able": selectors.list_fapiao_orders(organisation=request.organisation).exists(),
            "problem": problem,
        },
        status=STATUS_BY_KIND.get(problem.kind, 400) if problem else 200,
    )


def _label(order: Order) -> str:
    """Pack, amount that was kept, invoice's number; and that no money moved where none did."""
    invoice = order.invoice
    words = {
        "pack": order.pack_name,
        "amount": format_money(kept_minor(order), FAPIAO_CURRENCY, get_language() or "en"),
        "invoice": invoice.label if invoice else order.public_id,
    }
    return _("%(pack)s, %(amount)s, invoice %(invoice)s") % words


def _propose(organisation: Organisation) -> dict[str, str]:
    in_china = organisation.country == "CN"
    return {
        "kind": FapiaoKind.ORDINARY.value,
        "title": organisation.legal_name or organisation.name,
        "tax_id": organisation.tax_id if in_china else "",
        "address": organisation.address if in_china else "",
        "email": organisation.billing_email,
    }
