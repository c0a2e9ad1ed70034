"""Checks 14, 15 and 16: whoever paid has their tokens, every payment has its place, and what we
keep of a payment is what the payment provider says of it."""

from collections.abc import Iterable
from datetime import datetime

from django.db.backends.utils import CursorWrapper
from django.utils.translation import gettext_lazy as _

from marketplace.billing import services as billing
from marketplace.billing.models import CREDITED_ORDER_STATUSES
from marketplace.ledger.models import Lot
from marketplace.reconciliation.checks.base import (
    Action,
    Check,
    Difference,
    Examined,
    Scope,
    was_decided,
)
from marketplace.reconciliation.checks.transfers import examine_transfers
from marketplace.reconciliation.models import Finding, FindingState
from marketplace.reconciliation.snapshot import fetch_rows

UNPLACED, DISAGREEING = 15, 16

# Seen from our side: an order says paid, but its lot was never credited.
_PAID_WITHOUT_LOT = """
SELECT o.public_id, o.paid_millitokens AS paid
FROM billing_order o
WHERE o.paid_at IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM ledger_lot l
                  WHERE l.reference = 'order:' || o.public_id AND l.kind = 'paid')
"""

# An order and the lots under its reference say the same in every figure, or are both empty.
_CREDITED_OTHERWISE = """
SELECT o.public_id, o.status, l.kind, l.wallet_id, l.face_millitokens AS face,
       CASE l.kind WHEN 'paid' THEN o.paid_millitokens ELSE o.bonus_millitokens END AS ordered,
       l.paid_minor, o.amount_minor, l.currency, o.currency AS order_currency,
       w.owner_key, org.public_id AS organisation
FROM billing_order o
JOIN accounts_organisation org ON org.id = o.organisation_id
JOIN ledger_lot l ON l.reference = 'order:' || o.public_id
JOIN ledger_wallet w ON w.id = l.wallet_id
WHERE o.paid_at IS NULL
   OR o.status NOT IN ({credited})
   OR w.owner_key <> org.public_id
   OR (l.kind = 'paid' AND (l.face_millitokens <> o.paid_millitokens
                            OR l.paid_minor <> o.amount_minor OR l.currency <> o.currency))
   OR (l.kind = 'bonus' AND l.face_millitokens <> o.bonus_millitokens)
""".replace("{credited}", ", ".join(f"'{status}'" for status in CREDITED_ORDER_STATUSES))

# What staff have resolved is not brought up again.
_STRAY_PAYMENTS = f"""
SELECT s.provider, s.payment_id, s.kind, s.amount_minor, s.currency,
       s.suspense_millitokens AS suspense, o.public_id AS order_id
FROM billing_straypayment s LEFT JOIN billing_order o ON o.id = s.order_id
WHERE s.kind <> 'placed'
  AND NOT {was_decided(UNPLACED, "'payment:' || s.provider || ':' || s.payment_id")}
"""  # noqa: S608 (our own words)

# What waits in suspense for a stray payment is what it says; nothing, once it was placed.
_SUSPENSE = """
SELECT s.public_id, s.kind, s.suspense_millitokens AS kept,
       COALESCE(SUM(CASE WHEN a.kind = 'suspense' THEN e.amount_millitokens
                         ELSE -e.amount_millitokens END), 0) AS posted
FROM billing_straypayment s
LEFT JOIN ledger_transaction t ON t.idempotency_scope = 'stray_payment'
     AND t.idempotency_key IN (s.public_id, s.public_id || ':back')
LEFT JOIN ledger_entry e ON e.transaction_id = t.id
LEFT JOIN ledger_account a ON a.id = e.credit_account_id
GROUP BY s.id, s.public_id, s.kind, s.suspense_millitokens
HAVING COALESCE(SUM(CASE WHEN a.kind = 'suspense' THEN e.amount_millitokens
                         ELSE -e.amount_millitokens END), 0)
       <> CASE s.kind WHEN 'placed' THEN 0 ELSE s.suspense_millitokens END
"""

# Money came that was not ordered so; nothing was credited for it.
_MISMATCHED_ORDERS = f"""
SELECT o.public_id, o.status, o.amount_minor, o.currency, o.paid_millitokens AS paid
FROM billing_order o
WHERE o.failure_code = 'mismatch' AND o.paid_at IS NULL
  AND NOT {was_decided(DISAGREEING, "'order:' || o.public_id")}
"""  # noqa: S608 (our own words)


def _examine_orders(cursor: CursorWrapper, scope: Scope) -> Examined:
    differences = [
        Difference(
            f"order:{row['public_id']}",
            {"order": "paid", "lot": "missing"},
            int(row["paid"]),
            action=Action.FINDING,
        )
        for row in fetch_rows(cursor, _PAID_WITHOUT_LOT, [])
    ]
    differences += [
        Difference(
            f"order:{row['public_id']}",
            {key: str(value) for key, value in row.items() if key != "wallet_id"},
            int(row["face"]),
            row["wallet_id"],
            Action.FREEZE,
        )
        for row in fetch_rows(cursor, _CREDITED_OTHERWISE, [])
    ]
    return Examined(_count(cursor, "billing_order"), differences)


