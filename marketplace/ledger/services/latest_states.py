"""What every chain was sealed in last, and the Merkle tree over all of these."""

from collections.abc import Iterator

from django.utils.translation import gettext_lazy as _

from marketplace.ledger.chains import OPERATOR_CHAINS, hash_state
from marketplace.ledger.merkle import MerkleTree
from marketplace.ledger.models import Checkpoint, WalletCheckpoint
from marketplace.ledger.seal_rows import SealedState
from marketplace.ledger.sql import Statement, run
from portal.kernel.errors import DomainError

_PAGE = 5_000
# How often to look again when another checkpoint was made meanwhile.
_ATTEMPTS = 3
# The newest checkpoint's tree by its hash, so that not every download builds it anew.
_trees: dict[str, MerkleTree] = {}

# The latest state ``s`` of each wallet ``w``, by the index of wallet and seq.
LATEST_STATE = """
LEFT JOIN ledger_walletcheckpoint s ON s.wallet_id = w.id AND s.seq =
  (SELECT MAX(x.seq) FROM ledger_walletcheckpoint x WHERE x.wallet_id = w.id)
"""
_STATES = Statement(
    f"""
    SELECT w.id, s.leaf, s.chain, s.seq, s.posted_millitokens, s.head
    FROM ledger_wallet w {LATEST_STATE}
    WHERE w.id > (SELECT v.after FROM {{rows}}) AND s.id IS NOT NULL
    ORDER BY w.id LIMIT (SELECT v.most FROM {{rows}})
    """,  # noqa: S608 (a constant)
    columns="after bigint, most bigint",
)


class SealsDisagree(DomainError):
    """The sealed states do not give the newest checkpoint's root."""

    code, kind = "seals_disagree", "unavailable"


def read_latest_states() -> Iterator[tuple[int, SealedState]]:
    """(place in the tree, state) of every chain that was ever sealed."""
    after = 0
    while rows := run(_STATES, [(after, _PAGE)]):
        for _wallet_pk, leaf, *state in rows:
            yield leaf, SealedState(*state)
        after = rows[-1][0]
    for name in OPERATOR_CHAINS:
        if sealed := find_operator_state(name):
            yield sealed.leaf, SealedState(name, sealed.seq, 0, sealed.head)


def find_operator_state(chain: str) -> WalletCheckpoint | None:
    """The latest state of one of the operator's chains."""
    return WalletCheckpoint.objects.filter(wallet=None, chain=chain).order_by("-seq").first()


def find_newest_tree() -> tuple[Checkpoint, MerkleTree] | None:
    """The newest checkpoint with its tree; None before the first. Raises SealsDisagree."""
    for _attempt in range(_ATTEMPTS):
        checkpoint = Checkpoint.objects.order_by("-number").first()
        if checkpoint is None:
            return None
        if checkpoint.hash not in _trees:
            leaves = [b""] * checkpoint.chains
            for leaf, state in read_latest_states():
                if leaf < len(leaves):
                    leaves[leaf] = hash_state(*state)
            tree = MerkleTree(leaves)
            if tree.root.hex() != checkpoint.root:
                continue
            _trees.clear()
            _trees[checkpoint.hash] = tree
        return checkpoint, _trees[checkpoint.hash]
    raise SealsDisagree(
        _("The seals of the ledger do not fit together, so nothing can be proved by them now.")
    )
