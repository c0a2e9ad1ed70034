"""Checks 6, 7 and 20: work that the schedule should have done by now."""

from datetime import datetime, timedelta

from django.db.backends.utils import CursorWrapper
from django.utils.translation import gettext_lazy as _

from marketplace.billing import services as billing
from marketplace.ledger import services as ledger
from marketplace.metering import services as metering
from marketplace.reconciliation.checks.base import Action, Check, Difference, Examined, Scope
from marketplace.reconciliation.snapshot import fetch_rows

# How late a schedule may be before its work counts as overdue.
GRACE = timedelta(minutes=3)

_OVERDUE_HOLDS = """
SELECT h.public_id, h.amount_millitokens AS amount, h.reference, h.expires_at,
       MIN(p.wallet_id) AS wallet_id
FROM ledger_hold h LEFT JOIN ledger_holdpart p ON p.hold_id = h.id
WHERE h.state = 'pending' AND h.expires_at < %s
GROUP BY h.id, h.public_id, h.amount_millitokens, h.reference, h.expires_at
"""

# What holds pin stays until they resolve, so only a lot's unpinned part is overdue.
_OVERDUE_LOTS = """
SELECT l.public_id, l.wallet_id, l.remaining_millitokens AS remaining, l.expires_at,
       w.posted_millitokens - w.held_millitokens AS unpinned
FROM ledger_lot l JOIN ledger_wallet w ON w.id = l.wallet_id
WHERE l.remaining_millitokens > 0 AND l.expires_at < %s
  AND w.posted_millitokens > w.held_millitokens
"""

_STUCK_EVENTS = """
SELECT id, provider, event_id, event_type, state, attempts FROM billing_inboxevent
WHERE state IN ('received', 'processing', 'failed') AND received_at < %s
  AND (leased_until IS NULL OR leased_until < %s)
"""


def _examine_holds(cursor: CursorWrapper, scope: Scope) -> Examined:
    pending = fetch_rows(
        cursor, "SELECT COUNT(*) AS n FROM ledger_hold WHERE state = 'pending'", []
    )
    rows = fetch_rows(cursor, _OVERDUE_HOLDS, [scope.now - GRACE])
    return Examined(
        int(pending[0]["n"]),
        [
            Difference(
                f"hold:{row['public_id']}",
                {"reference": row["reference"], "expired_at": str(row["expires_at"])},
                int(row["amount"]),
                row["wallet_id"],
            )
            for row in rows
        ],
    )


def _sweep_holds(difference: Difference, now: datetime) -> str | None:
    swept = metering.sweep_open_calls(now=now)
    return f"expired overdue holds, {swept} in this sweep" if swept else None


def _examine_lots(cursor: CursorWrapper, scope: Scope) -> Examined:
    expiring = fetch_rows(
        cursor,
        "SELECT COUNT(*) AS n FROM ledger_lot"
        " WHERE remaining_millitokens > 0 AND expires_at IS NOT NULL",
        [],
    )
    # The sweep of lots runs every five minutes.
    rows = fetch_rows(cursor, _OVERDUE_LOTS, [scope.now - 2 * GRACE])
    return Examined(
        int(expiring[0]["n"]),
        [
            Difference(
                f"lot:{row['public_id']}",
                {"remaining": str(row["remaining"]), "expired_at": str(row["expires_at"])},
                min(int(row["remaining"]), int(row["unpinned"])),
                row["wallet_id"],
            )
            for row in rows
        ],
    )


def _expire_lots(difference: Difference, now: datetime) -> str | None:
    expired = ledger.expire_lots(now=now)
    return f"moved expired lots to breakage, {len(expired)} in this sweep" if expired else None


def _examine_inbox(cursor: CursorWrapper, scope: Scope) -> Examined:
    waiting = fetch_rows(
        cursor,
        "SELECT COUNT(*) AS n FROM billing_inboxevent"
        " WHERE state IN ('received', 'processing', 'failed')",
        [],
    )
    rows = fetch_rows(cursor, _STUCK_EVENTS, [scope.now - GRACE, scope.now])
    return Examined(
        int(waiting[0]["n"]),
        [
            Difference(
                f"event:{row['provider']}:{row['event_id']}",
                {key: row[key] for key in ("event_type", "state", "attempts")},
            )
            for row in rows
        ],
    )


def _drive_inbox(difference: Difference, now: datetime) -> str | None:
    driven = billing.drive_inbox(now=now)
    return f"requeued stuck payment events, {driven} in this pass" if driven else None


OVERDUE_HOLDS = Check(
    6, _("No hold outlives its time"), Action.REPAIR, _examine_holds, _sweep_holds
)
OVERDUE_LOTS = Check(
    7, _("Expired lots have been swept"), Action.REPAIR, _examine_lots, _expire_lots
)
STUCK_EVENTS = Check(
    20, _("No payment event is stuck"), Action.REPAIR, _examine_inbox, _drive_inbox
)
