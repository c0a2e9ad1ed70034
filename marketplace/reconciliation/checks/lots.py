"""Check 4: lots against the balance, and against what granted and burnt them."""

from django.db.backends.utils import CursorWrapper
from django.utils.translation import gettext_lazy as _

from marketplace.reconciliation.checks.base import (
    Action,
    Check,
    Examined,
    Scope,
    count_rows,
    find_differences,
    was_decided,
)
from marketplace.reconciliation.checks.wallets import WALLET_SUBJECT
from marketplace.reconciliation.clocks import later_by_any_clock

_NUMBER = 4

_LOTS_AGAINST_WALLET = f"""
WITH lots AS (
    SELECT wallet_id, SUM(remaining_millitokens) AS remaining FROM ledger_lot GROUP BY wallet_id
)
SELECT {WALLET_SUBJECT}, w.posted_millitokens - COALESCE(lots.remaining, 0) AS at_stake,
       w.id AS wallet_id, w.posted_millitokens AS posted, COALESCE(lots.remaining, 0) AS lots
FROM ledger_wallet w LEFT JOIN lots ON lots.wallet_id = w.id
WHERE w.posted_millitokens <> COALESCE(lots.remaining, 0)
"""  # noqa: S608 (our own text)

# While next_expiry_at is too late, expired tokens can be spent.
_NEXT_EXPIRY = """
SELECT 'expiry:' || w.owner_key || ':' || w.unit || ':' || w.scope AS subject,
       due.remaining AS at_stake, w.id AS wallet_id, w.next_expiry_at, due.expires_at
FROM ledger_wallet w JOIN (
    SELECT wallet_id, MIN(expires_at) AS expires_at, SUM(remaining_millitokens) AS remaining
    FROM ledger_lot WHERE remaining_millitokens > 0 AND expires_at IS NOT NULL GROUP BY wallet_id
) AS due ON due.wallet_id = w.id
WHERE w.next_expiry_at IS NULL OR w.next_expiry_at > due.expires_at
"""

