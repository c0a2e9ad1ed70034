"""Check 18: the payment providers' accounts against our orders, refunds and disputes.

Checks 14 to 17 ask a provider about what we or its events name. This one goes through its books,
line by line, and through ours, and each must have what the other has: in amount, in currency and
by what moved the money. What ours say is compared with the ledger's clearing by 4, 5, 15 and 17.

Only what both sides have had their time for is judged: until the cursor, which is an hour behind.
"""

from typing import Any

from django.db.backends.utils import CursorWrapper
from django.utils.translation import gettext_lazy as _

from marketplace.billing import services as billing
from marketplace.reconciliation.checks.base import (
    Action,
    Check,
    Examined,
    Scope,
    count_rows,
    find_differences,
    was_decided,
)

NUMBER = 18

_OF_SHARE = "o.tariff_millitokens / o.amount_minor * {minor}"

# What a payment brought in, and what its buyer has left in it; a fee for it is the operator's own.
_PAYMENTS = """
SELECT m.provider, m.payment_id, SUM(m.amount_minor) AS net,
       SUM(CASE WHEN m.kind IN ('charge', 'charge_failure') THEN m.amount_minor ELSE 0 END)
           AS taken,
       SUM(CASE WHEN m.kind = 'charge' THEN 1 ELSE 0 END) AS charges,
       MIN(m.currency) AS currency, MAX(m.currency) AS other_currency
FROM billing_moneymovement m JOIN billing_movementcursor c ON c.provider = m.provider
WHERE m.payment_id <> '' AND m.kind NOT IN ('own', 'other')
GROUP BY m.provider, m.payment_id, c.read_until
HAVING MAX(m.created_at) <= c.read_until
"""
_CHARGED_OTHERWISE = f"""
SELECT 'payment:' || p.provider || ':' || p.payment_id AS subject,
       COALESCE(o.tariff_millitokens, s.suspense_millitokens, 0) AS at_stake, NULL AS wallet_id,
       p.taken AS provider_took_minor, p.net AS provider_keeps_minor,
       p.currency AS provider_currency,
       COALESCE(o.amount_minor, s.amount_minor) AS booked_minor,
       COALESCE(o.currency, s.currency) AS booked_currency, o.public_id AS order_id
FROM ({_PAYMENTS}) AS p
LEFT JOIN billing_order o ON o.provider = p.provider AND o.provider_payment_id = p.payment_id
     AND o.paid_at IS NOT NULL
LEFT JOIN billing_straypayment s ON s.provider = p.provider AND s.payment_id = p.payment_id
WHERE (CASE WHEN o.id IS NULL AND s.id IS NULL THEN p.net <> 0
            ELSE p.charges > 0
                 AND (p.taken <> COALESCE(o.amount_minor, s.amount_minor)
                      OR p.currency <> COALESCE(o.currency, s.currency)
                      OR p.other_currency <> p.currency) END)
  AND NOT {was_decided(NUMBER, "'payment:' || p.provider || ':' || p.payment_id")}
"""  # noqa: S608 (our own text)

# Booked here; the provider's books have no such payment.
_NEVER_CHARGED = f"""
SELECT 'payment:' || b.provider || ':' || b.payment_id AS subject, b.at_stake, b.wallet_id,
       b.amount_minor AS booked_minor, b.currency AS booked_currency, b.order_id,
       '0' AS provider_took_minor
FROM (SELECT o.provider, o.provider_payment_id AS payment_id, o.tariff_millitokens AS at_stake,
             l.wallet_id, o.amount_minor, o.currency, o.public_id AS order_id,
             o.paid_at AS booked_at
      FROM billing_order o
      LEFT JOIN ledger_lot l ON l.reference = 'order:' || o.public_id AND l.kind = 'paid'
      WHERE o.paid_at IS NOT NULL
      UNION ALL
      SELECT s.provider, s.payment_id, s.suspense_millitokens, NULL, s.amount_minor, s.currency,
             NULL, s.found_at
      FROM billing_straypayment s WHERE s.kind <> 'placed') AS b
JOIN billing_movementcursor c ON c.provider = b.provider
WHERE b.booked_at > c.read_from AND b.booked_at <= c.read_until
  AND NOT EXISTS (SELECT 1 FROM billing_moneymovement m
                  WHERE m.payment_id = b.payment_id AND m.provider = b.provider
                    AND m.kind = 'charge')
  AND NOT {was_decided(NUMBER, "'payment:' || b.provider || ':' || b.payment_id")}
"""  # noqa: S608 (our own text)

