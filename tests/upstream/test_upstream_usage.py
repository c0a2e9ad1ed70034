"""Usage objects: whatever a provider writes, what is charged is possible and never too much."""

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from marketplace.catalog.pricing import PriceSnapshot, charge, upper_bound
from marketplace.upstream.usage import NO_USAGE, Usage, parse_usage

NUMBERS = st.one_of(
    st.none(), st.integers(-10, 10**6), st.integers(), st.floats(), st.text(max_size=3),
    st.booleans(), st.lists(st.integers(), max_size=2),
)  # fmt: skip
REPORTS = st.one_of(
    st.none(),
    st.text(max_size=3),
    st.fixed_dictionaries(
        {},
        optional={
            "prompt_tokens": NUMBERS,
            "completion_tokens": NUMBERS,
            "total_tokens": NUMBERS,
            "prompt_tokens_details": st.one_of(
                NUMBERS, st.fixed_dictionaries({}, optional={"cached_tokens": NUMBERS})
            ),
            "completion_tokens_details": st.one_of(
                NUMBERS, st.fixed_dictionaries({}, optional={"reasoning_tokens": NUMBERS})
            ),
        },
    ),
)
PRICES = st.integers(0, 10**6)


@given(REPORTS, st.integers(0, 10**5), st.integers(0, 10**5), PRICES, PRICES, PRICES, PRICES)
def test_any_report_is_charged_within_the_bound(
    report: Any, most_prompt: int, most_completion: int, a: int, b: int, c: int, d: int
) -> None:
    usage = parse_usage(
        report, most_prompt_tokens=most_prompt, most_completion_tokens=most_completion
    )
    assert 0 <= usage.cached_tokens <= usage.prompt_tokens <= most_prompt
    assert 0 <= usage.reasoning_tokens <= usage.completion_tokens <= most_completion
    price = PriceSnapshot(1, "prc_1", a, b, c, d)
    cost = charge(
        price,
        prompt_tokens=usage.prompt_tokens,
        cached_tokens=usage.cached_tokens,
        completion_tokens=usage.completion_tokens,
    )
    assert (
        0
        <= cost
        <= upper_bound(price, prompt_tokens=most_prompt, completion_tokens=most_completion)
    )


@given(st.integers(0, 1000), st.integers(0, 1000), st.integers(0, 1000), st.integers(0, 1000))
def test_the_total_is_the_witness(fresh: int, cached: int, text: int, reasoning: int) -> None:
    """With or without the cached part in the prompt and the reasoning in the completion."""
    # Where both are the same number the total cannot tell which is missing.
    assume(cached != reasoning or not cached)
    expected = (fresh + cached, cached, text + reasoning, reasoning)
    for prompt in (fresh + cached, fresh):
        for completion in (text + reasoning, text):
            usage = parse_usage(
                {
                    "prompt_tokens": prompt,
                    "completion_tokens": completion,
                    "total_tokens": sum((fresh, cached, text, reasoning)),
                    "prompt_tokens_details": {"cached_tokens": cached},
                    "completion_tokens_details": {"reasoning_tokens": reasoning},
                },
                most_prompt_tokens=10_000,
                most_completion_tokens=10_000,
            )
            assert (
                usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens,
                usage.reasoning_tokens,
            ) == expected  # fmt: skip
            assert usage.doubt == ""


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        (None, NO_USAGE),
        ({}, NO_USAGE),
        ({"prompt_tokens": 0, "completion_tokens": 0}, Usage()),
        ({"prompt_tokens": 7}, Usage(prompt_tokens=7)),
        ({"prompt_tokens": 7.0, "completion_tokens": 2}, Usage(7, 0, 2)),
        (
            {"prompt_tokens": 200, "completion_tokens": 2},
            Usage(100, 0, 2, doubt="more_than_possible"),
        ),
        (
            {"prompt_tokens": 7, "completion_tokens": 99},
            Usage(7, 0, 50, doubt="more_than_possible"),
        ),
        ({"total_tokens": 9}, Usage(source="none", doubt="malformed")),
        ("12", Usage(source="none", doubt="malformed")),
    ],
)
def test_cases(report: Any, expected: Usage) -> None:
    assert parse_usage(report, most_prompt_tokens=100, most_completion_tokens=50) == expected
