"""Choose a pack, review what it costs and gives, pay."""

from django.conf import settings
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts.access import OrganisationRequest, organisation_view
from accounts.models import Role
from accounts.services import actor_from_request
from marketplace.billing import selectors, services
from marketplace.billing.forms import OrderForm, make_form_key
from marketplace.billing.models import Order, PurchaseRequest
from marketplace.billing.models.orders import BY_TRANSFER
from marketplace.billing.offers import MAX_QUANTITY, Offer, make_offer
from marketplace.billing.payment_provider import PaymentRefused, PaymentsUnavailable
from marketplace.billing.providers import (
    list_online_providers,
    tax_is_computed_on_payment,
    transfer_is_offered,
)
from marketplace.billing.views.packs import choose_currency
from portal.kernel.clock import utc_now
from portal.kernel.errors import DomainError, NotFound

STATUS_BY_KIND = {"conflict": 409, "unavailable": 503}


@require_http_methods(["GET", "HEAD", "POST"])
@organisation_view(role=Role.BILLING)
def buy(request: OrganisationRequest, organisation: str) -> HttpResponse:
    """Without a pack: the shelf. With one: the review. The review posts back here."""
    if request.method == "POST":
        return _order(request)
    pack, quantity = request.GET.get("pack", ""), read_quantity(request.GET.get("quantity", ""))
    if pack and (offer := find_offer(pack, request.GET.get("currency", ""), quantity)):
        asked = _find_asked(request, request.GET.get("asked", ""))
        unpaid = selectors.find_unpaid_form_order(
            organisation=request.organisation,
            user=request.user,
            offer=offer,
            asked=asked,
            now=utc_now(),
        )
        return _render_review(request, offer, _make_form(offer, asked, unpaid), asked)
    return render_shelf(request, gone=bool(pack))


def _order(request: OrganisationRequest) -> HttpResponse:
    """One order per form key, whatever is clicked; then off to the pay page."""
    form = OrderForm(request.POST)
    if not form.is_valid():
        return _render_refusal(request, form, status=400)
    said = form.cleaned_data
    now = utc_now()
    asked = _find_asked(request, said["asked"])
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
            purchase_request=asked,
            by_transfer=said["way"] == BY_TRANSFER,
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


def render_shelf(
    request: OrganisationRequest, template: str = "billing/buy.html", *, gone: bool = False
) -> HttpResponse:
    """All packs, each leading to this page with the pack; 404 when the one chosen is gone."""
    currencies = selectors.list_sale_currencies()
    currency = choose_currency(request.GET.get("currency", ""), currencies)
    offers = selectors.list_packs(currency=currency)
    return render(
        request,
        template,
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
    request: OrganisationRequest,
    offer: Offer,
    form: OrderForm,
    asked: PurchaseRequest | None,
    *,
    status: int = 200,
) -> HttpResponse:
    return render(
        request,
        "billing/review.html",
        {
            "form": form,
            "offer": offer,
            "asked": asked,
            "may_transfer": transfer_is_offered(),
            "only_transfer": transfer_is_offered() and not list_online_providers(),
            "transfer_days": settings.TRANSFER_DAYS,
            "scope": selectors.describe_scopes([offer.scope])[offer.scope],
            "max_quantity": MAX_QUANTITY,
            "tax_comes_later": tax_is_computed_on_payment(),
        },
        status=status,
    )


def _render_refusal(request: OrganisationRequest, form: OrderForm, *, status: int) -> HttpResponse:
    """The review again with what was said, at the offer of now and under a new key."""
    quantity = form.cleaned_data.get("quantity") or 1
    offer = find_offer(form.data.get("pack", ""), form.data.get("currency", ""), quantity)
    asked = _find_asked(request, form.data.get("asked", ""))
    if offer is None:
        return render_shelf(request, gone=True)
    form.data = {
        **request.POST.dict(),
        **_make_form(offer, asked).initial,
        "purchase_reference": form.data.get("purchase_reference", ""),
    }
    return _render_review(request, offer, form, asked, status=status)


def _make_form(
    offer: Offer, asked: PurchaseRequest | None, unpaid: Order | None = None
) -> OrderForm:
    return OrderForm(
        initial={
            "pack": offer.pack.slug,
            "currency": offer.currency,
            "quantity": offer.quantity,
            "terms": offer.terms,
            "asked": asked.public_id if asked else "",
            "key": unpaid.idempotency_key if unpaid else make_form_key(),
            "purchase_reference": unpaid.purchase_reference if unpaid else "",
        }
    )


def _find_asked(request: OrganisationRequest, public_id: str) -> PurchaseRequest | None:
    """The purchase request that is being approved; 404 for one that is not the company's."""
    if not public_id:
        return None
    try:
        return selectors.get_purchase_request(membership=request.membership, public_id=public_id)
    except NotFound as error:
        raise Http404 from error


def find_offer(slug: str, currency: str, quantity: int) -> Offer | None:
    """In the wanted currency, else in one that it is sold in; None when it is not on sale."""
    try:
        pack = selectors.get_pack(slug=slug)
        sold_in = [price.currency for price in pack.prices.all()]
        return make_offer(pack=pack, currency=choose_currency(currency, sold_in), quantity=quantity)
    except DomainError:
        return None


def read_quantity(asked: str) -> int:
    """What is no number between 1 and the most is 1."""
    is_number = asked.isascii() and asked.isdigit() and len(asked) <= 3
    return int(asked) if is_number and 1 <= int(asked) <= MAX_QUANTITY else 1
