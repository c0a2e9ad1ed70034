"""What an order's buyer may get back: the unused paid tokens, pro rata at what was paid.

The rule that pages state (templates/billing/refund_rule.html) and its arithmetic are here alone.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings

from marketplace.billing.models import Dispute, DisputeState, Order, OrderStatus
from marketplace.ledger import selectors as ledger

# Why nothing is refunded.
REFUSALS = ("off", "not_paid", "too_late", "expired", "disputed", "under_way", "used_up")
_REFUNDABLE = (OrderStatus.PAID, OrderStatus.PARTIALLY_REVERSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundQuote:
    """What goes back now; tokens are millitokens, money minor units of the order's currency.

    ``amount_minor`` = ⌊order amount × (refunded + unused tokens) ÷ bought tokens⌋ less what was
    refunded before; ``paid_millitokens`` are the tokens that go for it. ``refusal`` is "" or one of
    ``REFUSALS``.
    """

    amount_minor: int = 0
    paid_millitokens: int = 0
    bonus_millitokens: int = 0
    unused_millitokens: int = 0
    refusal: str = ""


def quote_refund(*, order: Order, now: datetime) -> RefundQuote:
    """For this order at this moment. Read under the order's lock, it is what a request takes."""
    refusal = _find_refusal(order, now)
    unspent = ledger.get_unspent(reference=order.reference) if not refusal else None
    if unspent is None:
        return RefundQuote(refusal=refusal or "not_paid")
    before = order.reversed_minor
    gone = unspent.face * before // order.amount_minor
    amount = order.amount_minor * (gone + unspent.paid) // unspent.face - before
    if amount <= 0:
        return RefundQuote(unused_millitokens=unspent.paid, refusal="used_up")
    return RefundQuote(
        amount_minor=amount,
        paid_millitokens=unspent.face * (before + amount) // order.amount_minor - gone,
        bonus_millitokens=unspent.bonus,
        unused_millitokens=unspent.paid,
    )


def _find_refusal(order: Order, now: datetime) -> str:
    if settings.REFUND_DAYS == 0:
        return "off"
    if order.status not in _REFUNDABLE or order.paid_at is None:
        return "not_paid"
    if settings.REFUND_DAYS and now > order.paid_at + timedelta(days=settings.REFUND_DAYS):
        return "too_late"
    if order.tokens_expire_at is not None and now >= order.tokens_expire_at:
        return "expired"
    # A won one is over. A bank that asks may still take the money.
    if Dispute.objects.filter(order=order).exclude(state=DisputeState.WON).exists():
        return "disputed"
    if order.refund_requests.open().exists():
        return "under_way"
    return ""
