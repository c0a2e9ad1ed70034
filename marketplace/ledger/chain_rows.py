# ruff: noqa: S608 (statements are composed of this module's constants)
"""Entries as they are read for their chains, the same on both databases."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from django.db import connection

from marketplace.ledger.sql import Statement, run


class EntryRow(NamedTuple):
    """An entry with all that its transaction says. Times are text, amounts millitokens."""

    chain: str
    seq: int
    transaction: str
    kind: str
    line: int
    lines: int
    debit: str
    credit: str
    amount: int
    after: int | None
    effective_at: str
    recorded_at: str
    hold: str | None
    reverses: str | None
    reversal_no: int | None
    scope: str
    key: str
    request_hash: str
    reference: str
    reason: str
    burns: str | None
    lot: str | None
    lot_kind: str | None
    face: int | None
    paid_minor: int | None
    currency: str | None
    granted_at: str | None
    expires_at: str | None

    def as_record(self) -> dict[str, Any]:
        """What is hashed. Burns and the lot that was granted stand with the first line."""
        record: dict[str, Any] = self._asdict()
        for name in ("lot_kind", "face", "paid_minor", "currency", "granted_at", "expires_at"):
            del record[name]
        record["amount"] = str(self.amount)
        record["after"] = None if self.after is None else str(self.after)
        burns = [burn.split(" ") for burn in self.burns.split(",")] if self.burns else []
        record["burns"] = sorted(burns)
        if self.lot is not None:
            record["lot"] = {
                "id": self.lot,
                "kind": self.lot_kind,
                "face": str(self.face),
                "paid_minor": str(self.paid_minor),
                "currency": self.currency,
                "granted_at": self.granted_at,
                "expires_at": self.expires_at,
            }
        return record


def entry_columns(vendor: str, *, chain: str, seq: str) -> str:
    """The SELECT list of EntryRow over ENTRY_JOINS; ``chain`` and ``seq`` are expressions."""
    moments = ("t.effective_at", "t.recorded_at", "g.granted_at", "g.expires_at")
    effective_at, recorded_at, granted_at, expires_at = (
        moment_text(vendor, column) for column in moments
    )
    columns = (
        chain,
        seq,
        "t.public_id",
        "t.kind",
        "e.line",
        "t.entry_count",
        _account("d"),
        _account("c"),
        "e.amount_millitokens",
        "e.wallet_after_millitokens",
        effective_at,
        recorded_at,
        "h.public_id",
        "r.public_id",
        "t.reversal_no",
        "t.idempotency_scope",
        "t.idempotency_key",
        "t.request_hash",
        "t.reference",
        "t.reason",
        _BURNS[vendor],
        "g.public_id",
        "g.kind",
        "g.face_millitokens",
        "g.paid_minor",
        "g.currency",
        granted_at,
        expires_at,
    )
    return ", ".join(columns)


def moment_text(vendor: str, column: str) -> str:
    """An expression for a time as text in UTC, "2026-11-03T10:05:00.000000Z"."""
    return _MOMENTS[vendor].format(column=column)


def _account(table: str) -> str:
    return f"{table}.kind || ':' || {table}.owner_key || ':' || {table}.unit"


OPERATOR_CHAIN = "'operator:' || d.unit"
ENTRY_JOINS = """
JOIN ledger_transaction t ON t.id = e.transaction_id
JOIN ledger_account d ON d.id = e.debit_account_id
JOIN ledger_account c ON c.id = e.credit_account_id
LEFT JOIN ledger_hold h ON h.id = t.hold_id
LEFT JOIN ledger_transaction r ON r.id = t.reverses_id
LEFT JOIN ledger_lot g ON e.line = 1 AND t.idempotency_scope = 'grant'
  AND g.reference = t.reference AND t.idempotency_key = g.kind || ':' || g.reference
"""
# SQLite keeps times as text, in UTC, without a fraction when that is nought.
_MOMENTS = {
    "postgresql": "to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')",
    "sqlite": "substr({column}, 1, 10) || 'T' || substr({column}, 12, 8) || "
    "substr(substr({column}, 20) || '.000000', 1, 7) || 'Z'",
}
_BURN = (
    "CASE WHEN e.line = 1 THEN (SELECT {aggregate}(l.public_id || ' ' || b.amount_millitokens, ',')"
    " FROM ledger_lotburn b JOIN ledger_lot l ON l.id = b.lot_id"
    " WHERE b.transaction_id = t.id) END"
)
_BURNS = {
    "postgresql": _BURN.format(aggregate="string_agg"),
    "sqlite": _BURN.format(aggregate="group_concat"),
}

WALLET_CHAIN = _account("a")
WALLET_JOINS = f"""
JOIN ledger_wallet w ON w.id = e.wallet_id
JOIN ledger_account a ON a.id = w.account_id
{ENTRY_JOINS}
"""
_RANGES = {
    vendor: Statement(
        f"SELECT {entry_columns(vendor, chain=WALLET_CHAIN, seq='e.wallet_seq')} "
        "FROM {rows} JOIN ledger_entry e ON e.wallet_id = v.wallet_id "
        f"AND e.wallet_seq BETWEEN v.first AND v.last {WALLET_JOINS} "
        "ORDER BY e.wallet_id, e.wallet_seq",
        columns="wallet_id bigint, first bigint, last bigint",
    )
    for vendor in _MOMENTS
}
_NEW_OF_OPERATOR = {
    vendor: Statement(
        f"SELECT e.id, {entry_columns(vendor, chain=OPERATOR_CHAIN, seq='0')} "
        f"FROM ledger_entry e {ENTRY_JOINS} WHERE e.wallet_id IS NULL "
        "AND NOT EXISTS (SELECT 1 FROM ledger_sealedentry s WHERE s.entry_id = e.id) "
        "ORDER BY e.id LIMIT (SELECT v.most FROM {rows})",
        columns="most bigint",
    )
    for vendor in _MOMENTS
}


def read_ranges(ranges: Iterable[tuple[int, int, int]]) -> list[EntryRow]:
    """The entries of wallets (id, first seq, last seq), in the order of wallets and chains."""
    return [EntryRow(*row) for row in run(_RANGES[connection.vendor], ranges)]


def read_new_of_operator(*, most: int) -> list[tuple[int, EntryRow]]:
    """Entries that touch no wallet and have no place in a chain yet, with their primary keys."""
    rows = run(_NEW_OF_OPERATOR[connection.vendor], [(most,)])
    return [(row[0], EntryRow(*row[1:])) for row in rows]