# A lot and what credited it are one commit: the same face, the same wallet, the same time.
_LOTS_AGAINST_GRANTS = """
SELECT 'lot:' || l.public_id AS subject, l.face_millitokens AS at_stake, l.wallet_id,
       l.face_millitokens AS face, t.public_id AS granted_by,
       (SELECT SUM(e.amount_millitokens) FROM ledger_entry e
        WHERE e.transaction_id = t.id AND e.wallet_id = l.wallet_id) AS credited,
       l.granted_at, t.recorded_at
FROM ledger_lot l
LEFT JOIN ledger_transaction t ON t.idempotency_scope = 'grant'
     AND t.idempotency_key = l.kind || ':' || l.reference
WHERE t.id IS NULL OR t.reference <> l.reference OR t.recorded_at <> l.granted_at
   OR t.kind NOT IN ('purchase', 'grant')
   OR l.face_millitokens <> COALESCE((SELECT SUM(e.amount_millitokens) FROM ledger_entry e
        WHERE e.transaction_id = t.id AND e.wallet_id = l.wallet_id), 0)
"""
_GRANTS_WITHOUT_LOT = """
SELECT 'transaction:' || t.public_id AS subject, 0 AS at_stake,
       (SELECT MIN(e.wallet_id) FROM ledger_entry e WHERE e.transaction_id = t.id) AS wallet_id,
       t.kind, t.reference, 'missing' AS lot
FROM ledger_transaction t
WHERE t.id > %s AND t.kind IN ('purchase', 'grant')
  AND NOT EXISTS (SELECT 1 FROM ledger_lot l
                  WHERE l.reference = t.reference
                    AND t.idempotency_key = l.kind || ':' || l.reference)
"""
# Why a gift was given: as test tokens, as the trial that the organisation claimed then, for a
# voucher that it redeemed then, or by a person for a finding (several, if need be), older than what
# was done about it by any clock.
_GIFTS_WITHOUT_CAUSE = f"""
SELECT 'lot:' || l.public_id AS subject, l.face_millitokens AS at_stake, l.wallet_id,
       l.kind, l.reference, l.face_millitokens AS face, w.owner_key, w.unit, t.recorded_at
FROM ledger_transaction t
JOIN ledger_lot l ON l.reference = t.reference AND t.idempotency_key = l.kind || ':' || l.reference
JOIN ledger_wallet w ON w.id = l.wallet_id
WHERE t.id > %s AND t.kind = 'grant' AND NOT (l.kind = 'grant' AND (
      (w.unit = 'test' AND l.reference = 'test:' || w.owner_key)
   OR (l.reference = 'trial:' || w.owner_key AND EXISTS (
       SELECT 1 FROM accounts_trialclaim k
       JOIN accounts_organisation o ON o.id = k.organisation_id
       JOIN accounts_auditevent a ON a.organisation_id = o.id AND a.recorded_at = k.claimed_at
       WHERE o.public_id = w.owner_key AND k.claimed_at = t.recorded_at
         AND a.action = 'trial.granted'
         AND {{tokens}} || '000' = CAST(l.face_millitokens AS text)))
   OR EXISTS (
       SELECT 1 FROM billing_voucherredemption r
       JOIN accounts_organisation o ON o.id = r.organisation_id
       JOIN billing_voucher v ON v.id = r.voucher_id
       JOIN billing_voucherbatch b ON b.id = v.batch_id
       WHERE o.public_id = w.owner_key AND r.redeemed_at = t.recorded_at
         AND l.reference = 'voucher:' || v.public_id || ':' || o.public_id
         AND b.millitokens = l.face_millitokens AND b.scope = w.scope)
   OR EXISTS (
       SELECT 1 FROM reconciliation_finding f
       WHERE f.opened_at <= {{latest}}
         AND l.reference || ':' LIKE 'finding:' || f.public_id || ':%%')))
  AND NOT {was_decided(_NUMBER, "'lot:' || l.public_id")}
"""  # noqa: S608 (our own text)
# As text, so that a damaged row is a difference and no error.
_TOKENS = {
    "postgresql": "(a.after ->> 'tokens')",
    "sqlite": "json_extract(a.after, '$.tokens')",
}
# An expiry that was not due took tokens from their owner. Freezing would take the others too.
_EARLY_EXPIRIES = f"""
SELECT 'transaction:' || t.public_id AS subject, b.amount_millitokens AS at_stake, l.wallet_id,
       t.reference, l.public_id AS lot, l.expires_at, t.recorded_at
FROM ledger_transaction t
JOIN ledger_lotburn b ON b.transaction_id = t.id
JOIN ledger_lot l ON l.id = b.lot_id
WHERE t.id > %s AND t.kind = 'expiry'
  AND (l.expires_at IS NULL OR l.expires_at > t.recorded_at
       OR t.reference <> 'lot:' || l.public_id)
  AND NOT {was_decided(_NUMBER, "'transaction:' || t.public_id")}
"""  # noqa: S608 (our own text)
# Where and for how long what was sold is good; amounts and money are check 14's.
_LOTS_AGAINST_ORDERS = """
SELECT 'lot:' || l.public_id AS subject, l.remaining_millitokens AS at_stake, l.wallet_id,
       l.expires_at, o.paid_at, o.expires_after_days AS days, w.scope, o.scope AS ordered_scope,
       l.paid_minor, o.tariff_millitokens AS tariff
FROM ledger_lot l
JOIN ledger_wallet w ON w.id = l.wallet_id
LEFT JOIN billing_order o ON l.reference = 'order:' || o.public_id
WHERE (l.reference LIKE 'order:%%' OR EXISTS (
           SELECT 1 FROM ledger_transaction t
           WHERE t.idempotency_scope = 'grant' AND t.kind = 'purchase'
             AND t.idempotency_key = l.kind || ':' || l.reference))
  AND (o.id IS NULL OR o.scope <> w.scope OR (l.kind <> 'paid' AND l.paid_minor <> 0)
       OR (l.kind = 'paid' AND o.tariff_millitokens <> COALESCE((
               SELECT SUM(e.amount_millitokens)
               FROM ledger_transaction t
               JOIN ledger_entry e ON e.transaction_id = t.id
               JOIN ledger_account a ON a.id = e.debit_account_id
               WHERE t.idempotency_scope = 'grant' AND t.idempotency_key = 'paid:' || l.reference
                 AND a.kind = 'clearing' AND a.owner_key = o.provider), 0))
       OR (o.expires_after_days IS NULL) <> (l.expires_at IS NULL)
       OR l.expires_at <> {expiry})
"""
_EXPIRY = {
    "postgresql": "o.paid_at + o.expires_after_days * INTERVAL '1 day'",
    # Django writes the microseconds; SQLite's own arithmetic would cut them off, or round them up.
    "sqlite": "datetime(substr(o.paid_at, 1, 19), '+' || o.expires_after_days || ' days')"
    " || substr(o.paid_at, 20)",
}

