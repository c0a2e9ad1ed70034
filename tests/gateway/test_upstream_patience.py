"""How long a provider may take for a whole answer."""

import pytest

from marketplace.upstream.patience import Limits


@pytest.mark.parametrize(
    ("prompt_tokens", "completion_tokens", "seconds"),
    [(0, 0, 60), (1000, 20, 66), (500, 1024, 265.8), (4_000_000, 0, 600), (0, 32_000, 600)],
)
def test_a_whole_answer_has_the_time_that_its_length_takes(
    prompt_tokens: int, completion_tokens: int, seconds: float
) -> None:
    """Not the ten minutes of the longest one: a provider that hangs is given up before."""
    limits = Limits(
        connect_seconds=5, first_byte_seconds=60, idle_seconds=60, total_seconds=600,
        drain_seconds=30, max_answer_bytes=1,
    )  # fmt: skip
    found = limits.bound_whole_answer(
        prompt_tokens=prompt_tokens, completion_tokens=completion_tokens
    )
    assert found == pytest.approx(seconds)
