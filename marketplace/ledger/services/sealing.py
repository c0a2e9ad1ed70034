"""Sealing the books: each checkpoint commits to every entry so far, so that nobody can change what
was, not even with the database's own password, without the heads kept elsewhere telling.

A checkpoint is read without locks (entries never change, and what lies below a wallet's ``seq``
has been committed) and written in one short commit whose number only one process can take. A
process that dies leaves nothing behind, and the next run begins where the last checkpoint ended.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from django.db import IntegrityError
from django.db.transaction import atomic

from marketplace.ledger.chain_rows import read_new_of_operator, read_ranges
from marketplace.ledger.chains import (
    NO_HASH,
    OPERATOR_CHAINS,
    Chain,
    ChainBroken,
    format_moment,
    hash_header,
    hash_state,
)
from marketplace.ledger.merkle import MerkleTree
from marketplace.ledger.models import Checkpoint, SealedEntry, WalletCheckpoint
from marketplace.ledger.services.latest_states import (
    LATEST_STATE,
    find_operator_state,
    read_latest_states,
)
from marketplace.ledger.sql import Row, Statement, run

logger = structlog.get_logger(__name__)

# What one checkpoint takes in at most; a backlog takes several.
_MOST_WALLETS = 5_000
_MOST_OF_OPERATOR = 5_000
# How many entries are in memory at a time.
_ENTRIES_AT_ONCE = 5_000

_DUE_WALLETS = Statement(
    f"""
    SELECT w.id, a.kind || ':' || a.owner_key || ':' || a.unit, w.seq, s.leaf, s.seq,
      s.posted_millitokens, s.head
    FROM ledger_wallet w JOIN ledger_account a ON a.id = w.account_id {LATEST_STATE}
    WHERE w.id > (SELECT v.after FROM {{rows}}) AND w.seq > COALESCE(s.seq, 0)
    ORDER BY w.id LIMIT (SELECT v.most FROM {{rows}})
    """,  # noqa: S608 (a constant)
    columns="after bigint, most bigint",
)


@dataclass
class _Growth:
    """A chain with what is new in it. ``leaf`` is None until it has been sealed once."""

    chain: Chain
    leaf: int | None
    wallet_pk: int | None = None
    last: int = 0
    entry_pks: list[int] = field(default_factory=list)


def seal_entries(*, now: datetime) -> list[Checkpoint]:
    """Seal everything that is new; the new checkpoints, none when nothing is.

    A wallet whose entries do not follow on each other is left as it was last sealed, and logged.
    """
    checkpoints = []
    broken: set[int] = set()
    while checkpoint := _seal_some(now, broken):
        checkpoints.append(checkpoint)
    return checkpoints


def _seal_some(now: datetime, broken: set[int]) -> Checkpoint | None:
    """One checkpoint; None when nothing is due or another process was first."""
    # Read before all else: whoever seals meanwhile takes the number that this one would need.
    last = Checkpoint.objects.order_by("-number").first()
    grown = [*_grow_wallets(broken), *_grow_operator()]
    if not grown:
        return None
    chains = last.chains if last else 0
    for growth in grown:
        if growth.leaf is None:
            growth.leaf, chains = chains, chains + 1
    checkpoint = Checkpoint(
        number=last.number + 1 if last else 1,
        sealed_at=now,
        previous=last.hash if last else NO_HASH,
        root=_compute_root(grown, chains),
        chains=chains,
    )
    checkpoint.hash = hash_header(
        checkpoint.number,
        format_moment(now),
        checkpoint.previous,
        checkpoint.root,
        checkpoint.chains,
    )
    try:
        with atomic():
            _write(checkpoint, grown)
    except IntegrityError:
        if not Checkpoint.objects.filter(number=checkpoint.number).exists():
            raise
        return None
    return checkpoint


def _write(checkpoint: Checkpoint, grown: Iterable[_Growth]) -> None:
    checkpoint.save(force_insert=True)
    states, places = [], []
    for growth in grown:
        chain = growth.chain
        assert growth.leaf is not None
        states.append(
            WalletCheckpoint(
                checkpoint=checkpoint,
                chain=chain.name,
                wallet_id=growth.wallet_pk,
                leaf=growth.leaf,
                seq=chain.seq,
                posted_millitokens=chain.posted,
                head=chain.head,
            )
        )
        first = chain.seq - len(growth.entry_pks) + 1
        places += [
            SealedEntry(entry_id=pk, chain=chain.name, position=position)
            for position, pk in enumerate(growth.entry_pks, start=first)
        ]
    WalletCheckpoint.objects.bulk_create(states, batch_size=1000)
    SealedEntry.objects.bulk_create(places, batch_size=1000)


def _grow_wallets(broken: set[int]) -> list[_Growth]:
    """Wallets with entries beyond their sealed state, followed to their last entry."""
    due: list[_Growth] = []
    after = 0
    while not due and (rows := run(_DUE_WALLETS, [(after, _MOST_WALLETS)])):
        after = rows[-1][0]
        due = [_wallet_growth(row) for row in rows if row[0] not in broken]
    by_name = {growth.chain.name: growth for growth in due}
    reasons: dict[str, str] = {}
    for ranges in _batches(due):
        for row in read_ranges(ranges):
            if row.chain in reasons:
                continue
            try:
                by_name[row.chain].chain.extend(row)
            except ChainBroken as broken_at:
                reasons[row.chain] = str(broken_at)
    for name, growth in by_name.items():
        if growth.chain.seq != growth.last:
            reason = reasons.get(name) or f"entry {growth.chain.seq + 1} is missing"
            logger.error("wallet_not_sealed", chain=name, reason=reason)
            assert growth.wallet_pk is not None
            broken.add(growth.wallet_pk)
    return [growth for growth in due if growth.wallet_pk not in broken]


def _wallet_growth(row: Row) -> _Growth:
    pk, name, last, leaf, seq, posted, head = row
    return _Growth(Chain(name, seq or 0, posted or 0, head or ""), leaf, pk, last)


def _batches(due: Iterable[_Growth]) -> Iterator[list[tuple[int, int, int]]]:
    """Ranges of the wallets' new entries, so many entries together as fit into memory."""
    batch: list[tuple[int, int, int]] = []
    room = _ENTRIES_AT_ONCE
    for growth in due:
        first = growth.chain.seq + 1
        last = growth.last
        assert growth.wallet_pk is not None
        while first <= last:
            until = min(last, first + room - 1)
            batch.append((growth.wallet_pk, first, until))
            room -= until - first + 1
            first = until + 1
            if not room:
                yield batch
                batch, room = [], _ENTRIES_AT_ONCE
    if batch:
        yield batch


def _grow_operator() -> list[_Growth]:
    """The operator's chains with entries that have no place yet, taken in by their ids."""
    rows = read_new_of_operator(most=_MOST_OF_OPERATOR)
    if not rows:
        return []
    growths = {name: _operator_growth(name) for name in OPERATOR_CHAINS}
    for pk, row in rows:
        growth = growths[row.chain]
        growth.chain.extend(row._replace(seq=growth.chain.seq + 1))
        growth.entry_pks.append(pk)
    return [growth for growth in growths.values() if growth.entry_pks]


def _operator_growth(name: str) -> _Growth:
    state = find_operator_state(name)
    if state is None:
        return _Growth(Chain(name), None)
    return _Growth(Chain(name, state.seq, 0, state.head), state.leaf)


def _compute_root(grown: Iterable[_Growth], chains: int) -> str:
    """Over the latest state of all chains, the grown ones as they are now."""
    leaves = [b""] * chains
    for leaf, state in read_latest_states():
        leaves[leaf] = hash_state(*state)
    for growth in grown:
        now = growth.chain
        assert growth.leaf is not None
        leaves[growth.leaf] = hash_state(now.name, now.seq, now.posted, now.head)
    return MerkleTree(leaves).root.hex()
