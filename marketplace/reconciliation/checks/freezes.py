"""A part of check 1: whether each wallet is frozen for the reasons that it should be, and only so.

A freeze leaves a counterpart: its finding, or the audit log's word that staff put it.
"""

import json

from django.db.backends.utils import CursorWrapper

from marketplace.reconciliation.checks.base import Action, Difference, find_differences
from marketplace.reconciliation.selectors import STAFF_FREEZE
from marketplace.reconciliation.snapshot import fetch_rows

# Spendable although somebody had a reason against it.
_THAWED = """
SELECT 'freeze:' || w.owner_key || ':' || w.unit || ':' || w.scope AS subject,
       w.posted_millitokens AS at_stake, w.id AS wallet_id, 'not frozen' AS wallet,
       (SELECT MIN(f.reason) FROM ledger_freeze f WHERE f.wallet_id = w.id) AS reason
FROM ledger_wallet w
WHERE NOT w.frozen AND EXISTS (SELECT 1 FROM ledger_freeze f WHERE f.wallet_id = w.id)
UNION ALL
SELECT 'freeze:' || n.public_id, w.posted_millitokens, w.id,
       'its finding waits', 'finding:' || n.public_id
FROM reconciliation_finding n JOIN ledger_wallet w ON w.id = n.wallet_id
WHERE n.froze_wallet AND n.state <> 'resolved'
  AND NOT EXISTS (SELECT 1 FROM ledger_freeze f
                  WHERE f.wallet_id = w.id AND f.reason = 'finding:' || n.public_id)
"""

# Kept from its owner although nobody says why. For a person: the reason may have been taken away.
_FROZEN_WITHOUT_REASON = """
SELECT 'freeze:' || w.owner_key || ':' || w.unit || ':' || w.scope AS subject,
       w.posted_millitokens AS at_stake, w.id AS wallet_id, 'frozen' AS wallet, '' AS reason
FROM ledger_wallet w
WHERE w.frozen AND NOT EXISTS (SELECT 1 FROM ledger_freeze f WHERE f.wallet_id = w.id)
UNION ALL
SELECT 'freeze:' || f.reason, w.posted_millitokens, w.id, 'frozen', 'its finding is resolved'
FROM ledger_freeze f JOIN ledger_wallet w ON w.id = f.wallet_id
LEFT JOIN reconciliation_finding n ON f.reason = 'finding:' || n.public_id
WHERE f.reason LIKE 'finding:%%' AND (n.id IS NULL OR n.state = 'resolved')
"""

# In the order in which they were made: those of one wallet are made under its lock.
_DECISIONS = """
SELECT a.action, a.target_label AS wallet, a.before AS was, a.after AS became
FROM accounts_auditevent a
WHERE a.organisation_id IS NULL AND a.action IN ('wallet.frozen', 'wallet.freeze_lifted')
ORDER BY a.id
"""
# Wallets are named as they name themselves in the audit log.
_FREEZES = """
SELECT w.owner_key || ':' || w.unit || ':'
           || CASE WHEN w.scope = '' THEN 'general' ELSE w.scope END AS wallet,
       w.id, w.posted_millitokens AS posted, f.reason
FROM ledger_wallet w LEFT JOIN ledger_freeze f ON f.wallet_id = w.id AND f.reason LIKE {staff}
WHERE f.id IS NOT NULL OR w.owner_key IN (
    SELECT a.target_id FROM accounts_auditevent a
    WHERE a.organisation_id IS NULL AND a.action = 'wallet.frozen')
""".replace("{staff}", f"'{STAFF_FREEZE}%%'")


def find_odd_freezes(cursor: CursorWrapper) -> list[Difference]:
    """Wallets that are spendable against a reason, and frozen without one."""
    return [
        *find_differences(cursor, _THAWED),
        *find_differences(cursor, _FROZEN_WITHOUT_REASON, action=Action.FINDING),
        *_compare_with_decisions(cursor),
    ]


def _compare_with_decisions(cursor: CursorWrapper) -> list[Difference]:
    """What staff froze and did not lift is frozen; what is frozen in their name, they froze."""
    decided = _read_decisions(cursor)
    rows = fetch_rows(cursor, _FREEZES, [])
    wallets = {row["wallet"]: row for row in rows}
    frozen = {(row["wallet"], row["reason"]) for row in rows if row["reason"]}
    return [
        Difference(
            f"staff:{wallet}"[:160],
            {"reason": reason, "wallet": "not frozen" if missed else "frozen"},
            wallets[wallet]["posted"],
            wallets[wallet]["id"],
            None if missed else Action.FINDING,
        )
        for missed, odd in ((True, decided - frozen), (False, frozen - decided))
        for wallet, reason in sorted(odd)
        if wallet in wallets
    ]


def _read_decisions(cursor: CursorWrapper) -> set[tuple[str, str]]:
    """(wallet, reason) of each freeze by staff that stands, as the audit log says."""
    standing = set()
    for row in fetch_rows(cursor, _DECISIONS, []):
        if row["action"] == "wallet.frozen":
            standing.add((row["wallet"], STAFF_FREEZE + json.loads(row["became"])["reason"]))
        else:
            standing.discard((row["wallet"], json.loads(row["was"])["reason"]))
    return standing
