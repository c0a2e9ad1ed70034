"""Check 5: the whole book balances; every transaction is whole and of a known shape."""

from collections.abc import Iterable

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
from marketplace.reconciliation.clocks import CLOCKS_DIFFER, later_by_any_clock

_NUMBER = 5

# One row moves one amount, so a unit can only be out of balance when an entry joins two units.
_UNIT_SUMS = """
SELECT 'unit:' || a.unit AS subject, SUM(sides.amount) AS at_stake, NULL AS wallet_id,
       SUM(sides.amount) AS sum
FROM (
    SELECT credit_account_id AS account_id, amount_millitokens AS amount FROM ledger_entry
    UNION ALL
    SELECT debit_account_id, -amount_millitokens FROM ledger_entry
) AS sides JOIN ledger_account a ON a.id = sides.account_id
GROUP BY a.unit HAVING SUM(sides.amount) <> 0
"""

# What the operator paid or gave away is never the tenant's debt, nor is a provider's share; of
# tokens that were used up only the money is lost.
_NEVER = {
    ("wallet", "suspense"),
    ("promotion", "receivable"),
    ("promotion", "discount"),
    ("promotion", "promotion"),
    ("receivable", "discount"),
    ("receivable", "promotion"),
    ("discount", "receivable"),
    ("discount", "promotion"),
    ("payable", "receivable"),
    ("commission", "receivable"),
    ("suspense", "receivable"),
}
# Which accounts each kind of transaction moves tokens between; what is not here has no business
# in the books. Adjustments and payouts are below: they move no wallet, and each has its own cause.
_SHAPES = {
    "purchase": (("clearing", "discount", "promotion"), ("wallet", "receivable")),
    "grant": (("promotion", "discount", "clearing", "suspense"), ("wallet",)),
    "capture": (("wallet", "promotion"), ("payable", "commission", "suspense")),
    "expiry": (("wallet",), ("breakage",)),
    # What goes back beyond the tokens that are left is the operator's cost, or the tenant's debt.
    "refund": (("wallet", "promotion"), ("clearing", "discount", "promotion")),
    "chargeback": (("wallet", "receivable", "promotion"), ("clearing", "discount", "promotion")),
    "reversal": (
        ("payable", "commission", "suspense", "clearing", "discount", "promotion"),
        ("wallet", "promotion", "receivable"),
    ),
}


def _quote(words: Iterable[str]) -> str:
    """A list in SQL of our own words."""
    return ", ".join(f"'{word}'" for word in words)


_KNOWN_SHAPES = _quote(
    f"{kind}:{debit}:{credit}"
    for kind, (debits, credits) in _SHAPES.items()
    for debit in debits
    for credit in credits
    if (debit, credit) not in _NEVER
)
_ODD_ENTRIES = f"""
SELECT 'entry:' || COALESCE(t.public_id, '') || '/' || e.line AS subject,
       e.amount_millitokens AS at_stake, e.wallet_id, t.kind,
       d.kind || ':' || d.owner_key || ':' || d.unit AS debit,
       c.kind || ':' || c.owner_key || ':' || c.unit AS credit
FROM ledger_entry e
LEFT JOIN ledger_transaction t ON t.id = e.transaction_id
LEFT JOIN ledger_account d ON d.id = e.debit_account_id
LEFT JOIN ledger_account c ON c.id = e.credit_account_id
WHERE e.transaction_id > %s
  AND (t.id IS NULL OR d.id IS NULL OR c.id IS NULL OR d.unit <> c.unit OR d.id = c.id
       OR e.amount_millitokens <= 0
       OR (t.kind IN ('adjustment', 'payout') AND (d.kind = 'wallet' OR c.kind = 'wallet'))
       OR (t.kind NOT IN ('adjustment', 'payout')
           AND t.kind || ':' || d.kind || ':' || c.kind NOT IN ({_KNOWN_SHAPES})))
"""  # noqa: S608 (our own names)

