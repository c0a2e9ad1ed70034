"""The whole proof at once: all seals, and the equation, from the entries alone."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from django.db.backends.utils import CursorWrapper

from marketplace.ledger.services.broken_seals import BrokenSeal, find_broken_seals
from marketplace.ledger.services.heads import Head, find_newest_head

_MOVEMENTS = """
SELECT a.unit, t.kind, SUM(CASE WHEN e.credit_account_id = a.id THEN e.amount_millitokens
  ELSE -e.amount_millitokens END)
FROM ledger_entry e JOIN ledger_transaction t ON t.id = e.transaction_id
JOIN ledger_wallet w ON w.id = e.wallet_id JOIN ledger_account a ON a.id = w.account_id
GROUP BY a.unit, t.kind ORDER BY a.unit, t.kind
"""
_WALLETS = "SELECT unit, SUM(posted_millitokens) FROM ledger_wallet GROUP BY unit"
_ACCOUNTS = """
SELECT a.unit, SUM(side.amount) FROM (
  SELECT credit_account_id AS account_id, amount_millitokens AS amount FROM ledger_entry
  UNION ALL SELECT debit_account_id, -amount_millitokens FROM ledger_entry
) AS side JOIN ledger_account a ON a.id = side.account_id GROUP BY a.unit
"""
_COUNTS = """
SELECT (SELECT COUNT(*) FROM ledger_entry), (SELECT COUNT(*) FROM ledger_checkpoint),
  (SELECT COUNT(DISTINCT leaf) FROM ledger_walletcheckpoint)
"""


@dataclass
class Equation:
    """Of one unit, in millitokens: what moved the wallets by kind, what they hold now, and the
    sum of all accounts, which is 0."""

    movements: dict[str, int] = field(default_factory=dict)
    posted: int = 0
    accounts: int = 0

    @property
    def holds(self) -> bool:
        return sum(self.movements.values()) == self.posted and self.accounts == 0


@dataclass(frozen=True)
class Verification:
    """``head`` is None before the first checkpoint."""

    broken: list[BrokenSeal]
    equations: dict[str, Equation]
    entries: int
    checkpoints: int
    chains: int
    head: Head | None

    @property
    def holds(self) -> bool:
        return not self.broken and all(item.holds for item in self.equations.values())


def verify_ledger(cursor: CursorWrapper) -> Verification:
    """Compute everything again; only reads, and only through ``cursor`` (a snapshot)."""
    broken = find_broken_seals(cursor)
    equations: dict[str, Equation] = defaultdict(Equation)
    for unit, kind, amount in _fetch(cursor, _MOVEMENTS):
        equations[unit].movements[kind] = int(amount)
    for unit, amount in _fetch(cursor, _WALLETS):
        equations[unit].posted = int(amount)
    for unit, amount in _fetch(cursor, _ACCOUNTS):
        equations[unit].accounts = int(amount)
    [(entries, checkpoints, chains)] = _fetch(cursor, _COUNTS)
    head = find_newest_head(cursor)
    return Verification(broken, dict(equations), entries, checkpoints, chains, head)


def _fetch(cursor: CursorWrapper, sql: str) -> list[Any]:
    cursor.execute(sql)
    return list(cursor.fetchall())
