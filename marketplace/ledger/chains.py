"""Chains of entries: what exactly is hashed of an entry, of a state and of a checkpoint.

``head(n) = SHA-256(head(n − 1) ‖ record(n))``, beginning with the SHA-256 of the chain's name. A
record is canonical JSON: keys sorted, no spaces, ASCII, amounts as strings. docs/verify.md shows
one; any language can make it again, and both databases give the same bytes.
"""

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime

from marketplace.ledger.chain_rows import EntryRow
from marketplace.ledger.merkle import hash_leaf
from marketplace.ledger.models import Unit

OPERATOR_CHAINS = tuple(f"operator:{unit}" for unit in Unit.values)
NO_HASH = "0" * 64


class ChainBroken(Exception):
    """An entry does not follow on those before it; the message says why."""


@dataclass
class Chain:
    """A chain as far as it was followed. ``posted`` is in millitokens, 0 for the operator's."""

    name: str
    seq: int = 0
    posted: int = 0
    head: str = field(default="")

    def __post_init__(self) -> None:
        self.head = self.head or hashlib.sha256(self.name.encode()).hexdigest()

    def extend(self, row: EntryRow) -> bytes:
        """Go one entry on; returns its canonical record. Raises ChainBroken, and stays."""
        if row.seq != self.seq + 1:
            raise ChainBroken(f"after entry {self.seq} comes entry {row.seq}")
        if row.chain != self.name:
            raise ChainBroken(f"entry {row.seq} belongs to {row.chain}")
        posted = self.posted
        if row.after is not None:
            posted += row.amount if row.credit == self.name else -row.amount
            if posted != row.after:
                raise ChainBroken(f"entry {row.seq} says {row.after} after it, not {posted}")
            if self.name not in (row.debit, row.credit):
                raise ChainBroken(f"entry {row.seq} does not move this wallet")
        record = canonical(row.as_record())
        self.head = hashlib.sha256(bytes.fromhex(self.head) + record).hexdigest()
        self.seq, self.posted = row.seq, posted
        return record


def canonical(value: object) -> bytes:
    """JSON with sorted keys, without spaces, in ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def hash_state(chain: str, seq: int, posted: int, head: str) -> bytes:
    """The leaf of a chain's state in the Merkle tree."""
    state = {"chain": chain, "seq": seq, "posted": str(posted), "head": head}
    return hash_leaf(canonical(state))


def hash_header(number: int, sealed_at: str, previous: str, root: str, chains: int) -> str:
    """The hash of a checkpoint; the time as text, as ``format_moment`` writes it."""
    header = {
        "number": number,
        "sealed_at": sealed_at,
        "previous": previous,
        "root": root,
        "chains": chains,
    }
    return hashlib.sha256(canonical(header)).hexdigest()


def format_moment(moment: datetime) -> str:
    """UTC with microseconds, "2026-11-03T10:05:00.000000Z"."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
