"""The proof that nothing is lost: opening + what came in − what went out = what wallets hold.

As on a bank statement, a run opens where the last full run closed, wallet by wallet, at the number
of its last entry: an entry is counted in exactly one full run, whatever was committed in between.
The opening itself is what entries made of it, so a balance that was changed by hand shows as a gap
in every run until it is mended. Check 1 adds all entries up from the first one.
"""

from dataclasses import dataclass
from typing import Any

from django.db.backends.utils import CursorWrapper

from marketplace.ledger.models import TransactionKind, Unit
from marketplace.reconciliation.checks.base import (
    MOST_STORED,
    Action,
    Difference,
    find_differences,
)
from marketplace.reconciliation.snapshot import fetch_rows

_STATES = ("opening", "closing", "held")
_LAST_PROOF = """
newest AS (
    SELECT w.id AS wallet_id, (SELECT MAX(q.run_id) FROM reconciliation_walletproof q
                               WHERE q.wallet_id = w.id) AS run_id
    FROM ledger_wallet w
),
last AS (
    SELECT p.wallet_id, p.closing_seq AS seq,
           p.closing_millitokens - p.gap_millitokens AS closing
    FROM newest n
    JOIN reconciliation_walletproof p ON p.wallet_id = n.wallet_id AND p.run_id = n.run_id
)
"""

_WALLETS = f"""
WITH {_LAST_PROOF}
SELECT w.id, w.unit, w.seq, w.posted_millitokens AS posted, w.held_millitokens AS held,
       COALESCE(last.seq, 0) AS opening_seq, COALESCE(last.closing, 0) AS opening
FROM ledger_wallet w LEFT JOIN last ON last.wallet_id = w.id
"""  # noqa: S608 (our own text)

_MOVEMENTS = f"""
WITH {_LAST_PROOF}
SELECT w.id, t.kind, MAX(e.wallet_seq) AS seq,
       SUM(CASE WHEN e.credit_account_id = w.account_id THEN e.amount_millitokens
                ELSE -e.amount_millitokens END) AS total
FROM ledger_wallet w
LEFT JOIN last ON last.wallet_id = w.id
JOIN ledger_entry e ON e.wallet_id = w.id AND e.wallet_seq > COALESCE(last.seq, 0)
JOIN ledger_transaction t ON t.id = e.transaction_id
GROUP BY w.id, t.kind
"""  # noqa: S608 (our own text)


# A proof opens where one before it closed, or with the wallet.
_TORN = """
SELECT 'proof:' || r.public_id || ':' || p.wallet_id AS subject, p.opening_millitokens AS at_stake,
       NULL AS wallet_id, p.opening_seq, p.opening_millitokens AS opening
FROM reconciliation_walletproof p JOIN reconciliation_run r ON r.id = p.run_id
WHERE NOT (p.opening_seq = 0 AND p.opening_millitokens = 0) AND NOT EXISTS (
    SELECT 1 FROM reconciliation_walletproof q
    WHERE q.wallet_id = p.wallet_id AND q.id <> p.id AND q.closing_seq = p.opening_seq
      AND q.closing_millitokens - q.gap_millitokens = p.opening_millitokens)
"""


@dataclass(frozen=True)
class Proof:
    """``by_unit``: per unit, amounts in millitokens as strings: ``opening``, one term per kind of
    transaction (signed), ``movements`` (their sum), ``closing`` (Σ posted), ``held`` and ``gap`` =
    closing − opening − movements, 0 in a healthy book. ``by_wallet``: the fields of a WalletProof
    for each wallet that moved or has a gap, unless it is more than can be stored."""

    by_unit: dict[str, dict[str, str]]
    by_wallet: list[dict[str, Any]]


def prove(cursor: CursorWrapper) -> Proof:
    """The equation per unit and of each wallet that moved, from the last proofs on."""
    moved: dict[int, dict[str, int]] = {}
    reached: dict[int, int] = {}
    for row in fetch_rows(cursor, _MOVEMENTS, []):
        moved.setdefault(row["id"], {})[row["kind"]] = int(row["total"])
        reached[row["id"]] = max(int(row["seq"]), reached.get(row["id"], 0))
    names = (*_STATES, *TransactionKind.values)
    sums = {unit: dict.fromkeys(names, 0) for unit in Unit.values}
    by_wallet = []
    for row in fetch_rows(cursor, _WALLETS, []):
        terms = moved.get(row["id"], {})
        opening, closing = int(row["opening"]), int(row["posted"])
        gap = closing - opening - sum(terms.values())
        states = {"opening": opening, "closing": closing, "held": int(row["held"])}
        # Whatever a damaged row says its unit or kind is, it is counted, and shown as it is.
        unit = sums.setdefault(row["unit"], dict.fromkeys(names, 0))
        for name, amount in (states | terms).items():
            unit[name] = unit.get(name, 0) + amount
        # A gap that fits no column stands in the run's sums; the next proof opens at the last one.
        if (terms or gap) and abs(gap) <= MOST_STORED:
            by_wallet.append(
                {
                    "wallet_id": row["id"],
                    "opening_seq": int(row["opening_seq"]),
                    "closing_seq": reached.get(row["id"], int(row["opening_seq"])),
                    "opening_millitokens": opening,
                    "closing_millitokens": closing,
                    "gap_millitokens": gap,
                    "terms": {kind: str(amount) for kind, amount in terms.items()},
                }
            )
    return Proof({unit: _balance(terms) for unit, terms in sums.items()}, by_wallet)


def find_torn_proofs(cursor: CursorWrapper) -> list[Difference]:
    """Check 5 looks whether what was proved before still hangs together."""
    return find_differences(cursor, _TORN, action=Action.FINDING)


def find_gaps(proof: Proof) -> list[Difference]:
    """Check 5 counts an equation that does not hold as a difference, wherever its fault lies."""
    return [
        Difference(f"equation:{unit}", terms, min(abs(int(terms["gap"])), MOST_STORED))
        for unit, terms in proof.by_unit.items()
        if terms["gap"] != "0"
    ]


def _balance(terms: dict[str, int]) -> dict[str, str]:
    movements = sum(amount for name, amount in terms.items() if name not in _STATES)
    gap = terms["closing"] - terms["opening"] - movements
    written = terms | {"movements": movements, "gap": gap}
    return {name: str(amount) for name, amount in written.items()}
