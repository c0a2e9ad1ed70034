"""Saved cards as Stripe has them: visits in setup mode, cards, and payments without a session."""

from collections.abc import Mapping
from typing import Any

import stripe
from stripe.params import PaymentIntentCreateParams
from stripe.params.checkout import SessionCreateParams

from marketplace.billing.payment_provider import (
    PaymentOutcomeUnknown,
    PaymentRefused,
    PaymentSession,
    PaymentState,
    SessionState,
    SessionUnknown,
)
from marketplace.billing.saved_cards import (
    AuthenticationNeeded,
    CardFacts,
    CardRequest,
    CardVisit,
    ChargeRequest,
)
from marketplace.billing.stripe.sessions import LOCALES, name_failure, require_chargeable

# Nothing comes of a payment in these states any more, or only if its holder were asked.
_CAME_TO_NOTHING = ("requires_payment_method", "requires_action", "requires_confirmation")
_SESSION_STATES = {
    "succeeded": SessionState.COMPLETE,
    "processing": SessionState.COMPLETE,
    "requires_payment_method": SessionState.COMPLETE,
    "canceled": SessionState.EXPIRED,
}


def build_visit(request: CardRequest) -> SessionCreateParams:
    """What to ask Stripe for; the same request always makes the same parameters."""
    require_chargeable(request.currency)
    metadata = dict(request.metadata)
    return {
        "mode": "setup",
        "ui_mode": "hosted_page",
        "customer": request.customer_id,
        "currency": request.currency.lower(),
        "allowed_payment_method_types": ["card"],
        "locale": LOCALES.get(request.language, "auto"),
        "metadata": metadata,
        "setup_intent_data": {"metadata": metadata},
        "success_url": request.return_url,
        "cancel_url": request.cancel_url,
    }


def build_charge(request: ChargeRequest, *, attempt: str) -> PaymentIntentCreateParams:
    """``attempt`` is kept in the metadata, so that the payment can be found again."""
    require_chargeable(request.currency)
    return {
        "amount": request.amount_minor,
        "currency": request.currency.lower(),
        "customer": request.customer_id,
        "payment_method": request.card_id,
        "allowed_payment_method_types": ["card"],
        "off_session": True,
        "confirm": True,
        "description": request.description,
        "metadata": {**request.metadata, "attempt": attempt},
    }


def read_visit(answer: object) -> CardVisit:
    """A session in setup mode, its intent and card expanded. Raises SessionUnknown for another."""
    session: Any = answer.to_dict() if isinstance(answer, stripe.checkout.Session) else None
    match session:
        case {"id": str(visit_id), "mode": "setup", "status": str(status)}:
            return CardVisit(
                visit_id=visit_id,
                page_url=session.get("url") or "",
                card=_read_card(session.get("setup_intent")),
                is_over=status != "open",
            )
    raise SessionUnknown


def read_payment(answer: object) -> PaymentSession:
    """A payment intent of ours as a session. Raises SessionUnknown for whatever is not one."""
    payment = _plain(answer)
    match payment:
        case {
            "id": str(payment_id),
            "status": str(status),
            "amount": int(amount_minor),
            "currency": str(currency),
            "livemode": bool(livemode),
            "metadata": {"order": str()} as metadata,
        }:
            failed = status == "requires_payment_method"
            return PaymentSession(
                session_id=payment_id,
                payment_id=payment_id,
                state=_SESSION_STATES.get(status, SessionState.OPEN),
                payment_state=PaymentState.PAID if status == "succeeded" else PaymentState.UNPAID,
                amount_minor=amount_minor,
                currency=currency.upper(),
                livemode=livemode,
                metadata=metadata,
                pay_url="",
                failure_code=name_failure(payment) if failed else "",
            )
    raise SessionUnknown


def is_lost(answer: object) -> bool:
    """Whether a charge was not let through, and only cancelling it is left."""
    return _plain(answer).get("status") in _CAME_TO_NOTHING


def refusal_of(answer: object) -> AuthenticationNeeded | PaymentRefused | None:
    """Why a charge came to nothing; None while it may yet, or did, succeed."""
    payment = _plain(answer)
    if payment.get("status") not in (*_CAME_TO_NOTHING, "canceled"):
        return None
    code = name_failure(payment)
    if code == AuthenticationNeeded.code or payment.get("status") == "requires_action":
        return AuthenticationNeeded()
    return PaymentRefused(code=code)


def _read_card(intent: object) -> CardFacts | None:
    match intent:
        case {
            "status": "succeeded",
            "payment_method": {
                "id": str(card_id),
                "card": {
                    "brand": str(brand),
                    "last4": str(last4),
                    "exp_year": int(year),
                    "exp_month": int(month),
                },
            },
        }:
            return CardFacts(
                card_id=card_id,
                brand=brand.replace("_", " ").title(),
                last4=last4,
                expires_year=year,
                expires_month=month,
            )
    return None


def _plain(answer: object) -> Mapping[str, Any]:
    if not isinstance(answer, stripe.PaymentIntent):
        raise PaymentOutcomeUnknown
    return answer.to_dict()