# What a refund or dispute moved at the provider, all its lines together.
_MOVED_BACK = """
SELECT m.provider, m.source_id, SUM(m.amount_minor) AS moved, MIN(m.payment_id) AS payment_id,
       MIN(m.currency) AS currency, MAX(m.created_at) AS last_at
FROM billing_moneymovement m
WHERE m.kind IN ('refund', 'refund_failure', 'dispute', 'dispute_reversal')
GROUP BY m.provider, m.source_id
"""
# What we keep of refunds and disputes, and what should have moved for each.
_BOOKED_BACK = """
SELECT o.id AS order_pk, r.refund_id AS source_id, r.state, r.first_seen_at, r.changed_at,
       CASE r.state WHEN 'failed' THEN 0 ELSE -r.amount_minor END AS expected
FROM billing_refund r JOIN billing_order o ON o.id = r.order_id
UNION ALL
SELECT o.id, d.dispute_id, d.state, d.first_seen_at, d.changed_at,
       CASE WHEN d.state IN ('open', 'lost') THEN -d.amount_minor ELSE 0 END
FROM billing_dispute d JOIN billing_order o ON o.id = d.order_id
"""
_GONE_BACK_OTHERWISE = f"""
SELECT 'reversal:' || o.provider || ':' || b.source_id AS subject,
       {_OF_SHARE.format(minor="ABS(COALESCE(v.moved, 0) - b.expected)")} AS at_stake,
       NULL AS wallet_id, COALESCE(v.moved, 0) AS provider_moved_minor,
       v.currency AS provider_currency,
       b.expected AS booked_minor, o.currency AS booked_currency, b.state, o.public_id AS order_id
FROM ({_BOOKED_BACK}) AS b JOIN billing_order o ON o.id = b.order_pk
JOIN billing_movementcursor c ON c.provider = o.provider
LEFT JOIN ({_MOVED_BACK}) AS v ON v.provider = o.provider AND v.source_id = b.source_id
WHERE b.first_seen_at > c.read_from AND b.changed_at <= c.read_until
  AND (v.last_at IS NULL OR v.last_at <= c.read_until)
  AND (COALESCE(v.moved, 0) <> b.expected OR v.currency <> o.currency)
  AND NOT (b.state = 'pending' AND COALESCE(v.moved, 0) = 0)
  AND NOT {was_decided(NUMBER, "'reversal:' || o.provider || ':' || b.source_id")}
"""  # noqa: S608 (our own text)
# Of a payment that we credited; what went back of others shows in what is left of them.
_GONE_BACK_UNSEEN = f"""
SELECT 'reversal:' || v.provider || ':' || v.source_id AS subject,
       {_OF_SHARE.format(minor="ABS(v.moved)")} AS at_stake, NULL AS wallet_id,
       v.moved AS provider_moved_minor, v.currency AS provider_currency, 0 AS booked_minor,
       o.public_id AS order_id
FROM ({_MOVED_BACK}) AS v JOIN billing_movementcursor c ON c.provider = v.provider
JOIN billing_order o ON o.provider = v.provider AND o.provider_payment_id = v.payment_id
     AND o.paid_at IS NOT NULL
WHERE v.last_at <= c.read_until AND v.moved <> 0
  AND NOT EXISTS (SELECT 1 FROM billing_refund r
                  WHERE r.order_id = o.id AND r.refund_id = v.source_id)
  AND NOT EXISTS (SELECT 1 FROM billing_dispute d
                  WHERE d.order_id = o.id AND d.dispute_id = v.source_id)
  AND NOT {was_decided(NUMBER, "'reversal:' || v.provider || ':' || v.source_id")}
"""  # noqa: S608 (our own text)

# Neither of a payment nor of the operator's own dealings with its provider.
_UNKNOWN_KIND = f"""
SELECT 'movement:' || m.provider || ':' || m.movement_id AS subject, 0 AS at_stake,
       NULL AS wallet_id, m.gross_minor AS provider_moved_minor,
       m.account_currency AS provider_currency,
       m.source_id
FROM billing_moneymovement m
WHERE (m.kind = 'other' OR (m.kind <> 'own' AND m.payment_id = ''))
  AND NOT {was_decided(NUMBER, "'movement:' || m.provider || ':' || m.movement_id")}
"""  # noqa: S608 (our own text)

_COMPARISONS = (
    _CHARGED_OTHERWISE,
    _NEVER_CHARGED,
    _GONE_BACK_OTHERWISE,
    _GONE_BACK_UNSEEN,
    _UNKNOWN_KIND,
)


def _examine(cursor: CursorWrapper, scope: Scope) -> Examined:
    if scope.since is not None:
        # The accounts are read by full runs.
        return Examined(0)
    found: list[Any] = []
    for sql in _COMPARISONS:
        found += find_differences(cursor, sql)
    return Examined(count_rows(cursor, "billing_moneymovement"), found)


def _read_accounts(now: Any) -> int:
    return billing.read_movements(now=now)


MOVEMENTS = Check(
    NUMBER,
    _("What moved at the payment provider is what was booked here"),
    Action.FINDING,
    _examine,
    windowed=True,
    prepare=_read_accounts,
)