def _ask_for_uncredited(now: datetime) -> list[Difference]:
    """Seen from the processor's side: it has the money, and we have not credited."""
    return [
        Difference(f"order:{order_id}", {"processor": "paid", "order": "not credited"}, millitokens)
        for order_id, millitokens in billing.find_uncredited_orders(now=now)
    ]


def _credit_order(difference: Difference, now: datetime) -> str | None:
    order_id = difference.subject.removeprefix("order:")
    return "credited the order" if billing.settle_order(order_public_id=order_id, now=now) else None


def _examine_strays(cursor: CursorWrapper, scope: Scope) -> Examined:
    differences = [
        Difference(
            f"payment:{row['provider']}:{row['payment_id']}",
            {key: row[key] for key in ("kind", "order_id", "amount_minor", "currency")},
            int(row["suspense"]),
        )
        for row in fetch_rows(cursor, _STRAY_PAYMENTS, [])
    ]
    differences += [
        Difference(
            f"suspense:{row['public_id']}",
            {key: str(row[key]) for key in ("kind", "kept", "posted")},
            abs(int(row["kept"]) - int(row["posted"])),
        )
        for row in fetch_rows(cursor, _SUSPENSE, [])
    ]
    differences += examine_transfers(cursor)
    return Examined(_count(cursor, "billing_straypayment"), differences)


def _ask_for_unknown(now: datetime) -> list[Difference]:
    """Payments that the processor has and that we have never placed: the rule places them."""
    return [
        Difference(
            f"payment:{found.provider}:{found.payment_id}",
            {
                "object_id": found.object_id,
                "order_id": found.order_id,
                "amount_minor": found.amount_minor,
                "currency": found.currency,
            },
            action=Action.REPAIR,
        )
        for found in billing.find_unknown_payments(now=now)
    ]


def _place_payment(difference: Difference, now: datetime) -> str | None:
    """Credit the order that it pays, or remember it as stray: then the next runs report it."""
    provider = difference.subject.split(":")[1]
    placed = billing.place_payment(
        provider=provider, object_id=difference.detail["object_id"], final=True, now=now
    )
    return "gave the payment its place" if placed else None


def _examine_mismatches(cursor: CursorWrapper, scope: Scope) -> Examined:
    return Examined(
        _count(cursor, "billing_order"),
        [
            Difference(
                f"order:{row['public_id']}",
                {key: row[key] for key in ("status", "amount_minor", "currency")},
                int(row["paid"]),
                action=Action.FINDING,
            )
            for row in fetch_rows(cursor, _MISMATCHED_ORDERS, [])
        ],
    )


def _ask_for_disputed(now: datetime) -> list[Difference]:
    """Orders that we have credited and of which the processor says something else."""
    disputed = {one.order.public_id: one for one in billing.find_disputed_orders(now=now)}
    references = {one.order.reference: order_id for order_id, one in disputed.items()}
    paid_lots = Lot.objects.filter(kind="paid", reference__in=references)
    wallets = {
        references[reference]: wallet_pk
        for reference, wallet_pk in paid_lots.values_list("reference", "wallet_id")
    }
    decided = _decided_subjects(f"order:{order_id}" for order_id in disputed)
    return [
        Difference(
            f"order:{order_id}",
            {name: [str(side) for side in pair] for name, pair in one.differences.items()},
            one.order.paid_millitokens,
            wallets.get(order_id),
        )
        for order_id, one in disputed.items()
        if f"order:{order_id}" not in decided
    ]


def _decided_subjects(subjects: Iterable[str]) -> set[str]:
    return set(
        Finding.objects.filter(
            check_number=DISAGREEING,
            subject__in=list(subjects),
            state=FindingState.RESOLVED,
            resolved_by__isnull=False,
        ).values_list("subject", flat=True)
    )


def _count(cursor: CursorWrapper, table: str) -> int:
    rows = fetch_rows(cursor, f"SELECT COUNT(*) AS n FROM {table}", [])  # noqa: S608 (our own words)
    return int(rows[0]["n"])


PAID_ORDERS = Check(
    14,
    _("Every paid order was credited"),
    Action.REPAIR,
    _examine_orders,
    _credit_order,
    _ask_for_uncredited,
)
PLACED_PAYMENTS = Check(
    UNPLACED,
    _("Every payment bought what it was for"),
    Action.FINDING,
    _examine_strays,
    _place_payment,
    _ask_for_unknown,
)
AGREED_PAYMENTS = Check(
    DISAGREEING,
    _("Orders and the payment provider agree"),
    Action.FREEZE,
    _examine_mismatches,
    ask=_ask_for_disputed,
)
