"""Orders as parameters of a Checkout Session, and Checkout Sessions in our words."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import stripe
from stripe.params.checkout import SessionCreateParams, SessionCreateParamsLineItemPriceData

from marketplace.billing.payment_provider import (
    NoPayment,
    PaymentOutcomeUnknown,
    PaymentRefused,
    PaymentSession,
    PaymentState,
    SessionRequest,
    SessionState,
)
from portal.kernel.quantities import minor_digits

# Stripe closes a pay page no sooner than 30 minutes after it was made, and an order may be paid to
# its last minute: the page outlives it by this. A sweep closes both before (docs/adr/0090).
OUTLIVES_ORDER = timedelta(minutes=35)
# The shop's language on the pay page; others see that of their browser.
LOCALES = {"en": "en", "zh-hans": "zh"}
# Decimals of the unit that Stripe charges in, per currency that packs may be sold in. Stripe's own
# list, on purpose not derived from ours: a currency where they differ must never be charged.
_CHARGED_DIGITS = {
    "USD": 2, "EUR": 2, "GBP": 2, "CNY": 2, "JPY": 0, "AUD": 2, "CAD": 2, "CHF": 2, "HKD": 2,
    "INR": 2, "KRW": 0, "NZD": 2, "SGD": 2,
}  # fmt: skip
# The payment of a completed session came to nothing, and the buyer cannot try again on it.
_LOST = ("requires_payment_method", "canceled")


def build_parameters(
    request: SessionRequest,
    *,
    attempt: str,
    payment_methods: Sequence[str],
    computes_tax: bool = False,
) -> SessionCreateParams:
    """What to ask Stripe for; the same request always makes the same parameters.

    ``attempt`` is kept in the metadata, so that the session of one attempt can be found again.
    ``payment_methods`` narrows what the account offers; empty does not. ``computes_tax``: of the
    price, which stays what is paid. Raises PaymentRefused for
    a currency that Stripe does not charge in our minor unit.
    """
    require_chargeable(request.currency)
    metadata = {**request.metadata, "attempt": attempt}
    expires_at = datetime.fromisoformat(request.expires_at) + OUTLIVES_ORDER
    price: SessionCreateParamsLineItemPriceData = {
        "currency": request.currency.lower(),
        "unit_amount": request.amount_minor,
        "product_data": {"name": request.description},
    }
    parameters: SessionCreateParams = {
        "mode": "payment",
        "ui_mode": "hosted_page",
        "submit_type": "pay",
        "line_items": [{"quantity": 1, "price_data": price}],
        "adaptive_pricing": {"enabled": False},
        "client_reference_id": request.metadata["order"],
        "customer_email": request.customer_email,
        "expires_at": int(expires_at.timestamp()),
        "locale": LOCALES.get(request.language, "auto"),
        "metadata": metadata,
        "payment_intent_data": {"description": request.description, "metadata": metadata},
        "success_url": request.return_url,
        "cancel_url": request.cancel_url,
        "expand": ["payment_intent"],
    }
    if payment_methods:
        parameters["allowed_payment_method_types"] = list(payment_methods)
    if "wechat_pay" in payment_methods:
        parameters["payment_method_options"] = {"wechat_pay": {"client": "web"}}
    if computes_tax:
        parameters["automatic_tax"] = {"enabled": True}
        price["tax_behavior"] = "inclusive"
    return parameters


def require_chargeable(currency: str) -> None:
    """Raises PaymentRefused for a currency that Stripe does not charge in our minor unit."""
    if _CHARGED_DIGITS.get(currency) != minor_digits(currency):
        raise PaymentRefused(code="currency_not_chargeable")


def is_marked(found: stripe.checkout.Session | stripe.PaymentIntent, name: str, value: str) -> bool:
    """Whether its metadata says so. What serves other uses of the account has none, or others."""
    metadata = found.metadata
    return metadata is not None and name in metadata and metadata[name] == value


def read_session(answer: object) -> PaymentSession:
    """A session as Stripe gave it, its payment expanded.

    Raises NoPayment for a visit that saves a card, PaymentOutcomeUnknown for whatever is none.
    """
    session: Any = answer.to_dict() if isinstance(answer, stripe.checkout.Session) else None
    match session:
        case {"mode": "setup"}:
            raise NoPayment
        case {
            "id": str(session_id),
            "status": "open" | "complete" | "expired" as state,
            "payment_status": str(payment_status),
            "amount_total": int(amount_minor),
            "currency": str(currency),
            "livemode": bool(livemode),
        } if (tax_minor := _read_tax(session)) is None or 0 <= tax_minor <= amount_minor:
            payment = _read_payment(session.get("payment_intent"))
            # "no_payment_required" is not a payment either.
            is_paid = payment_status == "paid"
            may_come = is_paid or state != "complete" or payment.get("status") not in _LOST
            return PaymentSession(
                session_id=session_id,
                payment_id=payment.get("id", ""),
                state=SessionState(state),
                payment_state=PaymentState.PAID if is_paid else PaymentState.UNPAID,
                amount_minor=amount_minor,
                currency=currency.upper(),
                livemode=livemode,
                metadata=session.get("metadata") or {},
                pay_url=session.get("url") or "",
                failure_code="" if may_come else name_failure(payment),
                tax_minor=tax_minor,
            )
    raise PaymentOutcomeUnknown


def _read_tax(session: Mapping[str, Any]) -> int | None:
    match session:
        case {
            "automatic_tax": {"enabled": True, "status": "complete"},
            "total_details": {"amount_tax": int(tax_minor)},
        }:
            return tax_minor
    return None


def _read_payment(payment: Any) -> Mapping[str, Any]:
    """Expanded, or only named, or not begun yet: a buyer who has not paid has none."""
    match payment:
        case {"id": str()}:
            return payment
        case str(payment_id):
            return {"id": payment_id}
    return {}


def name_failure(payment: Mapping[str, Any]) -> str:
    """Stripe's code for why a payment failed."""
    match payment:
        case {"last_payment_error": {"code": str(code)}} if code:
            return code
    return "payment_failed"
