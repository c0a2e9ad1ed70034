"""Check 5: the whole book balances, and no transaction is empty."""

from django.db.backends.utils import CursorWrapper
from django.utils.translation import gettext_lazy as _

from marketplace.reconciliation.checks.base import Action, Check, Difference, Examined, Scope
from marketplace.reconciliation.snapshot import fetch_rows

# One row moves one amount, so a unit can only be out of balance when an entry joins two units.
_UNIT_SUMS = """
SELECT a.unit, SUM(sides.amount) AS total FROM (
    SELECT credit_account_id AS account_id, amount_millitokens AS amount FROM ledger_entry
    UNION ALL
    SELECT debit_account_id, -amount_millitokens FROM ledger_entry
) AS sides JOIN ledger_account a ON a.id = sides.account_id
GROUP BY a.unit HAVING SUM(sides.amount) <> 0
"""

_ACROSS_UNITS = """
SELECT t.public_id, e.line, e.amount_millitokens AS amount, e.wallet_id
FROM ledger_entry e
JOIN ledger_transaction t ON t.id = e.transaction_id
JOIN ledger_account d ON d.id = e.debit_account_id
JOIN ledger_account c ON c.id = e.credit_account_id
WHERE d.unit <> c.unit
"""

_EMPTY_TRANSACTIONS = """
SELECT t.public_id, t.kind FROM ledger_transaction t
WHERE NOT EXISTS (SELECT 1 FROM ledger_entry e WHERE e.transaction_id = t.id)
"""


def _examine_book(cursor: CursorWrapper, scope: Scope) -> Examined:
    differences = [
        Difference(f"unit:{row['unit']}", {"sum": str(row["total"])}, abs(int(row["total"])))
        for row in fetch_rows(cursor, _UNIT_SUMS, [])
    ]
    differences += [
        Difference(
            f"entry:{row['public_id']}/{row['line']}",
            {"amount": str(row["amount"]), "reason": "joins two units"},
            int(row["amount"]),
            row["wallet_id"],
        )
        for row in fetch_rows(cursor, _ACROSS_UNITS, [])
    ]
    differences += [
        Difference(f"transaction:{row['public_id']}", {"kind": row["kind"], "entries": 0})
        for row in fetch_rows(cursor, _EMPTY_TRANSACTIONS, [])
    ]
    count = fetch_rows(cursor, "SELECT COUNT(*) AS n FROM ledger_transaction", [])
    return Examined(int(count[0]["n"]), differences)


BOOK = Check(5, _("All accounts of a unit sum to zero"), Action.FREEZE, _examine_book)
