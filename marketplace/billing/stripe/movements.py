"""Balance transactions as Stripe tells them, in our words.

A line is in the currency of the account, which need not be the one that was paid: what moved it
(its ``source``, expanded) says how much that was for the buyer.
"""

from datetime import UTC, datetime
from typing import Any

import stripe

from marketplace.billing.models import MovementKind
from marketplace.billing.money_moved import ProviderMovement
from marketplace.billing.payment_provider import PaymentOutcomeUnknown

# Stripe's reporting categories, which are finer than its types and the same for all payment
# methods: https://docs.stripe.com/reports/reporting-categories
_KINDS = {
    "charge": MovementKind.CHARGE,
    "charge_failure": MovementKind.CHARGE_FAILURE,
    "refund": MovementKind.REFUND,
    "refund_failure": MovementKind.REFUND_FAILURE,
    "dispute": MovementKind.DISPUTE,
    "dispute_reversal": MovementKind.DISPUTE_REVERSAL,
    "fee": MovementKind.OWN,
    "network_cost": MovementKind.OWN,
    "tax": MovementKind.OWN,
    "payout": MovementKind.OWN,
    "payout_reversal": MovementKind.OWN,
    "topup": MovementKind.OWN,
    "topup_reversal": MovementKind.OWN,
    "risk_reserved_funds": MovementKind.OWN,
}


def read_movement(answer: stripe.BalanceTransaction) -> ProviderMovement:
    """Raises PaymentOutcomeUnknown for what is no line of an account."""
    match answer.to_dict():
        case {
            "id": str(movement_id),
            "reporting_category": str(category),
            "amount": int(gross_minor),
            "fee": int(fee_minor),
            "currency": str(account_currency),
            "created": int(created),
        } as line:
            amount_minor, currency, payment_id, source_id = _read_source(
                line.get("source"), gross_minor, account_currency
            )
            return ProviderMovement(
                movement_id=movement_id,
                kind=_KINDS.get(category, MovementKind.OTHER),
                payment_id=payment_id,
                source_id=source_id,
                amount_minor=amount_minor,
                currency=currency.upper(),
                gross_minor=gross_minor,
                fee_minor=fee_minor,
                account_currency=account_currency.upper(),
                created_at=datetime.fromtimestamp(created, UTC),
            )
    raise PaymentOutcomeUnknown


def _read_source(source: Any, gross_minor: int, account_currency: str) -> tuple[int, str, str, str]:
    """What moved for the buyer, in which currency, the payment, and what moved it."""
    match source:
        case {"id": str(source_id), "amount": int(whole), "currency": str(currency)}:
            payment_id = _read_payment_id(source.get("payment_intent"))
            if currency == account_currency:
                return gross_minor, currency, payment_id, source_id
            # Exchanged: only what moved it is exact. It moves whole, in or out.
            return (whole if gross_minor >= 0 else -whole), currency, payment_id, source_id
        case {"id": str(source_id)} | str(source_id):
            return gross_minor, account_currency, "", source_id
    return gross_minor, account_currency, "", ""


def _read_payment_id(named: Any) -> str:
    match named:
        case {"id": str(payment_id)} | str(payment_id):
            return payment_id
    return ""
