"""Asking for a pack that one may not buy, and answering those who ask.

Approving is no button here: it leads to the review, and the order that is made there decides.
"""

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import OrganisationRequest, organisation_view
from accounts.models import Role
from accounts.services import actor_from_request
from marketplace.billing import selectors, services
from marketplace.billing.forms import DeclinePurchaseForm, PurchaseRequestForm, make_form_key
from marketplace.billing.models import PurchaseRequest
from marketplace.billing.offers import Offer
from marketplace.billing.views.buying import (
    STATUS_BY_KIND,
    find_offer,
    read_quantity,
    render_shelf,
)
from portal.kernel.clock import utc_now
from portal.kernel.errors import DomainError, NotFound

REQUESTS_PER_PAGE = 25


@require_safe
@organisation_view(role=Role.MEMBER)
def request_list(request: OrganisationRequest, organisation: str) -> HttpResponse:
    """All of the organisation for whoever may buy; for others their own."""
    requests = selectors.list_purchase_requests(membership=request.membership)
    page = Paginator(requests, REQUESTS_PER_PAGE).get_page(request.GET.get("page"))
    return render(
        request,
        "billing/purchase_requests.html",
        {"page": page, "may_buy": request.membership.includes(Role.BILLING)},
    )


@require_http_methods(["GET", "HEAD", "POST"])
@organisation_view(role=Role.MEMBER)
def ask_purchase(request: OrganisationRequest, organisation: str) -> HttpResponse:
    """Without a pack: the shelf. With one: the question, which posts back here."""
    said = request.POST if request.method == "POST" else request.GET
    quantity = read_quantity(said.get("quantity", ""))
    offer = find_offer(said.get("pack", ""), said.get("currency", ""), quantity)
    if offer is None:
        return render_shelf(request, "billing/ask_shelf.html", gone="pack" in said)
    if request.method != "POST":
        return _render_question(request, offer, PurchaseRequestForm(initial=_initial(offer)))
    form = PurchaseRequestForm(request.POST)
    status = 400
    if form.is_valid():
        try:
            asked = services.request_purchase(
                organisation=request.organisation,
                user=request.user,
                pack=offer.pack,
                currency=offer.currency,
                quantity=form.cleaned_data["quantity"],
                note=form.cleaned_data["note"],
                form_key=form.cleaned_data["key"],
                actor=actor_from_request(request),
                now=utc_now(),
            )
        except DomainError as error:
            form.add_error(None, str(error))
            form.data = {**request.POST.dict(), "key": make_form_key()}
            status = STATUS_BY_KIND.get(error.kind, 400)
        else:
            messages.success(request, _("Asked. Owners and billing have been told."))
            return _to_request(request, asked)
    return _render_question(request, offer, form, status=status)


@require_safe
@organisation_view(role=Role.MEMBER)
def request_detail(request: OrganisationRequest, organisation: str, asked: str) -> HttpResponse:
    return _render_request(request, _find(request, asked), DeclinePurchaseForm())


@require_POST
@organisation_view(role=Role.BILLING)
def decline_purchase(request: OrganisationRequest, organisation: str, asked: str) -> HttpResponse:
    found = _find(request, asked)
    form = DeclinePurchaseForm(request.POST)
    if not form.is_valid():
        return _render_request(request, found, form, status=400)
    try:
        services.decline_purchase(
            request=found,
            user=request.user,
            answer=form.cleaned_data["answer"],
            actor=actor_from_request(request),
            now=utc_now(),
        )
    except services.PurchaseDecided as error:
        return _refuse(request, asked, error)
    messages.success(request, _("Declined. Who asked has been told."))
    return _to_request(request, found)


@require_POST
@organisation_view(role=Role.MEMBER)
def withdraw_purchase(request: OrganisationRequest, organisation: str, asked: str) -> HttpResponse:
    """Only by who asked; for others there is nothing to withdraw."""
    found = _find(request, asked)
    if found.requested_by_id != request.user.pk:
        raise Http404
    try:
        services.withdraw_purchase(request=found, actor=actor_from_request(request), now=utc_now())
    except services.PurchaseDecided as error:
        return _refuse(request, asked, error)
    messages.success(request, _("Withdrawn. Nothing will be bought for it."))
    return _to_request(request, found)


def _find(request: OrganisationRequest, public_id: str) -> PurchaseRequest:
    try:
        return selectors.get_purchase_request(membership=request.membership, public_id=public_id)
    except NotFound as error:
        raise Http404 from error


def _initial(offer: Offer) -> dict[str, object]:
    return {
        "pack": offer.pack.slug,
        "currency": offer.currency,
        "quantity": offer.quantity,
        "key": make_form_key(),
    }


def _render_question(
    request: OrganisationRequest, offer: Offer, form: PurchaseRequestForm, *, status: int = 200
) -> HttpResponse:
    context = {
        "offer": offer,
        "form": form,
        "scope": selectors.describe_scopes([offer.scope])[offer.scope],
    }
    return render(request, "billing/ask_purchase.html", context, status=status)


def _render_request(
    request: OrganisationRequest,
    asked: PurchaseRequest,
    form: DeclinePurchaseForm,
    *,
    problem: DomainError | None = None,
    status: int = 200,
) -> HttpResponse:
    return render(
        request,
        "billing/purchase_request.html",
        {
            "asked": asked,
            "form": form,
            "problem": problem,
            "may_buy": request.membership.includes(Role.BILLING),
            "is_own": asked.requested_by_id == request.user.pk,
        },
        status=status,
    )


def _refuse(request: OrganisationRequest, public_id: str, error: DomainError) -> HttpResponse:
    """The request as it is by now, with what went wrong on top."""
    fresh = _find(request, public_id)
    return _render_request(request, fresh, DeclinePurchaseForm(), problem=error, status=409)


def _to_request(request: OrganisationRequest, asked: PurchaseRequest) -> HttpResponse:
    return redirect(
        "billing:purchase_request",
        organisation=request.organisation.slug,
        asked=asked.public_id,
    )
