"""A provider that mostly works: how its calls go wrong, and how often."""

import random
from dataclasses import replace
from typing import Any

from tests.fakes.upstream import Behaviour

_LIES: list[Any] = [
    {"prompt_tokens": 12, "completion_tokens": 10**9, "total_tokens": 10**9 + 12},
    {"prompt_tokens": 12, "completion_tokens": 10**30, "total_tokens": 0},
    {"prompt_tokens": -5, "completion_tokens": 4, "total_tokens": -1},
    {"prompt_tokens": 12, "completion_tokens": "many", "total_tokens": None},
    {"prompt_tokens": 5, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 50}},
    {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
    "none",
]


def draw_behaviour(chance: random.Random) -> Behaviour:
    """How one call is answered; four of five are answered well, be it fast or slowly."""
    good = Behaviour(
        words=("word ",) * chance.randint(1, 40),
        cached_tokens=chance.choice([0, 0, 8]),
        first_delay=chance.choice([0, 0, 0.1]),
        chunk_delay=chance.choice([0, 0, 0.03]),
    )
    dice = chance.random()
    if dice < 0.80:
        return good
    if dice < 0.84:
        return replace(good, usage=chance.choice(_LIES))
    if dice < 0.89:
        return Behaviour(status=chance.choice([500, 503, 429, 400, 404]))
    if dice < 0.94:
        return replace(good, break_after=chance.randint(0, len(good.words)))
    if dice < 0.96:
        return replace(good, hang_after=chance.choice([0, 1, 3]))
    if dice < 0.98:
        return Behaviour(raw=chance.choice([b"nonsense", b"{}", b'{"choices": []}', b""]))
    # An answer that goes on and on, whatever was asked: the wallet or the time ends it.
    return Behaviour(words=("word ",) * 3000, honours_max_tokens=False, chunk_delay=0.001)
