"""Choose a pack, review what it costs and gives, pay."""

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts.access import OrganisationRequest, organisation_view
from accounts.models import Role
from accounts.services import actor_from_request
from marketplace.billing import selectors, services
from marketplace.billing.forms import OrderForm, make_form_key
from marketplace.billing.models import Order
from marketplace.billing.offers import MAX_QUANTITY, Offer, make_offer
from marketplace.billing.payment_provider import PaymentRefused, PaymentsUnavailable
from marketplace.billing.views.packs import choose_currency
from portal.kernel.clock import utc_now
from portal.kernel.errors import DomainError

STATUS_BY_KIND = {"conflict": 409, "unavailable": 503}


@require_http_methods(["GET", "HEAD", "POST"])
@organisation_view(role=Role.BILLING)
def buy(request: OrganisationRequest, organisation: str) -> HttpResponse:
    """Without a pack: the shelf. With one: the review. The review posts back here."""
    if request.method == "POST":
        return _order(request)
    pack = request.GET.get("pack", "")
    if pack and (offer := _find_offer(pack, request.GET.get("currency", ""), _quantity(request))):
        unpaid = selectors.find_unpaid_form_order(
            organisation=request.organisation, user=request.user, offer=offer, now=utc_now()
        )
        return _render_review(request, offer, _make_form(offer, unpaid))
    return _render_shelf(request, gone=bool(pack))


def _order(request: OrganisationRequest) -> HttpResponse:
    """One order per form key, whatever is clicked; then off to the pay page."""
    form = OrderForm(request.POST)
    if not form.is_valid():
        return _render_refusal(request, form, status=400)
    said = form.cleaned_data
    now = utc_now()
    try:
        order = services.start_checkout(
            organisation=request.organisation,
            user=request.user,
            pack=selectors.get_pack(slug=said["pack"]),
            currency=said["currency"],
            quantity=said["quantity"],
            idempotency_key=said["key"],
            purchase_reference=said["purchase_reference"],
            terms=said["terms"],
            actor=actor_from_request(request),
            now=now,
        )
    except services.IdempotencyKeyReused:
        form.add_error(
            None,
            _(
                "An order with other content was already made from this form and waits for its "
                "payment. Nothing new was ordered. Send the form again to make another order."
            ),
        )
        return _render_refusal(request, form, status=409)
    except DomainError as error:
        form.add_error(None, str(error))
        return _render_refusal(request, form, status=STATUS_BY_KIND.get(error.kind, 400))
    return send_to_payment(request, order)


def send_to_payment(request: OrganisationRequest, order: Order) -> HttpResponse:
    """To the provider's pay page; to the order's page when that is not possible (any more)."""
    try:
        address = services.open_payment(order=order, now=utc_now())
    except (
        services.DebtOutstanding,
        services.OrderClosed,
        PaymentsUnavailable,
        PaymentRefused,
    ):
        # The order's page says how it stands: paid already, closed, or still waiting.
        return redirect(
            "billing:order", organisation=request.organisation.slug, order=order.public_id
        )
    return redirect(address)


def _render_shelf(request: OrganisationRequest, *, gone: bool = False) -> HttpResponse:
    currencies = selectors.list_sale_currencies()
    currency = choose_currency(request.GET.get("currency", ""), currencies)
    offers = selectors.list_packs(currency=currency)
    return render(
        request,
        "billing/buy.html",
        {
            "offers": offers,
            "scopes": selectors.describe_scopes([offer.scope for offer in offers]),
            "currencies": currencies,
            "currency": currency,
            "gone": gone,
        },
        status=404 if gone else 200,
    )


def _render_review(
    request: OrganisationRequest, offer: Offer, form: OrderForm, *, status: int = 200
) -> HttpResponse:
    return render(
        request,
        "billing/review.html",
        {
            "form": form,
            "offer": offer,
            "scope": selectors.describe_scopes([offer.scope])[offer.scope],
            "max_quantity": MAX_QUANTITY,
        },
        status=status,
    )


def _render_refusal(request: OrganisationRequest, form: OrderForm, *, status: int) -> HttpResponse:
    """The review again with what was said, at the offer of now and under a new key."""
    quantity = form.cleaned_data.get("quantity") or 1
    offer = _find_offer(form.data.get("pack", ""), form.data.get("currency", ""), quantity)
    if offer is None:
        return _render_shelf(request, gone=True)
    form.data = {
        **request.POST.dict(),
        **_make_form(offer).initial,
        "purchase_reference": form.data.get("purchase_reference", ""),
    }
    return _render_review(request, offer, form, status=status)


def _make_form(offer: Offer, unpaid: Order | None = None) -> OrderForm:
    return OrderForm(
        initial={
            "pack": offer.pack.slug,
            "currency": offer.currency,
            "quantity": offer.quantity,
            "terms": offer.terms,
            "key": unpaid.idempotency_key if unpaid else make_form_key(),
            "purchase_reference": unpaid.purchase_reference if unpaid else "",
        }
    )


def _find_offer(slug: str, currency: str, quantity: int) -> Offer | None:
    try:
        pack = selectors.get_pack(slug=slug)
        sold_in = [price.currency for price in pack.prices.all()]
        return make_offer(pack=pack, currency=choose_currency(currency, sold_in), quantity=quantity)
    except DomainError:
        return None


def _quantity(request: OrganisationRequest) -> int:
    """From the URL; what is no number between 1 and the most is 1."""
    asked = request.GET.get("quantity", "")
    is_number = asked.isascii() and asked.isdigit() and len(asked) <= 3
    return int(asked) if is_number and 1 <= int(asked) <= MAX_QUANTITY else 1
