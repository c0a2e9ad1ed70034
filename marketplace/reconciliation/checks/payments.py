"""Check 14: whoever paid has their tokens."""

from datetime import datetime

from django.db.backends.utils import CursorWrapper
from django.utils.translation import gettext_lazy as _

from marketplace.billing import services as billing
from marketplace.reconciliation.checks.base import Action, Check, Difference, Examined, Scope
from marketplace.reconciliation.snapshot import fetch_rows

# Seen from our side: an order says paid, but its lot was never credited.
_PAID_WITHOUT_LOT = """
SELECT o.public_id, o.paid_millitokens AS paid
FROM billing_order o
WHERE o.paid_at IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM ledger_lot l
                  WHERE l.reference = 'order:' || o.public_id AND l.kind = 'paid')
"""


def _examine_orders(cursor: CursorWrapper, scope: Scope) -> Examined:
    orders = fetch_rows(cursor, "SELECT COUNT(*) AS n FROM billing_order", [])
    differences = [
        Difference(
            f"order:{row['public_id']}",
            {"order": "paid", "lot": "missing"},
            int(row["paid"]),
            action=Action.FINDING,
        )
        for row in fetch_rows(cursor, _PAID_WITHOUT_LOT, [])
    ]
    return Examined(int(orders[0]["n"]), differences)


def _ask_processor(now: datetime) -> list[Difference]:
    """Seen from the processor's side: it has the money, and we have not credited."""
    return [
        Difference(f"order:{order_id}", {"processor": "paid", "order": "not credited"}, millitokens)
        for order_id, millitokens in billing.find_uncredited_orders(now=now)
    ]


def _credit_order(difference: Difference, now: datetime) -> str | None:
    order_id = difference.subject.removeprefix("order:")
    return "credited the order" if billing.settle_order(order_public_id=order_id, now=now) else None


PAID_ORDERS = Check(
    14,
    _("Every paid order was credited"),
    Action.REPAIR,
    _examine_orders,
    _credit_order,
    _ask_processor,
)
