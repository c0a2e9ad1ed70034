"""Orders. Pages only read; a waiting one may wake the worker to look."""

from django.core.cache import cache
from django.core.paginator import Paginator
from django.db.models import prefetch_related_objects
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from accounts.access import OrganisationRequest, organisation_view
from accounts.models import Role
from accounts.services import actor_from_request
from marketplace.billing import selectors, services
from marketplace.billing.bank.instructions import describe_transfer
from marketplace.billing.fapiao import buys_in_yuan, find_fapiao_of, may_ask_fapiao
from marketplace.billing.models import Order, OrderStatus, PurchaseState
from marketplace.billing.paper import describe_proforma, draw_pdf
from marketplace.billing.providers import tax_is_computed_on_payment
from marketplace.billing.refund_rule import quote_refund
from marketplace.billing.views.buying import STATUS_BY_KIND, send_to_payment
from marketplace.billing.views.documents import send_pdf
from portal.kernel.clock import utc_now
from portal.kernel.errors import DomainError, NotFound
from portal.kernel.waking import wake_on_commit

ORDERS_PER_PAGE = 25
# A waiting page refreshes often; the provider is asked less often than that.
SECONDS_BETWEEN_CHECKS = 4


@require_safe
@organisation_view(role=Role.BILLING)
def order_list(request: OrganisationRequest, organisation: str) -> HttpResponse:
    orders = selectors.list_orders(organisation=request.organisation)
    page = Paginator(orders, ORDERS_PER_PAGE).get_page(request.GET.get("page"))
    asked = selectors.list_purchase_requests(membership=request.membership)
    return render(
        request,
        "billing/orders.html",
        {
            "page": page,
            "open_requests": asked.filter(state=PurchaseState.REQUESTED).count(),
            "has_fapiao": buys_in_yuan(organisation=request.organisation),
        },
    )


@require_safe
@organisation_view(role=Role.BILLING)
def order_detail(request: OrganisationRequest, organisation: str, order: str) -> HttpResponse:
    """Where the buyer comes back to, and may leave again at any time."""
    found = find_order(request, order)
    if found.status in (OrderStatus.PENDING, OrderStatus.PROCESSING) and not found.is_by_transfer:
        _have_it_checked(found)
    return _render_order(request, found)


@require_POST
@organisation_view(role=Role.BILLING)
def pay_order(request: OrganisationRequest, organisation: str, order: str) -> HttpResponse:
    """Back to the pay page, or to a new one after a decline."""
    found = find_order(request, order)
    try:
        return send_to_payment(request, found)
    except DomainError as error:
        return refuse(request, found, error)


@require_POST
@organisation_view(role=Role.BILLING)
def check_order(request: OrganisationRequest, organisation: str, order: str) -> HttpResponse:
    """The button "Check again": ask the provider now and say what it said."""
    found = find_order(request, order)
    try:
        services.settle_order(order_public_id=found.public_id, now=utc_now())
        services.settle_reversals(order_public_id=found.public_id, now=utc_now())
    except DomainError as error:
        return refuse(request, found, error)
    return _to_order(request, found)


@require_POST
@organisation_view(role=Role.BILLING)
def cancel_order(request: OrganisationRequest, organisation: str, order: str) -> HttpResponse:
    found = find_order(request, order)
    try:
        services.cancel_order(order=found, actor=actor_from_request(request), now=utc_now())
    except DomainError as error:
        return refuse(request, found, error)
    return _to_order(request, found)


@require_safe
@organisation_view(role=Role.BILLING)
def receipt(request: OrganisationRequest, organisation: str, order: str) -> HttpResponse:
    """To the order's invoice: links in older mails lead here."""
    invoice = find_order(request, order).invoice
    if invoice is None:
        raise Http404
    return redirect("billing:document", organisation=organisation, document=invoice.public_id)


@require_safe
@organisation_view(role=Role.BILLING)
def proforma(request: OrganisationRequest, organisation: str, order: str) -> HttpResponse:
    """What to transfer, on paper; only of an order that waits for a transfer."""
    found = _find_transfer_order(request, order)
    context = {"order": found, "paper": describe_proforma(found)}
    return render(request, "billing/proforma.html", context)


@require_safe
@organisation_view(role=Role.BILLING)
def proforma_pdf(request: OrganisationRequest, organisation: str, order: str) -> HttpResponse:
    found = _find_transfer_order(request, order)
    pdf = draw_pdf(describe_proforma(found))
    return send_pdf(pdf, name=f"pro-forma-{found.provider_session_id}")


def _find_transfer_order(request: OrganisationRequest, public_id: str) -> Order:
    found = find_order(request, public_id)
    if not describe_transfer(found):
        raise Http404
    return found


def _render_order(
    request: OrganisationRequest,
    order: Order,
    *,
    problem: DomainError | None = None,
    status: int = 200,
) -> HttpResponse:
    if money_back := selectors.has_money_back(order=order):
        prefetch_related_objects([order], "refund_requests__refund", "refunds", "disputes")
    return render(
        request,
        "billing/order.html",
        {
            "order": order,
            "surplus": selectors.list_surplus_payments(order=order),
            "waits": order.status in (OrderStatus.PENDING, OrderStatus.PROCESSING)
            and not order.is_mismatched
            and not order.is_by_transfer,
            "transfer": describe_transfer(order),
            "may_be_paid": order.may_be_paid(now=utc_now()),
            "may_be_cancelled": order.status in (OrderStatus.DRAFT, OrderStatus.PENDING)
            and not order.is_mismatched
            and not order.is_charging,
            "scope": selectors.describe_scopes([order.scope])[order.scope],
            "may_be_refunded": not quote_refund(order=order, now=utc_now()).refusal,
            "money_back": money_back,
            "refund_under_way": money_back and selectors.is_refund_under_way(order=order),
            "fapiao": find_fapiao_of(order=order),
            "may_ask_fapiao": may_ask_fapiao(order=order),
            "problem": problem,
            "tax_comes_later": tax_is_computed_on_payment()
            and not order.is_credited
            and not order.is_by_transfer,
        },
        status=status,
    )


def refuse(request: OrganisationRequest, order: Order, error: DomainError) -> HttpResponse:
    """The order as it is by now, with what went wrong on top."""
    fresh = find_order(request, order.public_id)
    status = STATUS_BY_KIND.get(error.kind, 400)
    return _render_order(request, fresh, problem=error, status=status)


def _have_it_checked(order: Order) -> None:
    """The row is the intent; this only saves the buyer from waiting for the sweep."""
    if cache.add(f"billing:checked:{order.public_id}", True, SECONDS_BETWEEN_CHECKS):
        wake_on_commit("billing.settle_order", order.public_id)


def _to_order(request: OrganisationRequest, order: Order) -> HttpResponse:
    return redirect("billing:order", organisation=request.organisation.slug, order=order.public_id)


def find_order(request: OrganisationRequest, public_id: str) -> Order:
    """The organisation's order that an address names; Http404 for any other."""
    try:
        return selectors.get_order(organisation=request.organisation, public_id=public_id)
    except NotFound as error:
        raise Http404 from error
