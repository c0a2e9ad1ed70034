"""Check 17: what went back at the payment provider has gone back here, to the millitoken.

Three records say it: the provider's, ours of what it told (order, refunds, disputes), and the
ledger's. ``billing.settle_reversals`` mends the two that are ours, from the provider's.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db.backends.utils import CursorWrapper
from django.utils.translation import gettext_lazy as _

from marketplace.billing import services as billing
from marketplace.ledger import services as ledger
from marketplace.reconciliation.checks.base import (
    Action,
    Check,
    Difference,
    Examined,
    Scope,
    find_differences,
)
from marketplace.reconciliation.snapshot import fetch_rows

# Orders of which anything is said to have gone back, by any of our records.
_TOUCHED = """
SELECT id FROM billing_order
WHERE reversed_minor > 0 OR status IN ('partially_reversed', 'reversed')
UNION SELECT order_id FROM billing_refund
UNION SELECT order_id FROM billing_dispute
UNION SELECT order_id FROM billing_refundrequest
UNION SELECT o.id FROM ledger_transaction t
      JOIN billing_order o ON t.reference = 'order:' || o.public_id
      WHERE t.idempotency_scope = 'purchase_reversal'
"""
_ORDERS = f"""
SELECT o.public_id, o.status, o.amount_minor, o.reversed_minor, l.wallet_id,
       l.face_millitokens AS face, l.paid_minor, o.tariff_millitokens AS worth,
       COALESCE((SELECT SUM(r.amount_minor) FROM billing_refund r
                 WHERE r.order_id = o.id AND r.state <> 'failed'), 0) AS refunded,
       COALESCE((SELECT SUM(d.amount_minor) FROM billing_dispute d
                 WHERE d.order_id = o.id AND d.state IN ('open', 'lost')), 0) AS charged_back,
       COALESCE((SELECT SUM(q.amount_minor) FROM billing_refundrequest q
                 WHERE q.order_id = o.id AND q.state IN ('requested', 'approved', 'sent')
                   AND NOT EXISTS (SELECT 1 FROM billing_refund r WHERE r.request_id = q.id)),
                0) AS asked,
       COALESCE((SELECT SUM(CASE WHEN t.kind = 'reversal' THEN -e.amount_millitokens
                                 ELSE e.amount_millitokens END)
                 FROM ledger_transaction t JOIN ledger_entry e ON e.transaction_id = t.id
                 JOIN ledger_account a ON a.kind = 'clearing'
                  AND a.id IN (e.debit_account_id, e.credit_account_id)
                 WHERE t.reference = 'order:' || o.public_id
                   AND t.idempotency_scope = 'purchase_reversal'), 0) AS cleared,
       COALESCE((SELECT SUM(CASE WHEN t.kind = 'reversal' THEN -e.amount_millitokens
                                 ELSE e.amount_millitokens END)
                 FROM ledger_transaction t JOIN ledger_entry e ON e.transaction_id = t.id
                 JOIN ledger_account a ON a.kind = 'receivable'
                  AND a.id IN (e.debit_account_id, e.credit_account_id)
                 WHERE t.reference = 'order:' || o.public_id
                   AND t.idempotency_scope = 'purchase_reversal'), 0) AS owed
FROM billing_order o JOIN ledger_lot l ON l.reference = 'order:' || o.public_id AND l.kind = 'paid'
WHERE o.id IN ({_TOUCHED})
"""  # noqa: S608 (our own text)

# A refund or charge-back belongs to an order, and nothing else reverses one.
_WITHOUT_ORDER = """
SELECT 'transaction:' || t.public_id AS subject,
       COALESCE((SELECT SUM(e.amount_millitokens) FROM ledger_entry e
                 WHERE e.transaction_id = t.id), 0) AS at_stake,
       (SELECT MIN(e.wallet_id) FROM ledger_entry e WHERE e.transaction_id = t.id) AS wallet_id,
       t.kind, t.reference, t.idempotency_scope AS scope
FROM ledger_transaction t LEFT JOIN ledger_transaction r ON r.id = t.reverses_id
WHERE t.id > %s
  AND (t.kind IN ('refund', 'chargeback') OR r.kind IN ('refund', 'chargeback')
       OR t.idempotency_scope = 'purchase_reversal')
  AND (t.idempotency_scope <> 'purchase_reversal'
       OR t.kind NOT IN ('refund', 'chargeback', 'reversal')
       OR (r.id IS NOT NULL AND r.reference <> t.reference)
       OR NOT EXISTS (SELECT 1 FROM billing_order o
                      WHERE t.reference = 'order:' || o.public_id AND o.paid_at IS NOT NULL))