# What may be moved for a payment that waits in suspense, and by a person who decided a finding
# (docs/money.md, "Reading a finding"). Nobody writes payouts yet.
_STRAY_MOVES = ("clearing:suspense", "suspense:clearing")
_DECIDED_MOVES = (
    "suspense:payable",
    "suspense:commission",
    "suspense:promotion",
    "suspense:clearing",
    "payable:commission",
    "commission:payable",
    # A debt that was paid otherwise, or that is forgiven.
    "clearing:receivable",
    "promotion:receivable",
    # One that was settled, and then not owed after all: paid back, or not forgiven any more.
    "receivable:clearing",
    "receivable:promotion",
)
# Between the operator's accounts anything adds up, so each such transaction names the record that
# it was made for: the payment, as it goes into suspense and out again, or the finding, older than
# what was done about it by any clock.
_WITHOUT_CAUSE = f"""
SELECT 'transaction:' || t.public_id AS subject, e.amount_millitokens AS at_stake,
       NULL AS wallet_id, t.kind, t.reference, t.idempotency_scope AS scope,
       d.kind || ':' || d.owner_key AS debit, c.kind || ':' || c.owner_key AS credit
FROM ledger_transaction t
JOIN ledger_entry e ON e.transaction_id = t.id
JOIN ledger_account d ON d.id = e.debit_account_id
JOIN ledger_account c ON c.id = e.credit_account_id
WHERE t.id > %s AND t.kind IN ('adjustment', 'payout')
  AND NOT (t.kind = 'adjustment' AND (EXISTS (
      SELECT 1 FROM billing_straypayment s
      WHERE t.idempotency_scope = 'stray_payment' AND t.reference = 'payment:' || s.public_id
        AND t.idempotency_key IN (s.public_id, s.public_id || ':back')
        AND d.kind || ':' || c.kind IN ({_quote(_STRAY_MOVES)})
        AND s.provider IN (d.owner_key, c.owner_key)
        AND s.suspense_millitokens = e.amount_millitokens
  ) OR EXISTS (
      SELECT 1 FROM reconciliation_finding f
      WHERE t.idempotency_scope <> 'stray_payment' AND t.reference = 'finding:' || f.public_id
        AND f.opened_at <= {{latest}}
        AND d.kind || ':' || c.kind IN ({_quote(_DECIDED_MOVES)})
  )))
  AND NOT {was_decided(_NUMBER, "'transaction:' || t.public_id")}
"""  # noqa: S608 (our own text)

# A call's charge goes back, in part or whole, because it was counted again and found too high (the
# recount names this very transaction and what the tenant got), or because a person decided so.
_REVERSALS_WITHOUT_CAUSE = f"""
SELECT 'transaction:' || t.public_id AS subject, given.amount AS at_stake, given.wallet_id,
       t.kind, t.reference, t.idempotency_key AS key, given.returned,
       k.returned_millitokens AS recount
FROM ledger_transaction t
JOIN ledger_transaction o ON o.id = t.reverses_id AND o.kind = 'capture'
JOIN (SELECT e.transaction_id, SUM(e.amount_millitokens) AS amount, MIN(e.wallet_id) AS wallet_id,
             SUM(CASE WHEN e.wallet_id IS NULL THEN 0 ELSE e.amount_millitokens END) AS returned
      FROM ledger_entry e WHERE e.transaction_id > %s GROUP BY e.transaction_id) AS given
  ON given.transaction_id = t.id
LEFT JOIN metering_recount k ON k.correction_id = t.id
LEFT JOIN metering_call c ON c.id = k.call_id AND c.hold_id = o.hold_id
WHERE t.id > %s AND t.kind = 'reversal'
  AND (c.id IS NULL OR k.returned_millitokens <> given.returned
       OR given.amount <> given.returned OR t.idempotency_key <> 'recount:' || c.public_id)
  AND NOT EXISTS (SELECT 1 FROM reconciliation_finding f
                  WHERE t.reference = 'finding:' || f.public_id AND f.opened_at <= {{latest}})
  AND NOT {was_decided(_NUMBER, "'transaction:' || t.public_id")}
"""  # noqa: S608 (our own text)

