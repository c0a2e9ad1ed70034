"""Public ids: ``prefix_`` and 26 characters that sort by time (ULID) and cannot be guessed."""

import os
import secrets
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from django.db import models

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u
_RANDOM_BITS = 80
# Two digits at a time: every call makes several ids.
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_SHIFTS = range(120, -1, -10)
_RANDOM_BYTES = _RANDOM_BITS // 8
_DRAWN_TOGETHER = 256
_drawn: list[int] = []
# A child would make the ids that its parent makes.
os.register_at_fork(after_in_child=_drawn.clear)


def new_public_id(prefix: str) -> str:
    """E.g. ``org_01jc…``: 48 bits of milliseconds, then 80 random bits, in base 32."""
    number = (time.time_ns() // 1_000_000) << _RANDOM_BITS | _draw()
    digits = "".join([_PAIRS[number >> shift & 1023] for shift in _SHIFTS])
    return f"{prefix}_{digits}"


def _draw() -> int:
    """Random bits, fetched from the system for many ids at once: each time it is asked, another
    thread may take over the interpreter for milliseconds."""
    try:
        return _drawn.pop()
    except IndexError:
        several = secrets.token_bytes(_RANDOM_BYTES * _DRAWN_TOGETHER)
        _drawn.extend(
            int.from_bytes(several[start : start + _RANDOM_BYTES])
            for start in range(0, len(several), _RANDOM_BYTES)
        )
        return secrets.randbits(_RANDOM_BITS)


class PublicIdField(models.CharField):
    """A unique public id with a fixed prefix; never the primary key."""

    def __init__(self, *, prefix: str, **kwargs: Any) -> None:
        self.prefix = prefix
        kwargs.setdefault("max_length", 40)
        kwargs.setdefault("unique", True)
        kwargs.setdefault("editable", False)
        kwargs.setdefault("default", partial(new_public_id, prefix))
        super().__init__(**kwargs)

    def deconstruct(self) -> tuple[str, str, Sequence[Any], dict[str, Any]]:
        name, path, args, kwargs = super().deconstruct()
        kwargs["prefix"] = self.prefix
        kwargs.pop("default", None)
        return name, path, args, kwargs
