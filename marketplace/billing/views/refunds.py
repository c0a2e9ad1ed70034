"""Asking for a refund: first what comes back and how that is reckoned, then the question.

What was asked can be withdrawn until we decide.
"""

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts.access import OrganisationRequest, organisation_view
from accounts.models import Role
from accounts.services import actor_from_request
from marketplace.billing import selectors, services
from marketplace.billing.forms import RefundForm
from marketplace.billing.refund_rule import RefundQuote, quote_refund
from marketplace.billing.views.buying import STATUS_BY_KIND
from marketplace.billing.views.orders import find_order, refuse
from portal.kernel.clock import utc_now
from portal.kernel.errors import DomainError, NotFound


@require_http_methods(["GET", "HEAD", "POST"])
@organisation_view(role=Role.BILLING)
def ask_refund(request: OrganisationRequest, organisation: str, order: str) -> HttpResponse:
    """The form carries the amount that was shown: another one is shown again, not taken."""
    found = find_order(request, order)
    status = 200
    form = RefundForm(request.POST or None)
    if request.method == "POST":
        status = 400
        if form.is_valid():
            try:
                services.request_refund(
                    order=found,
                    user=request.user,
                    expected_minor=form.cleaned_data["amount_minor"],
                    reason=form.cleaned_data["reason"],
                    actor=actor_from_request(request),
                    now=utc_now(),
                )
            except DomainError as error:
                form.add_error(None, str(error))
                status = STATUS_BY_KIND.get(error.kind, 400)
            else:
                messages.success(request, _("We have your request. You see here how it goes on."))
                return redirect("billing:order", organisation=organisation, order=order)
    found = find_order(request, order)
    quote = quote_refund(order=found, now=utc_now())
    return render(
        request,
        "billing/refund.html",
        {"order": found, "quote": quote, "form": form, "refusal": describe_refusal(quote)},
        status=status,
    )


@require_POST
@organisation_view(role=Role.BILLING)
def withdraw_refund(request: OrganisationRequest, organisation: str, refund: str) -> HttpResponse:
    """Back to the order, which says so if we decided first."""
    try:
        found = selectors.get_own_refund_request(
            organisation=request.organisation, public_id=refund
        )
    except NotFound as error:
        raise Http404 from error
    order = find_order(request, found.order.public_id)
    try:
        services.withdraw_refund(request=found, actor=actor_from_request(request), now=utc_now())
    except DomainError as error:
        return refuse(request, order, error)
    messages.success(request, _("Withdrawn. The tokens are back in your wallet."))
    return redirect("billing:order", organisation=organisation, order=order.public_id)


def describe_refusal(quote: RefundQuote) -> str:
    """Why nothing can be refunded, in words; "" where something can."""
    words = {
        "off": _("Tokens bought here are not refunded."),
        "not_paid": _("This order has nothing left to refund."),
        "too_late": _("The time in which this order could be refunded is over."),
        "expired": _("The tokens of this order have expired."),
        "disputed": _("The bank has taken up this payment, so it decides about the money."),
        "under_way": _("A refund of this order is under way."),
        "used_up": _("The paid tokens of this order are used up or needed by running calls."),
    }
    return words.get(quote.refusal, "")