# A reversal's burns give back what the reversed transaction took.
_BURNS_AGAINST_LOT = """
WITH burnt AS (
    SELECT b.lot_id, SUM(CASE WHEN t.kind = 'reversal' THEN -b.amount_millitokens
                              ELSE b.amount_millitokens END) AS total
    FROM ledger_lotburn b JOIN ledger_transaction t ON t.id = b.transaction_id
    GROUP BY b.lot_id
)
SELECT 'lot:' || l.public_id AS subject,
       l.face_millitokens - COALESCE(burnt.total, 0) - l.remaining_millitokens AS at_stake,
       l.wallet_id, l.face_millitokens AS face, l.remaining_millitokens AS remaining,
       COALESCE(burnt.total, 0) AS burnt
FROM ledger_lot l LEFT JOIN burnt ON burnt.lot_id = l.id
WHERE l.face_millitokens - COALESCE(burnt.total, 0) <> l.remaining_millitokens
"""

# Per transaction and wallet: what left the wallet, left its lots.
_BURNS_AGAINST_ENTRIES = """
WITH sides AS (
    SELECT e.transaction_id, e.wallet_id, SUM(CASE WHEN e.debit_account_id = w.account_id
           THEN e.amount_millitokens ELSE -e.amount_millitokens END) AS moved, 0 AS burnt
    FROM ledger_entry e JOIN ledger_wallet w ON w.id = e.wallet_id
    WHERE e.transaction_id > %s GROUP BY e.transaction_id, e.wallet_id
    UNION ALL
    SELECT b.transaction_id, l.wallet_id, 0, SUM(b.amount_millitokens)
    FROM ledger_lotburn b JOIN ledger_lot l ON l.id = b.lot_id
    WHERE b.transaction_id > %s GROUP BY b.transaction_id, l.wallet_id
)
SELECT 'transaction:' || t.public_id AS subject,
       SUM(sides.moved) - SUM(CASE WHEN t.kind = 'reversal' THEN -sides.burnt
                                   ELSE sides.burnt END) AS at_stake,
       sides.wallet_id, t.kind, SUM(sides.moved) AS moved, SUM(sides.burnt) AS burnt
FROM sides JOIN ledger_transaction t ON t.id = sides.transaction_id
WHERE t.kind NOT IN ('purchase', 'grant')
GROUP BY t.id, t.public_id, t.kind, sides.wallet_id
HAVING SUM(sides.moved) <> SUM(CASE WHEN t.kind = 'reversal' THEN -sides.burnt
                                    ELSE sides.burnt END)
"""


def _examine_lots(cursor: CursorWrapper, scope: Scope) -> Examined:
    floor = scope.after("ledger_transaction")
    latest = later_by_any_clock(cursor.db.vendor, "t.recorded_at")
    gifts = _GIFTS_WITHOUT_CAUSE.replace("{tokens}", _TOKENS[cursor.db.vendor])
    gifts = gifts.replace("{latest}", latest)
    against_orders = _LOTS_AGAINST_ORDERS.replace("{expiry}", _EXPIRY[cursor.db.vendor])
    differences = [
        *find_differences(cursor, _LOTS_AGAINST_WALLET),
        *find_differences(cursor, _NEXT_EXPIRY),
        *find_differences(cursor, _LOTS_AGAINST_GRANTS),
        *find_differences(cursor, _GRANTS_WITHOUT_LOT, [floor]),
        *find_differences(cursor, against_orders),
        *find_differences(cursor, gifts, [floor], action=Action.FINDING),
        *find_differences(cursor, _EARLY_EXPIRIES, [floor], action=Action.FINDING),
        *find_differences(cursor, _BURNS_AGAINST_ENTRIES, [floor, floor]),
    ]
    if scope.since is None:
        differences += find_differences(cursor, _BURNS_AGAINST_LOT)
    return Examined(count_rows(cursor, "ledger_lot"), differences)


LOTS = Check(
    _NUMBER,
    _("Lots add up to the balance, and agree with what granted and burnt them"),
    Action.FREEZE,
    _examine_lots,
    windowed=True,
)
