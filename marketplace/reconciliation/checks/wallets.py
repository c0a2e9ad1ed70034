"""Checks 1 to 4: a wallet against its entries, its chain, its holds and its lots."""

from datetime import datetime
from typing import Any

from django.db.backends.utils import CursorWrapper
from django.utils.translation import gettext_lazy as _

from marketplace.ledger import services as ledger
from marketplace.reconciliation.checks.base import Action, Check, Difference, Examined, Scope
from marketplace.reconciliation.snapshot import fetch_rows

_COUNT_WALLETS = "SELECT COUNT(*) AS n FROM ledger_wallet"

# By account, not by the entry's wallet column, so that a mislabelled entry shows too.
_POSTED_AGAINST_ENTRIES = """
WITH moved AS (
    SELECT account_id, SUM(amount) AS total FROM (
        SELECT credit_account_id AS account_id, amount_millitokens AS amount FROM ledger_entry
        UNION ALL
        SELECT debit_account_id, -amount_millitokens FROM ledger_entry
    ) AS sides GROUP BY account_id
)
SELECT w.id, w.owner_key, w.unit, w.scope,
       w.posted_millitokens AS posted, COALESCE(moved.total, 0) AS entries
FROM ledger_wallet w LEFT JOIN moved ON moved.account_id = w.account_id
WHERE w.posted_millitokens <> COALESCE(moved.total, 0)
"""

_CHAIN = """
WITH chain AS (
    SELECT e.id, e.wallet_id, e.wallet_seq, e.wallet_after_millitokens AS after,
           CASE WHEN e.credit_account_id = w.account_id THEN e.amount_millitokens
                WHEN e.debit_account_id = w.account_id THEN -e.amount_millitokens
                ELSE 0 END AS moved,
           LAG(e.wallet_seq, 1, 0) OVER seq AS before_seq,
           LAG(e.wallet_after_millitokens, 1, 0) OVER seq AS before_after
    FROM ledger_entry e JOIN ledger_wallet w ON w.id = e.wallet_id
    WINDOW seq AS (PARTITION BY e.wallet_id ORDER BY e.wallet_seq)
),
broken AS (
    SELECT wallet_id, MIN(wallet_seq) AS first_seq, COUNT(*) AS breaks FROM chain
    WHERE wallet_seq <> before_seq + 1 OR after <> before_after + moved OR moved = 0
    GROUP BY wallet_id
),
tail AS (
    SELECT wallet_id, MAX(wallet_seq) AS last_seq FROM chain GROUP BY wallet_id
),
unlabelled AS (
    SELECT w.id AS wallet_id, COUNT(*) AS entries
    FROM ledger_wallet w JOIN ledger_entry e
      ON (e.credit_account_id = w.account_id OR e.debit_account_id = w.account_id)
    WHERE e.wallet_id IS NULL OR e.wallet_id <> w.id
    GROUP BY w.id
)
SELECT w.id, w.owner_key, w.unit, w.scope, w.seq, COALESCE(tail.last_seq, 0) AS last_seq,
       COALESCE(broken.breaks, 0) AS breaks, broken.first_seq,
       COALESCE(unlabelled.entries, 0) AS unlabelled
FROM ledger_wallet w
LEFT JOIN tail ON tail.wallet_id = w.id
LEFT JOIN broken ON broken.wallet_id = w.id
LEFT JOIN unlabelled ON unlabelled.wallet_id = w.id
WHERE w.seq <> COALESCE(tail.last_seq, 0)
   OR broken.breaks IS NOT NULL OR unlabelled.entries IS NOT NULL
"""

_HELD_AGAINST_HOLDS = """
WITH pending AS (
    SELECT p.wallet_id, SUM(p.amount_millitokens) AS total
    FROM ledger_holdpart p JOIN ledger_hold h ON h.id = p.hold_id
    WHERE h.state = 'pending' GROUP BY p.wallet_id
)
SELECT w.id, w.owner_key, w.unit, w.scope,
       w.held_millitokens AS held, COALESCE(pending.total, 0) AS holds
FROM ledger_wallet w LEFT JOIN pending ON pending.wallet_id = w.id
WHERE w.held_millitokens <> COALESCE(pending.total, 0)
"""

_HOLDS_AGAINST_PARTS = """
SELECT h.public_id, h.amount_millitokens AS amount,
       COALESCE(SUM(p.amount_millitokens), 0) AS parts, MIN(p.wallet_id) AS wallet_id
FROM ledger_hold h LEFT JOIN ledger_holdpart p ON p.hold_id = h.id
WHERE h.state = 'pending'
GROUP BY h.id, h.public_id, h.amount_millitokens
HAVING h.amount_millitokens <> COALESCE(SUM(p.amount_millitokens), 0)
"""

