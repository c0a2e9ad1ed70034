"""Check 3: what is held, in wallets and limits, against the holds; a hold against its capture."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db.backends.utils import CursorWrapper
from django.utils.translation import gettext_lazy as _

from marketplace.ledger import services as ledger
from marketplace.reconciliation.checks.base import (
    Action,
    Check,
    Difference,
    Examined,
    Scope,
    count_rows,
    find_differences,
)
from marketplace.reconciliation.checks.limits import find_odd_limits
from marketplace.reconciliation.checks.wallets import WALLET_SUBJECT
from marketplace.reconciliation.clocks import CLOCKS_DIFFER

_PENDING = """
pending AS (
    SELECT p.wallet_id, SUM(p.amount_millitokens) AS total
    FROM ledger_holdpart p JOIN ledger_hold h ON h.id = p.hold_id
    WHERE h.state = 'pending' GROUP BY p.wallet_id
)
"""
# A hold without its reservation could be spent twice.
_HOLDS_WITHOUT_RESERVATION = f"""
WITH {_PENDING}
SELECT {WALLET_SUBJECT}, pending.total - w.held_millitokens AS at_stake, w.id AS wallet_id,
       w.held_millitokens AS held, pending.total AS holds
FROM ledger_wallet w JOIN pending ON pending.wallet_id = w.id
WHERE w.held_millitokens < pending.total
"""  # noqa: S608 (our own text)
# A reservation that no hold explains only keeps tokens from their owner.
_RESERVATIONS_WITHOUT_HOLD = f"""
WITH {_PENDING}
SELECT {WALLET_SUBJECT}, w.held_millitokens - COALESCE(pending.total, 0) AS at_stake,
       w.id AS wallet_id, w.held_millitokens AS held, COALESCE(pending.total, 0) AS holds
FROM ledger_wallet w LEFT JOIN pending ON pending.wallet_id = w.id
WHERE w.held_millitokens > COALESCE(pending.total, 0)
"""  # noqa: S608 (our own text)

_PARTS = """
WITH parts AS (
    SELECT h.id, SUM(p.amount_millitokens) AS total, MIN(p.wallet_id) AS wallet_id,
           SUM(CASE WHEN w.owner_key <> h.owner_key OR w.unit <> h.unit THEN 1
               ELSE 0 END) AS others,
           MAX(p.position) + 1 - COUNT(*) AS misplaced
    FROM ledger_hold h
    JOIN ledger_holdpart p ON p.hold_id = h.id
    JOIN ledger_wallet w ON w.id = p.wallet_id
    WHERE h.id > %s OR h.state = 'pending' GROUP BY h.id
)
SELECT 'hold:' || h.public_id AS subject,
       h.amount_millitokens - COALESCE(parts.total, 0) AS at_stake, parts.wallet_id,
       h.state, h.amount_millitokens AS amount,
       COALESCE(parts.total, 0) AS parts, COALESCE(parts.others, 0) AS wallets_of_others
FROM ledger_hold h LEFT JOIN parts ON parts.id = h.id
WHERE (h.id > %s OR h.state = 'pending')
  AND (parts.others > 0 OR parts.misplaced <> 0 OR h.amount_millitokens < COALESCE(parts.total, 0)
       OR (h.amount_millitokens > COALESCE(parts.total, 0)
           AND h.state NOT IN ('declined', 'captured')))
"""

# What a capture writes in one commit: the hold's end, the transaction, both at one time.
_CAPTURES = """
SELECT COALESCE('hold:' || h.public_id, 'transaction:' || t.public_id) AS subject,
       COALESCE(h.amount_millitokens, 0) AS at_stake,
       (SELECT MIN(p.wallet_id) FROM ledger_holdpart p WHERE p.hold_id = t.hold_id) AS wallet_id,
       h.state, h.captured_millitokens AS captured, t.public_id AS capture,
       h.resolved_at, t.recorded_at
