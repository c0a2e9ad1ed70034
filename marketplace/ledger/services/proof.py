"""A tenant's own entries with what proves them: a file of JSON lines, described in docs/verify.md.

One header; the entries of each of the tenant's chains as they are hashed; for each chain its
sealed state with the path to the newest checkpoint's root; all checkpoints; an end line. It is made
in pages: memory does not grow with it, and a file that was cut short lacks its end.
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from marketplace.ledger.chain_rows import read_ranges
from marketplace.ledger.chains import canonical, format_moment
from marketplace.ledger.models import Checkpoint, Wallet, WalletCheckpoint
from marketplace.ledger.services.latest_states import find_newest_tree

VERSION = 1
_PAGE = 2_000


@dataclass(frozen=True)
class _Link:
    """One of the tenant's chains, and the state that it was sealed in last, if it was."""

    wallet_pk: int
    name: str
    entries: int
    state: WalletCheckpoint | None

    @property
    def sealed(self) -> int:
        return self.state.seq if self.state else 0


def stream_proof(*, owner_key: str, units: Collection[str], now: datetime) -> Iterator[bytes]:
    """The file in pieces of whole lines. Raises SealsDisagree before the first."""
    newest = find_newest_tree()
    links = _list_links(owner_key, units, newest[0].number if newest else 0)
    head = canonical(
        {
            "header": {
                "version": VERSION,
                "organisation": owner_key,
                "made_at": format_moment(now),
                "chains": [
                    {"chain": link.name, "entries": link.entries, "sealed": link.sealed}
                    for link in links
                ],
            }
        }
    )

    def write_lines() -> Iterator[list[bytes]]:
        yield [head]
        for link in links:
            yield from _write_entries(link)
        if newest is not None:
            checkpoint, tree = newest
            for link in links:
                if link.state is not None:
                    yield [_write_state(link.state, tree.path(link.state.leaf))]
            yield from _write_checkpoints(checkpoint.number)

    return _with_end(write_lines())


def _list_links(owner_key: str, units: Collection[str], newest: int) -> list[_Link]:
    wallets = Wallet.objects.filter(owner_key=owner_key, unit__in=units, seq__gt=0)
    return [
        _Link(
            wallet.pk,
            str(wallet.account),
            wallet.seq,
            wallet.sealed_states.filter(checkpoint__lte=newest).order_by("-seq").first(),
        )
        for wallet in wallets.select_related("account").order_by("unit", "scope")
    ]


def _write_entries(link: _Link) -> Iterator[list[bytes]]:
    for first in range(1, link.entries + 1, _PAGE):
        last = min(first + _PAGE - 1, link.entries)
        rows = read_ranges([(link.wallet_pk, first, last)])
        yield [b'{"entry":' + canonical(row.as_record()) + b"}" for row in rows]


def _write_state(state: WalletCheckpoint, path: Iterable[bytes]) -> bytes:
    return canonical(
        {
            "state": {
                "chain": state.chain,
                "seq": state.seq,
                "posted": str(state.posted_millitokens),
                "head": state.head,
                "leaf": state.leaf,
                "path": [neighbour.hex() for neighbour in path],
            }
        }
    )


def _write_checkpoints(newest: int) -> Iterator[list[bytes]]:
    for first in range(1, newest + 1, _PAGE):
        numbers = (first, min(first + _PAGE - 1, newest))
        yield [
            canonical(
                {
                    "checkpoint": {
                        "number": item.number,
                        "sealed_at": format_moment(item.sealed_at),
                        "previous": item.previous,
                        "root": item.root,
                        "chains": item.chains,
                        "hash": item.hash,
                    }
                }
            )
            for item in Checkpoint.objects.filter(number__range=numbers).order_by("number")
        ]


def _with_end(pages: Iterable[list[bytes]]) -> Iterator[bytes]:
    digest, count = hashlib.sha256(), 0
    for page in pages:
        piece = b"".join(line + b"\n" for line in page)
        digest.update(piece)
        count += len(page)
        yield piece
    yield canonical({"end": {"lines": count, "sha256": digest.hexdigest()}}) + b"\n"