# A reversal's burns give back what the reversed transaction took.
_LOTS_AGAINST_WALLET = """
WITH lots AS (
    SELECT wallet_id, SUM(remaining_millitokens) AS remaining FROM ledger_lot GROUP BY wallet_id
)
SELECT w.id, w.owner_key, w.unit, w.scope,
       w.posted_millitokens AS posted, COALESCE(lots.remaining, 0) AS lots
FROM ledger_wallet w LEFT JOIN lots ON lots.wallet_id = w.id
WHERE w.posted_millitokens <> COALESCE(lots.remaining, 0)
"""

_BURNS_AGAINST_LOT = """
WITH burnt AS (
    SELECT b.lot_id, SUM(CASE WHEN t.kind = 'reversal' THEN -b.amount_millitokens
                              ELSE b.amount_millitokens END) AS total
    FROM ledger_lotburn b JOIN ledger_transaction t ON t.id = b.transaction_id
    GROUP BY b.lot_id
)
SELECT l.public_id, l.wallet_id, l.face_millitokens AS face,
       l.remaining_millitokens AS remaining, COALESCE(burnt.total, 0) AS burnt
FROM ledger_lot l LEFT JOIN burnt ON burnt.lot_id = l.id
WHERE l.face_millitokens - COALESCE(burnt.total, 0) <> l.remaining_millitokens
"""


def wallet_subject(row: dict[str, Any]) -> str:
    """Stable over runs: "wallet:org_…:live:" and the scope."""
    return f"wallet:{row['owner_key']}:{row['unit']}:{row['scope']}"


def _count_wallets(cursor: CursorWrapper) -> int:
    return int(fetch_rows(cursor, _COUNT_WALLETS, [])[0]["n"])


def _examine_posted(cursor: CursorWrapper, scope: Scope) -> Examined:
    rows = fetch_rows(cursor, _POSTED_AGAINST_ENTRIES, [])
    return Examined(
        _count_wallets(cursor),
        [
            Difference(
                wallet_subject(row),
                {"posted": str(row["posted"]), "entries": str(row["entries"])},
                abs(int(row["posted"]) - int(row["entries"])),
                row["id"],
            )
            for row in rows
        ],
    )


def _examine_chain(cursor: CursorWrapper, scope: Scope) -> Examined:
    rows = fetch_rows(cursor, _CHAIN, [])
    return Examined(
        _count_wallets(cursor),
        [
            Difference(
                wallet_subject(row),
                {key: row[key] for key in ("seq", "last_seq", "breaks", "first_seq", "unlabelled")},
                0,
                row["id"],
            )
            for row in rows
        ],
    )


def _examine_held(cursor: CursorWrapper, scope: Scope) -> Examined:
    differences = []
    for row in fetch_rows(cursor, _HELD_AGAINST_HOLDS, []):
        held, holds = int(row["held"]), int(row["holds"])
        differences.append(
            Difference(
                wallet_subject(row),
                {"held": str(held), "holds": str(holds)},
                abs(held - holds),
                row["id"],
                # A reservation that no hold explains only keeps tokens from their owner: free it.
                # A hold without its reservation could be spent twice: freeze.
                Action.REPAIR if held > holds else Action.FREEZE,
            )
        )
    for row in fetch_rows(cursor, _HOLDS_AGAINST_PARTS, []):
        differences.append(
            Difference(
                f"hold:{row['public_id']}",
                {"amount": str(row["amount"]), "parts": str(row["parts"])},
                abs(int(row["amount"]) - int(row["parts"])),
                row["wallet_id"],
                Action.FREEZE,
            )
        )
    return Examined(_count_wallets(cursor), differences)


def _free_stray_reservation(difference: Difference, now: datetime) -> str | None:
    assert difference.wallet_pk is not None
    freed = ledger.free_stray_reservation(wallet_pk=difference.wallet_pk)
    return f"freed {freed} millitokens that no hold explains" if freed else None


def _examine_lots(cursor: CursorWrapper, scope: Scope) -> Examined:
    differences = [
        Difference(
            wallet_subject(row),
            {"posted": str(row["posted"]), "lots": str(row["lots"])},
            abs(int(row["posted"]) - int(row["lots"])),
            row["id"],
        )
        for row in fetch_rows(cursor, _LOTS_AGAINST_WALLET, [])
    ]
    differences += [
        Difference(
            f"lot:{row['public_id']}",
            {key: str(row[key]) for key in ("face", "remaining", "burnt")},
            abs(int(row["face"]) - int(row["burnt"]) - int(row["remaining"])),
            row["wallet_id"],
        )
        for row in fetch_rows(cursor, _BURNS_AGAINST_LOT, [])
    ]
    lots = fetch_rows(cursor, "SELECT COUNT(*) AS n FROM ledger_lot", [])
    return Examined(int(lots[0]["n"]), differences)


POSTED = Check(1, _("Each balance equals its entries"), Action.FREEZE, _examine_posted)
CHAIN = Check(2, _("Each wallet's chain of entries is whole"), Action.FREEZE, _examine_chain)
HELD = Check(
    3,
    _("What is held equals the pending holds"),
    Action.FREEZE,
    _examine_held,
    _free_stray_reservation,
)
LOTS = Check(4, _("Lots and burns add up to the balance"), Action.FREEZE, _examine_lots)
