"""Check 9: what was captured equals what the metered usage was charged."""

from django.db.backends.utils import CursorWrapper
from django.utils.translation import gettext_lazy as _

from marketplace.reconciliation.checks.base import Action, Check, Difference, Examined, Scope
from marketplace.reconciliation.snapshot import fetch_rows

# A captured hold, its capture's entries out of the wallet, its call and the call's charge must
# all name one amount. What the operator bore (uncovered) left no wallet and is not in it.
_CAPTURED_AGAINST_CHARGED = """
WITH taken AS (
    SELECT t.hold_id, SUM(e.amount_millitokens) AS total
    FROM ledger_transaction t JOIN ledger_entry e ON e.transaction_id = t.id
    WHERE t.kind = 'capture' AND e.wallet_id IS NOT NULL
    GROUP BY t.hold_id
),
charged AS (
    SELECT c.hold_id, SUM(g.amount_millitokens) AS total
    FROM metering_usagecharge g
    JOIN metering_usageevent u ON u.id = g.event_id
    JOIN metering_call c ON c.id = u.call_id
    GROUP BY c.hold_id
)
SELECT h.public_id, h.reference, h.captured_millitokens AS captured,
       COALESCE(taken.total, 0) AS taken, COALESCE(charged.total, 0) AS charged,
       (SELECT MIN(p.wallet_id) FROM ledger_holdpart p WHERE p.hold_id = h.id) AS wallet_id
FROM ledger_hold h
LEFT JOIN taken ON taken.hold_id = h.id
LEFT JOIN charged ON charged.hold_id = h.id
WHERE h.state <> 'pending'
  AND (h.captured_millitokens <> COALESCE(taken.total, 0)
       OR (h.reference LIKE 'call:%%' AND COALESCE(taken.total, 0) <> COALESCE(charged.total, 0)))
"""

_CALL_AGAINST_CHARGE = """
SELECT c.public_id, c.cost_millitokens AS cost, COALESCE(g.amount_millitokens, 0) AS charged,
       (SELECT MIN(p.wallet_id) FROM ledger_holdpart p WHERE p.hold_id = c.hold_id) AS wallet_id
FROM metering_call c
LEFT JOIN metering_usageevent u ON u.call_id = c.id
LEFT JOIN metering_usagecharge g ON g.event_id = u.id
WHERE c.cost_millitokens <> COALESCE(g.amount_millitokens, 0)
"""


def _examine_charges(cursor: CursorWrapper, scope: Scope) -> Examined:
    differences = [
        Difference(
            f"hold:{row['public_id']}",
            {
                "reference": row["reference"],
                **{key: str(row[key]) for key in ("captured", "taken", "charged")},
            },
            max(int(row["captured"]), int(row["taken"]), int(row["charged"]))
            - min(int(row["captured"]), int(row["taken"]), int(row["charged"])),
            row["wallet_id"],
        )
        for row in fetch_rows(cursor, _CAPTURED_AGAINST_CHARGED, [])
    ]
    differences += [
        Difference(
            f"call:{row['public_id']}",
            {"cost": str(row["cost"]), "charged": str(row["charged"])},
            abs(int(row["cost"]) - int(row["charged"])),
            row["wallet_id"],
        )
        for row in fetch_rows(cursor, _CALL_AGAINST_CHARGE, [])
    ]
    count = fetch_rows(cursor, "SELECT COUNT(*) AS n FROM metering_usagecharge", [])
    return Examined(int(count[0]["n"]), differences)


CHARGES = Check(9, _("What was captured equals what was charged"), Action.FREEZE, _examine_charges)
