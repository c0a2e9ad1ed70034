"""The part of check 15 that is about bank transfers: what staff recorded is what was booked."""

from django.db.backends.utils import CursorWrapper

from marketplace.reconciliation.checks.base import Action, Difference
from marketplace.reconciliation.snapshot import fetch_rows

# Each transfer that staff recorded waits, or has been placed, as one stray payment of its own.
_TRANSFERS = """
SELECT 'transfer:' || t.public_id AS subject, t.amount_minor, t.currency, s.kind,
       COALESCE(s.suspense_millitokens, 0) AS suspense
FROM billing_banktransfer t
LEFT JOIN billing_straypayment s ON s.provider = 'bank' AND s.payment_id = t.public_id
WHERE s.id IS NULL OR s.amount_minor <> t.amount_minor OR s.currency <> t.currency
   OR (t.slip_id IS NULL) <> (s.kind = 'unmatched')
UNION ALL
SELECT 'payment:' || s.provider || ':' || s.payment_id, s.amount_minor, s.currency, s.kind,
       s.suspense_millitokens
FROM billing_straypayment s
LEFT JOIN billing_banktransfer t ON t.public_id = s.payment_id
WHERE s.provider = 'bank' AND s.kind = 'placed' AND t.id IS NULL
"""
# What an order was credited for by transfer is what arrived for it, less what was too much.
_TRANSFERRED_OTHERWISE = """
SELECT o.public_id, o.amount_minor, o.paid_millitokens AS paid, l.wallet_id,
       COALESCE(SUM(CASE s.kind WHEN 'placed' THEN s.amount_minor ELSE -s.amount_minor END), 0)
           AS transferred
FROM billing_order o
LEFT JOIN ledger_lot l ON l.reference = 'order:' || o.public_id AND l.kind = 'paid'
LEFT JOIN billing_straypayment s ON s.order_id = o.id
     AND (s.kind = 'placed' OR s.payment_id = o.provider_session_id || ':rest')
WHERE o.provider = 'bank' AND o.paid_at IS NOT NULL
GROUP BY o.id, o.public_id, o.amount_minor, o.paid_millitokens, l.wallet_id
HAVING COALESCE(SUM(CASE s.kind WHEN 'placed' THEN s.amount_minor ELSE -s.amount_minor END), 0)
       <> o.amount_minor
"""


def examine_transfers(cursor: CursorWrapper) -> list[Difference]:
    """Transfers that are not booked as they were recorded, and orders credited for other sums."""
    differences = [
        Difference(
            row["subject"],
            {key: str(row[key]) for key in ("kind", "amount_minor", "currency")},
            int(row["suspense"]),
        )
        for row in fetch_rows(cursor, _TRANSFERS, [])
    ]
    return differences + [
        Difference(
            f"order:{row['public_id']}",
            {key: str(row[key]) for key in ("amount_minor", "transferred")},
            int(row["paid"]),
            row["wallet_id"],
            Action.FREEZE,
        )
        for row in fetch_rows(cursor, _TRANSFERRED_OTHERWISE, [])
    ]
