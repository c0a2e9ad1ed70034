"""What one commit is going to write. All writers end in ``Draft.flush``, the one code path that
keeps wallets, lots, holds, limits and entries in step.

Rows are written by compare-and-set against what was read, and the number of rows written is
checked: a mismatch means that somebody wrote without the locks, and everything is rolled back.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import orjson

from marketplace.ledger.services import writes
from marketplace.ledger.services.rows import HoldRow, LimitRow, LotRow, WalletRow
from marketplace.ledger.sql import Call, Row, StateChanged, Statement, run_together
from portal.kernel.public_ids import new_public_id


@dataclass(frozen=True, slots=True)
class Line:
    """One entry to be: from account ``debit`` to account ``credit``. ``wallet`` is the one whose
    account is among them, None when there is none."""

    debit: int
    credit: int
    amount: int
    wallet: WalletRow | None = None


@dataclass(frozen=True, slots=True)
class Heading:
    """A transaction to be, but for its lines."""

    kind: str
    idempotency_scope: str
    idempotency_key: str
    request_hash: str
    reference: str = ""
    reason: str = ""
    hold_id: int | None = None
    reverses_id: int | None = None
    reversal_no: int | None = None


def hash_request(*content: object) -> str:
    """A digest that tells one request from another under the same key."""
    return hashlib.sha256(orjson.dumps(content)).hexdigest()


def match_lines(
    debits: Sequence[tuple[int, WalletRow | None, int]], credits: Sequence[tuple[int, int]]
) -> list[Line]:
    """Pair what is taken with what is given, both in order; the sums are equal."""
    lines = []
    givers = list(debits)
    for account, amount in credits:
        due = amount
        while due:
            giver, wallet, offer = givers[0]
            moved = min(due, offer)
            lines.append(Line(giver, account, moved, wallet))
            due -= moved
            if moved == offer:
                givers.pop(0)
            else:
                givers[0] = (giver, wallet, offer - moved)
    assert not givers
    return lines


@dataclass
class Draft:
    """``now`` becomes the time of every transaction and resolution.

    ``beside`` are writes of another room that go into the same statement; ``returned_beside`` is
    what each of them returned.
    """

    now: datetime
    wallets: dict[int, WalletRow] = field(default_factory=dict)
    holds: dict[int, HoldRow] = field(default_factory=dict)
    hold_limits: list[Row] = field(default_factory=list)
    beside: Sequence[Call] = ()
    returned_beside: list[list[Row]] = field(default_factory=list)
    _transactions: list[Row] = field(default_factory=list)
    _entries: list[Row] = field(default_factory=list)
    _burns: list[Row] = field(default_factory=list)

    def touch(self, *rows: WalletRow | HoldRow) -> None:
        """Write these rows, with a hold's limits and the wallets of its parts."""
        for row in rows:
            if isinstance(row, WalletRow):
                self.wallets[row.id] = row
            else:
                self.holds[row.id] = row
                self.touch(*(part.wallet for part in row.parts))

    def post(
        self,
        heading: Heading,
        lines: Sequence[Line],
        burns: Iterable[tuple[LotRow, int]] = (),
    ) -> str:
        """Add a transaction; its wallets' balances and chains move along. Returns its id."""
        public_id = new_public_id("txn")
        self._transactions.append(
            (
                public_id,
                heading.kind,
                heading.idempotency_scope,
                heading.idempotency_key,
                heading.request_hash,
                len(lines),
                heading.hold_id,
                heading.reverses_id,
                heading.reversal_no,
                heading.reference,
                heading.reason,
                self.now,
            )
        )
        for number, line in enumerate(lines, start=1):
            self._entries.append((public_id, number, line.debit, line.credit, line.amount))
            self._entries[-1] += self._advance(line)
        self._burns += [(public_id, lot.id, amount) for lot, amount in burns]
        return public_id

    def _advance(self, line: Line) -> Row:
        wallet = line.wallet
        if wallet is None:
            return (None, None, None)
        wallet.posted += line.amount if line.credit == wallet.account_id else -line.amount
        wallet.seq += 1
        self.touch(wallet)
        return (wallet.id, wallet.seq, wallet.posted)

    def flush(self) -> dict[str, int]:
        """Write everything; returns the primary keys of new transactions by public id."""
        calls: list[tuple[Statement, list[Row]]] = [
            (statement, rows) for statement, rows in self._rows() if rows
        ]
        if not calls and not self.beside:
            return {}
        sets = run_together(*calls, *self.beside)
        self.returned_beside = sets[len(calls) :]
        pks: dict[str, int] = {}
        for (statement, rows), written in zip(calls, sets, strict=False):
            if len(written) != len(rows):
                raise StateChanged(f"{len(written)} of {len(rows)} rows: {statement.text}")
            if statement is writes.INSERT_TRANSACTIONS:
                pks = {public_id: pk for pk, public_id in written}
        return pks

    def _rows(self) -> Iterable[tuple[Statement, list[Row]]]:
        holds = list(self.holds.values())
        limits = {limit.id: limit for hold in holds for limit in hold.limits}
        yield writes.UPDATE_HOLDS, [self._hold(hold) for hold in holds if hold.changed]
        yield (
            writes.UPSERT_PARTS,
            [
                (hold.id, part.wallet.id, part.position, part.amount)
                for hold in holds
                for part in hold.parts
                if part.amount != part.amount_before
            ],
        )
        yield (
            writes.UPDATE_WALLETS,
            [self._wallet(wallet) for wallet in self.wallets.values() if wallet.changed],
        )
        lots = [lot for wallet in self.wallets.values() for lot in wallet.lots or ()]
        yield (
            writes.UPDATE_LOTS,
            [
                (lot.id, lot.remaining_before, lot.remaining)
                for lot in lots
                if lot.remaining != lot.remaining_before
            ],
        )
        yield (
            writes.UPDATE_LIMITS,
            [self._limit(limit) for limit in limits.values() if limit.changed],
        )
        yield writes.INSERT_HOLD_LIMITS, self.hold_limits
        yield writes.INSERT_TRANSACTIONS, self._transactions
        yield writes.INSERT_ENTRIES, self._entries
        yield writes.INSERT_BURNS, self._burns

    def _hold(self, hold: HoldRow) -> Row:
        return (hold.id, *hold.before, hold.state, hold.amount, hold.captured, hold.resolved_at)

    def _wallet(self, wallet: WalletRow) -> Row:
        posted, held, seq, _ = wallet.before
        return (
            wallet.id,
            posted,
            held,
            seq,
            wallet.posted,
            wallet.held,
            wallet.seq,
            wallet.next_expiry_at,
        )

    def _limit(self, limit: LimitRow) -> Row:
        _, held, spent = limit.before
        return (limit.id, held, spent, limit.max, limit.held, limit.spent)
