# ruff: noqa: S608 (statements are composed of this module's constants)
"""Entries beside the states that they were sealed in, read in pages through any cursor."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from django.db.backends.utils import CursorWrapper

from marketplace.ledger.chain_rows import (
    ENTRY_JOINS,
    OPERATOR_CHAIN,
    WALLET_CHAIN,
    WALLET_JOINS,
    EntryRow,
    entry_columns,
    moment_text,
)

_PAGE = 2_000
_VENDORS = ("postgresql", "sqlite")
_STATE = "s.chain, s.seq, s.posted_millitokens, s.head"
_WALLET_ENTRIES = {
    vendor: f"""
    SELECT e.wallet_id, e.wallet_seq, {_STATE},
      {entry_columns(vendor, chain=WALLET_CHAIN, seq="e.wallet_seq")}
    FROM ledger_entry e {WALLET_JOINS}
    LEFT JOIN ledger_walletcheckpoint s ON s.wallet_id = e.wallet_id AND s.seq = e.wallet_seq
    WHERE (e.wallet_id, e.wallet_seq) > (%s, %s)
    ORDER BY e.wallet_id, e.wallet_seq LIMIT {_PAGE}
    """
    for vendor in _VENDORS
}
_OPERATOR_JOINS = f"JOIN ledger_entry e ON e.id = p.entry_id AND e.wallet_id IS NULL {ENTRY_JOINS}"
_OPERATOR_ENTRIES = {
    vendor: f"""
    SELECT p.chain, p.position, {_STATE},
      {entry_columns(vendor, chain=OPERATOR_CHAIN, seq="p.position")}
    FROM ledger_sealedentry p {_OPERATOR_JOINS}
    LEFT JOIN ledger_walletcheckpoint s
      ON s.wallet_id IS NULL AND s.chain = p.chain AND s.seq = p.position
    WHERE (p.chain, p.position) > (%s, %s)
    ORDER BY p.chain, p.position LIMIT {_PAGE}
    """
    for vendor in _VENDORS
}
# With the same joins as above: a state that is not met there is met here.
_STATES_WITHOUT_ENTRY = f"""
    SELECT s.chain, s.wallet_id, MIN(s.seq) FROM ledger_walletcheckpoint s
    WHERE NOT EXISTS (SELECT 1 FROM ledger_entry e {WALLET_JOINS}
        WHERE e.wallet_id = s.wallet_id AND e.wallet_seq = s.seq)
      AND NOT EXISTS (SELECT 1 FROM ledger_sealedentry p {_OPERATOR_JOINS}
        WHERE s.wallet_id IS NULL AND p.chain = s.chain AND p.position = s.seq)
    GROUP BY s.chain, s.wallet_id
"""
_CHECKPOINTS = {
    vendor: f"""
    SELECT number, {moment_text(vendor, "sealed_at")}, previous, root, chains, hash
    FROM ledger_checkpoint WHERE number > %s ORDER BY number LIMIT {_PAGE}
    """
    for vendor in _VENDORS
}
_STATES = f"""
    SELECT checkpoint_number, leaf, chain, seq, posted_millitokens, head
    FROM ledger_walletcheckpoint WHERE (checkpoint_number, leaf) > (%s, %s)
    ORDER BY checkpoint_number, leaf LIMIT {_PAGE}
"""


class SealedState(NamedTuple):
    """What a checkpoint says of a chain after entry ``seq``."""

    chain: str
    seq: int
    posted: int
    head: str


class Header(NamedTuple):
    """A checkpoint; ``sealed_at`` as text."""

    number: int
    sealed_at: str
    previous: str
    root: str
    chains: int
    hash: str


class PlacedState(NamedTuple):
    """A state with its checkpoint and its place in the tree."""

    number: int
    leaf: int
    state: SealedState


def read_wallet_entries(
    cursor: CursorWrapper,
) -> Iterator[tuple[int, SealedState | None, EntryRow]]:
    """Every entry of a wallet with the wallet's id and the state sealed right after it, if any;
    by wallets, along their chains."""
    for row in _read_pages(cursor, _WALLET_ENTRIES[cursor.db.vendor], (0, 0)):
        yield row[0], _state(row[2:6]), EntryRow(*row[6:])


def read_operator_entries(
    cursor: CursorWrapper,
) -> Iterator[tuple[str, SealedState | None, EntryRow]]:
    """Every sealed entry that touches no wallet, with its chain's name; along the chains."""
    for row in _read_pages(cursor, _OPERATOR_ENTRIES[cursor.db.vendor], ("", 0)):
        yield row[0], _state(row[2:6]), EntryRow(*row[6:])


def read_states_without_entry(cursor: CursorWrapper) -> list[tuple[str, int | None, int]]:
    """Chain, wallet's id and the first sealed position whose entry is gone."""
    cursor.execute(_STATES_WITHOUT_ENTRY)
    return list(cursor.fetchall())


def read_headers(cursor: CursorWrapper) -> Iterator[Header]:
    """All checkpoints by number."""
    for row in _read_pages(cursor, _CHECKPOINTS[cursor.db.vendor], (0,)):
        yield Header(*row)


def read_states(cursor: CursorWrapper) -> Iterator[PlacedState]:
    """All sealed states by checkpoint and place."""
    for number, leaf, *state in _read_pages(cursor, _STATES, (0, -1)):
        yield PlacedState(number, leaf, SealedState(*state))


def _state(values: Sequence[Any]) -> SealedState | None:
    return None if values[0] is None else SealedState(*values)


def _read_pages(cursor: CursorWrapper, sql: str, after: tuple[Any, ...]) -> Iterator[Sequence[Any]]:
    """All rows; each begins with what the next page comes ``after``."""
    while True:
        cursor.execute(sql, after)
        rows = cursor.fetchall()
        yield from rows
        if len(rows) < _PAGE:
            return
        after = tuple(rows[-1][: len(after)])
