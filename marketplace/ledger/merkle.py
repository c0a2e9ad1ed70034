"""Merkle trees as in RFC 6962: one hash for many leaves, and a short proof that one is among them.

Leaves are hashed with a 0x00 before them and nodes with a 0x01, so that neither passes for the
other. A last node without a partner rises unchanged, which gives RFC 6962's tree.
"""

import hashlib
from collections.abc import Iterable


def hash_leaf(content: bytes) -> bytes:
    """The hash of a leaf's content, 32 bytes."""
    return hashlib.sha256(b"\x00" + content).digest()


def _hash_pair(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


class MerkleTree:
    """A tree whose leaves (as hashes) can be added and replaced, each in logarithmic time."""

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self._levels: list[list[bytes]] = [list(leaves)]
        while len(self._levels[-1]) > 1:
            below = self._levels[-1]
            self._levels.append([_join(below, place) for place in range((len(below) + 1) // 2)])

    def __len__(self) -> int:
        return len(self._levels[0])

    @property
    def root(self) -> bytes:
        """There must be a leaf."""
        return self._levels[-1][0]

    def put(self, place: int, leaf: bytes) -> None:
        """Replace the leaf at ``place``, or add it when that is the next place."""
        for level, row in enumerate(self._levels):
            value = leaf if level == 0 else _join(self._levels[level - 1], place)
            if place == len(row):
                row.append(value)
            else:
                row[place] = value
            place //= 2
        if len(self._levels[-1]) > 1:
            self._levels.append([_join(self._levels[-1], 0)])

    def path(self, place: int) -> list[bytes]:
        """The neighbours from the leaf up, from which the root can be computed again."""
        neighbours = []
        for row in self._levels[:-1]:
            if (place ^ 1) < len(row):
                neighbours.append(row[place ^ 1])
            place //= 2
        return neighbours


def _join(below: list[bytes], place: int) -> bytes:
    pair = below[2 * place : 2 * place + 2]
    return _hash_pair(*pair) if len(pair) == 2 else pair[0]