FROM ledger_transaction t LEFT JOIN ledger_hold h ON h.id = t.hold_id
WHERE t.id > %s AND t.kind = 'capture'
  AND (h.id IS NULL OR h.state <> 'captured' OR t.recorded_at <> h.resolved_at
       OR t.effective_at > t.recorded_at OR t.idempotency_scope <> 'capture'
       OR t.idempotency_key <> h.public_id
       OR (h.reference LIKE 'call:%%' AND t.reference <> h.reference))
UNION ALL
SELECT 'hold:' || h.public_id, h.amount_millitokens,
       (SELECT MIN(p.wallet_id) FROM ledger_holdpart p WHERE p.hold_id = h.id),
       h.state, h.captured_millitokens, '', h.resolved_at, NULL
FROM ledger_hold h
WHERE h.id > %s AND ((h.state <> 'captured' AND h.captured_millitokens <> 0)
    OR h.state NOT IN ('pending', 'captured', 'released', 'expired', 'declined')
    OR (h.state = 'captured' AND NOT EXISTS (SELECT 1 FROM ledger_transaction t
                                             WHERE t.hold_id = h.id AND t.kind = 'capture')))
"""

# Odd, but nobody's tokens are in danger. A late capture raises the amount of a hold whose parts are
# long free, and may take from other wallets; clocks that differ can make one look timely.
_ODD_HOLDS = """
SELECT 'hold:' || h.public_id AS subject, h.amount_millitokens AS at_stake, NULL AS wallet_id,
       h.state, h.decline_code, h.placed_at, h.expires_at, h.resolved_at
FROM ledger_hold h
WHERE (h.id > %s AND ((h.state = 'declined') <> (h.decline_code <> '')
                      OR h.expires_at < h.placed_at))
   OR (h.state = 'pending' AND h.expires_at > %s)
   OR (h.id > %s AND h.state = 'captured' AND h.resolved_at < h.expires_at AND (
       h.amount_millitokens > COALESCE((SELECT SUM(p.amount_millitokens) FROM ledger_holdpart p
                                        WHERE p.hold_id = h.id), 0)
       OR EXISTS (SELECT 1 FROM ledger_transaction t
                  JOIN ledger_entry e ON e.transaction_id = t.id AND e.wallet_id IS NOT NULL
                  WHERE t.hold_id = h.id AND t.kind = 'capture'
                    AND NOT EXISTS (SELECT 1 FROM ledger_holdpart p
                                    WHERE p.hold_id = h.id AND p.wallet_id = e.wallet_id))))
"""


def _longest_hold() -> timedelta:
    """No hold is placed for longer, at the gateway or on a grant."""
    gateway = (
        settings.UPSTREAM_TOTAL_SECONDS
        + settings.UPSTREAM_DRAIN_SECONDS
        + settings.HOLD_MARGIN_SECONDS
    )
    direct = settings.DIRECT_GRANT_SECONDS + settings.DIRECT_GRACE_SECONDS
    return timedelta(seconds=max(gateway, direct))


def _examine_holds(cursor: CursorWrapper, scope: Scope) -> Examined:
    holds, transactions = scope.after("ledger_hold"), scope.after("ledger_transaction")
    differences = [
        *find_differences(cursor, _HOLDS_WITHOUT_RESERVATION),
        *find_differences(cursor, _RESERVATIONS_WITHOUT_HOLD, action=Action.REPAIR),
        *find_differences(cursor, _PARTS, [holds, holds]),
        *find_differences(cursor, _CAPTURES, [transactions, holds]),
        *find_differences(
            cursor,
            _ODD_HOLDS,
            [holds, scope.now + _longest_hold() + CLOCKS_DIFFER, holds],
            action=Action.FINDING,
        ),
        *find_odd_limits(cursor, scope),
    ]
    return Examined(count_rows(cursor, "ledger_hold", scope), differences)


def _free_stray_reservation(difference: Difference, now: datetime) -> str | None:
    assert difference.wallet_pk is not None
    freed = ledger.free_stray_reservation(wallet_pk=difference.wallet_pk)
    return f"freed {freed} millitokens that no hold explains" if freed else None


HELD = Check(
    3,
    _("What is held equals the pending holds, and holds agree with captures and limits"),
    Action.FREEZE,
    _examine_holds,
    _free_stray_reservation,
    windowed=True,
)
