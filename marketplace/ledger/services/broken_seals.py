"""Do the entries still say what was sealed? Everything is computed again, from the first entry and
the first checkpoint on, in pages: memory does not grow with the book, but for a name and a hash of
each chain.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from django.db.backends.utils import CursorWrapper

from marketplace.ledger import seal_rows
from marketplace.ledger.chain_rows import EntryRow
from marketplace.ledger.chains import NO_HASH, Chain, ChainBroken, hash_header, hash_state
from marketplace.ledger.merkle import MerkleTree
from marketplace.ledger.seal_rows import PlacedState, SealedState

CHECKPOINTS = "checkpoints"


@dataclass(frozen=True)
class BrokenSeal:
    """Where a chain first differs from what was sealed of it, or from itself.

    ``chain`` is "wallet:…", "operator:…" or, for the checkpoints' own chain, "checkpoints";
    ``seq`` the entry's position there or the checkpoint's number.
    """

    chain: str
    wallet_pk: int | None
    seq: int
    reason: str


def find_broken_seals(cursor: CursorWrapper) -> list[BrokenSeal]:
    """Follow all chains, at most one break for each; only reads, and only through ``cursor``."""
    found: dict[str, BrokenSeal] = {}
    for broken in (
        *_follow_wallets(cursor),
        *_follow_operator(cursor),
        *_find_cut_chains(cursor),
        *_follow_checkpoints(cursor),
    ):
        found.setdefault(broken.chain, broken)
    return list(found.values())


def _follow_wallets(cursor: CursorWrapper) -> Iterator[BrokenSeal]:
    rows = seal_rows.read_wallet_entries(cursor)
    for wallet_pk, group in groupby(rows, key=lambda row: row[0]):
        steps = (row[1:] for row in group)
        first = next(steps)
        chain = Chain(first[1].chain)
        if broken := _follow(chain, [first]) or _follow(chain, steps):
            yield BrokenSeal(chain.name, wallet_pk, *broken)


def _follow_operator(cursor: CursorWrapper) -> Iterator[BrokenSeal]:
    rows = seal_rows.read_operator_entries(cursor)
    for name, group in groupby(rows, key=lambda row: row[0]):
        broken = _follow(Chain(name), (row[1:] for row in group), all_sealed=True)
        if broken:
            yield BrokenSeal(name, None, *broken)


def _follow(
    chain: Chain,
    steps: Iterable[tuple[SealedState | None, EntryRow]],
    *,
    all_sealed: bool = False,
) -> tuple[int, str] | None:
    """Go along a chain; where it breaks first, and why. Wallets may be ahead of their seals."""
    sound = chain.seq
    for sealed, row in steps:
        try:
            chain.extend(row)
        except ChainBroken as reason:
            return chain.seq + 1, str(reason)
        if sealed is None:
            continue
        if sealed != (chain.name, chain.seq, chain.posted, chain.head):
            return chain.seq, f"entries {sound + 1} to {chain.seq} are not those that were sealed"
        sound = chain.seq
    if all_sealed and sound != chain.seq:
        return sound + 1, f"entries {sound + 1} to {chain.seq} have a place but no seal"
    return None


def _find_cut_chains(cursor: CursorWrapper) -> Iterator[BrokenSeal]:
    for name, wallet_pk, seq in seal_rows.read_states_without_entry(cursor):
        yield BrokenSeal(name, wallet_pk, seq, f"entry {seq} was sealed and is gone")


def _follow_checkpoints(cursor: CursorWrapper) -> Iterator[BrokenSeal]:
    """The first checkpoint that does not follow from the one before and the states it sealed."""
    tree = MerkleTree()
    places: dict[str, int] = {}
    previous = NO_HASH
    states = groupby(seal_rows.read_states(cursor), key=lambda placed: placed.number)
    sealed = next(states, None)
    for number, header in enumerate(seal_rows.read_headers(cursor), start=1):
        reason = ""
        sealed_states = list(sealed[1]) if sealed else []
        if header.number != number:
            reason = f"checkpoint {number} is missing"
        elif sealed is None or sealed[0] != number or not _put(tree, sealed_states):
            reason = "the states that it sealed are not all there"
        elif not _keep_places(places, sealed_states) or len(places) != len(tree):
            reason = "its chains have not one place each"
        elif header.previous != previous:
            reason = "it does not follow on the checkpoint before"
        elif (header.chains, header.root) != (len(tree), tree.root.hex()):
            reason = "its root is not that of the sealed states"
        elif header.hash != hash_header(*header[:5]):
            reason = "its hash is not that of its header"
        if reason:
            yield BrokenSeal(CHECKPOINTS, None, number, reason)
            return
        previous = header.hash
        sealed = next(states, None)
    if sealed is not None:
        yield BrokenSeal(CHECKPOINTS, None, sealed[0], "states were sealed in no checkpoint")


def _put(tree: MerkleTree, states: Iterable[PlacedState]) -> bool:
    """Whether the states have places in the tree, where they are now."""
    for placed in states:
        if placed.leaf > len(tree):
            return False
        tree.put(placed.leaf, hash_state(*placed.state))
    return True


def _keep_places(places: dict[str, int], states: Iterable[PlacedState]) -> bool:
    """Whether each chain is where it was first; ``places`` remembers that, by name."""
    return all(
        places.setdefault(placed.state.chain, placed.leaf) == placed.leaf for placed in states
    )