_LINES = """
WITH counted AS (
    SELECT transaction_id, COUNT(*) AS entries, MIN(line) AS first_line, MAX(line) AS last_line,
           MIN(wallet_id) AS wallet_id, SUM(amount_millitokens) AS amount
    FROM ledger_entry WHERE transaction_id > %s GROUP BY transaction_id
)
SELECT 'transaction:' || t.public_id AS subject, COALESCE(counted.amount, 0) AS at_stake,
       counted.wallet_id, t.kind, t.entry_count, COALESCE(counted.entries, 0) AS entries
FROM ledger_transaction t LEFT JOIN counted ON counted.transaction_id = t.id
WHERE t.id > %s
  AND (counted.entries IS NULL OR counted.entries <> t.entry_count OR counted.first_line <> 1
       OR counted.last_line <> t.entry_count OR t.recorded_at > %s)
"""

# Over all reversals of a charge, no account gives back more than it got.
_REVERSALS = """
WITH given AS (
    SELECT t.reverses_id, e.credit_account_id AS payer, e.debit_account_id AS payee,
           SUM(e.amount_millitokens) AS amount, MIN(e.wallet_id) AS wallet_id
    FROM ledger_transaction t JOIN ledger_entry e ON e.transaction_id = t.id
    WHERE t.kind = 'reversal'
      AND t.reverses_id IN (SELECT r.reverses_id FROM ledger_transaction r
                            WHERE r.id > %s AND r.kind = 'reversal')
    GROUP BY t.reverses_id, e.credit_account_id, e.debit_account_id
),
taken AS (
    SELECT e.transaction_id, e.debit_account_id AS payer, e.credit_account_id AS payee,
           SUM(e.amount_millitokens) AS amount
    FROM ledger_entry e
    WHERE e.transaction_id IN (SELECT reverses_id FROM given)
    GROUP BY e.transaction_id, e.debit_account_id, e.credit_account_id
)
SELECT 'transaction:' || t.public_id AS subject,
       given.amount - COALESCE(taken.amount, 0) AS at_stake, given.wallet_id,
       t.kind, given.amount AS given_back, COALESCE(taken.amount, 0) AS taken
FROM given JOIN ledger_transaction t ON t.id = given.reverses_id
LEFT JOIN taken ON taken.transaction_id = given.reverses_id
     AND taken.payer = given.payer AND taken.payee = given.payee
WHERE t.kind NOT IN ('capture', 'refund', 'chargeback') OR given.amount > COALESCE(taken.amount, 0)
UNION ALL
SELECT 'transaction:' || t.public_id, 0, NULL, t.kind, MAX(r.reversal_no), COUNT(*)
FROM ledger_transaction t JOIN ledger_transaction r ON r.reverses_id = t.id
WHERE r.id > %s GROUP BY t.id, t.public_id, t.kind
HAVING MAX(r.reversal_no) <> (SELECT COUNT(*) FROM ledger_transaction a WHERE a.reverses_id = t.id)
"""


def _examine_book(cursor: CursorWrapper, scope: Scope) -> Examined:
    floor = scope.after("ledger_transaction")
    latest = later_by_any_clock(cursor.db.vendor, "t.recorded_at")
    without_cause = _WITHOUT_CAUSE.replace("{latest}", latest)
    reversals = _REVERSALS_WITHOUT_CAUSE.replace("{latest}", latest)
    differences = [
        *find_differences(cursor, _ODD_ENTRIES, [floor]),
        *find_differences(cursor, without_cause, [floor], action=Action.FINDING),
        *find_differences(cursor, reversals, [floor, floor], action=Action.FINDING),
        *find_differences(cursor, _LINES, [floor, floor, scope.now + CLOCKS_DIFFER]),
        *find_differences(cursor, _REVERSALS, [floor, floor]),
    ]
    if scope.since is None:
        differences += find_differences(cursor, _UNIT_SUMS)
    return Examined(count_rows(cursor, "ledger_transaction", scope), differences)


BOOK = Check(
    _NUMBER,
    _("All accounts of a unit sum to zero, and every transaction is whole"),
    Action.FREEZE,
    _examine_book,
    windowed=True,
)
