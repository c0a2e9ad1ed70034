"""The proof that nothing is lost: what came into wallets less what left is what they hold."""

from django.db.backends.utils import CursorWrapper

from marketplace.ledger.models import TransactionKind, Unit
from marketplace.reconciliation.snapshot import fetch_rows

_MOVEMENTS = """
SELECT w.unit, t.kind,
       SUM(CASE WHEN e.credit_account_id = w.account_id THEN e.amount_millitokens
                ELSE -e.amount_millitokens END) AS total
FROM ledger_entry e
JOIN ledger_transaction t ON t.id = e.transaction_id
JOIN ledger_wallet w ON e.credit_account_id = w.account_id OR e.debit_account_id = w.account_id
GROUP BY w.unit, t.kind
"""

_CLOSING = """
SELECT unit, SUM(posted_millitokens) AS posted, SUM(held_millitokens) AS held
FROM ledger_wallet GROUP BY unit
"""


def build_equation(cursor: CursorWrapper) -> dict[str, dict[str, str]]:
    """Per unit, in millitokens as strings: the movement of each kind, their sum, and the wallets.

    ``movements`` = Σ kinds from the entries alone; ``closing`` = Σ posted. They are equal in a
    healthy book, and ``gap`` says by how much they are not.
    """
    equation = {
        unit: dict.fromkeys(TransactionKind.values, "0") | {"closing": "0", "held": "0"}
        for unit in Unit.values
    }
    for row in fetch_rows(cursor, _MOVEMENTS, []):
        equation[row["unit"]][row["kind"]] = str(int(row["total"]))
    for row in fetch_rows(cursor, _CLOSING, []):
        equation[row["unit"]]["closing"] = str(int(row["posted"]))
        equation[row["unit"]]["held"] = str(int(row["held"]))
    for terms in equation.values():
        moved = sum(int(terms[kind]) for kind in TransactionKind.values)
        terms["movements"] = str(moved)
        terms["gap"] = str(int(terms["closing"]) - moved)
    return equation
