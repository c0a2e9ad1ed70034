"""Refunds and disputes as Stripe tells them, in our words."""

from typing import Any

import stripe

from marketplace.billing.models import DisputeState, RefundState
from marketplace.billing.money_back import ProviderDispute, ProviderRefund
from marketplace.billing.payment_provider import PaymentOutcomeUnknown, SessionUnknown

_REFUND_STATES = {
    "pending": RefundState.PENDING,
    "requires_action": RefundState.PENDING,
    "succeeded": RefundState.SUCCEEDED,
    "failed": RefundState.FAILED,
    "canceled": RefundState.FAILED,
}
# An inquiry takes no money; one that is closed, or a dispute that was prevented, never did.
_DISPUTE_STATES = {
    "warning_needs_response": DisputeState.INQUIRY,
    "warning_under_review": DisputeState.INQUIRY,
    "warning_closed": DisputeState.WON,
    "prevented": DisputeState.WON,
    "needs_response": DisputeState.OPEN,
    "under_review": DisputeState.OPEN,
    "won": DisputeState.WON,
    "lost": DisputeState.LOST,
}


def read_refund(answer: object) -> ProviderRefund:
    """Raises PaymentOutcomeUnknown for whatever is not a refund."""
    match _plain(answer, stripe.Refund):
        case {
            "id": str(refund_id),
            "amount": int(amount_minor),
            "currency": str(currency),
            "status": str(status),
        } as refund if status in _REFUND_STATES:
            return ProviderRefund(
                refund_id=refund_id,
                amount_minor=amount_minor,
                currency=currency.upper(),
                state=_REFUND_STATES[status],
                request_id=(refund.get("metadata") or {}).get("request", ""),
            )
    raise PaymentOutcomeUnknown


def read_dispute(answer: object) -> ProviderDispute:
    """Raises PaymentOutcomeUnknown for whatever is not a dispute."""
    match _plain(answer, stripe.Dispute):
        case {
            "id": str(dispute_id),
            "amount": int(amount_minor),
            "currency": str(currency),
            "status": str(status),
        } if status in _DISPUTE_STATES:
            return ProviderDispute(
                dispute_id=dispute_id,
                amount_minor=amount_minor,
                currency=currency.upper(),
                state=_DISPUTE_STATES[status],
            )
    raise PaymentOutcomeUnknown


def read_payment_of(answer: object) -> str:
    """The payment that a refund, charge or dispute belongs to. Raises SessionUnknown."""
    match _plain(answer, stripe.StripeObject):
        case {"payment_intent": str(payment_id)} | {"payment_intent": {"id": str(payment_id)}}:
            return payment_id
    raise SessionUnknown


def _plain(answer: object, kind: type[stripe.StripeObject]) -> Any:
    return answer.to_dict() if isinstance(answer, kind) else None