"""

_DEBTS = """
debts AS (
    SELECT a.owner_key, a.unit,
           COALESCE((SELECT SUM(e.amount_millitokens) FROM ledger_entry e
                     WHERE e.debit_account_id = a.id), 0)
         - COALESCE((SELECT SUM(e.amount_millitokens) FROM ledger_entry e
                     WHERE e.credit_account_id = a.id), 0) AS debt
    FROM ledger_account a WHERE a.kind = 'receivable'
)
"""
# Who owes has no wallet that is not frozen for it, and nobody else has one that is.
_DEBT_FREEZES = f"""
WITH {_DEBTS}
SELECT 'debtor:' || w.unit || ':' || w.owner_key AS subject, MAX(COALESCE(d.debt, 0)) AS at_stake,
       MIN(w.id) AS wallet_id, MAX(COALESCE(d.debt, 0)) AS debt, COUNT(*) AS wallets
FROM ledger_wallet w
LEFT JOIN debts d ON d.owner_key = w.owner_key AND d.unit = w.unit
LEFT JOIN ledger_freeze f ON f.wallet_id = w.id AND f.reason = 'debt'
WHERE (COALESCE(d.debt, 0) > 0) <> (f.id IS NOT NULL)
GROUP BY w.owner_key, w.unit
"""  # noqa: S608 (our own text)
# For a person: to collect, or to forgive.
_STANDING_DEBTS = f"""
WITH {_DEBTS}
SELECT 'debt:' || d.unit || ':' || d.owner_key AS subject, d.debt AS at_stake, NULL AS wallet_id,
       d.owner_key, d.debt
FROM debts d WHERE d.debt > 0
"""  # noqa: S608 (our own text)
# A debt that was settled, and then the bank gave the money back after all: for a person to repay.
_OWED_BACK = f"""
WITH {_DEBTS}
SELECT 'owed_back:' || d.unit || ':' || d.owner_key AS subject, -d.debt AS at_stake,
       NULL AS wallet_id, d.owner_key, -d.debt AS owed_back
FROM debts d WHERE d.debt < 0
"""  # noqa: S608 (our own text)


def _examine_reversals(cursor: CursorWrapper, scope: Scope) -> Examined:
    orders = fetch_rows(cursor, _ORDERS, [])
    floor = scope.after("ledger_transaction")
    return Examined(
        len(orders),
        [
            *(found for row in orders for found in _compare(row)),
            *find_differences(cursor, _WITHOUT_ORDER, [floor], action=Action.FINDING),
            *find_differences(cursor, _DEBT_FREEZES),
            *find_differences(cursor, _STANDING_DEBTS, action=Action.FINDING),
            *find_differences(cursor, _OWED_BACK, action=Action.FINDING),
        ],
    )


def _compare(row: dict[str, Any]) -> Sequence[Difference]:
    """Our own records among themselves. In Python: the products are beyond 64 bits."""
    amount, refunded, charged_back = (
        int(row[name]) for name in ("amount_minor", "refunded", "charged_back")
    )
    gone = min(amount, refunded + charged_back)
    status = "paid" if not gone else "reversed" if gone == amount else "partially_reversed"
    taken = min(amount, refunded + charged_back + int(row["asked"]))
    face, worth, paid = int(row["face"]), int(row["worth"]), int(row["paid_minor"]) or 1
    cleared = worth * (face * taken // paid) // face
    most_owed = worth * min(amount, charged_back) // paid
    said = {
        "status": (row["status"], status),
        "reversed_minor": (int(row["reversed_minor"]), gone),
        "cleared_millitokens": (int(row["cleared"]), cleared),
        "owed_millitokens": (int(row["owed"]), min(max(0, int(row["owed"])), most_owed)),
    }
    apart = {
        name: [str(side) for side in pair] for name, pair in said.items() if pair[0] != pair[1]
    }
    if not apart:
        return ()
    at_stake = abs(int(row["cleared"]) - cleared)
    return (Difference(f"order:{row['public_id']}", apart, at_stake, row["wallet_id"]),)


def _ask_for_reversals(now: datetime) -> list[Difference]:
    """What is final at the provider is followed by rule; the rest a person looks at."""
    return [
        Difference(
            f"provider:{apart.order.public_id}",
            dict(apart.differences),
            apart.order.paid_millitokens,
            action=Action.REPAIR if apart.is_final else Action.FINDING,
        )
        for apart in billing.find_reversals_apart(now=now)
    ]


def _settle(difference: Difference, now: datetime) -> str | None:
    kind, _colon, name = difference.subject.partition(":")
    if kind == "debtor":
        unit, _colon, owner_key = name.partition(":")
        ledger.keep_debt_freeze(owner_key=owner_key, unit=unit, now=now)
        return "made the freezes fit the debt"
    settled = billing.settle_reversals(order_public_id=name, now=now)
    return "followed the payment provider" if settled else None


REVERSALS = Check(
    17,
    _("What went back at the payment provider has gone back here"),
    Action.REPAIR,
    _examine_reversals,
    _settle,
    _ask_for_reversals,
)
