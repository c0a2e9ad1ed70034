"""The arithmetic of a charge."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.catalog.pricing import PriceSnapshot, charge, typical_cost, upper_bound

amounts = st.integers(0, 1_000_000)
quantities = st.integers(0, 2_000_000)


def make_price(input: int, cached: int, output: int, request: int = 0) -> PriceSnapshot:
    return PriceSnapshot(1, "prc_1", input, cached, output, request)


prices = st.builds(make_price, amounts, amounts, amounts, amounts)


def test_the_charge_is_the_sum_of_quantity_times_price():
    price = make_price(input=800, cached=80, output=2400, request=5000)
    cost = charge(price, prompt_tokens=1000, cached_tokens=400, completion_tokens=250)
    assert cost == 600 * 800 + 400 * 80 + 250 * 2400 + 5000


def test_cached_input_is_never_also_charged_as_input():
    price = make_price(input=800, cached=0, output=0)
    assert charge(price, prompt_tokens=10, cached_tokens=10, completion_tokens=0) == 0


@pytest.mark.parametrize(
    ("prompt", "cached", "completion"), [(-1, 0, 0), (1, -1, 0), (1, 0, -1), (1, 2, 0)]
)
def test_quantities_that_cannot_be_are_refused(prompt, cached, completion):
    with pytest.raises(ValueError, match=r"negative|cache"):
        charge(
            make_price(1, 1, 1),
            prompt_tokens=prompt,
            cached_tokens=cached,
            completion_tokens=completion,
        )


@given(prices, quantities, quantities, st.floats(0, 1))
def test_no_call_within_the_bounds_costs_more_than_the_upper_bound(
    price, prompt, completion, share
):
    cached = int(prompt * share)
    cost = charge(price, prompt_tokens=prompt, cached_tokens=cached, completion_tokens=completion)
    assert 0 <= cost <= upper_bound(price, prompt_tokens=prompt, completion_tokens=completion)


@given(prices)
def test_the_typical_cost_is_a_call_of_a_thousand_tokens(price):
    assert typical_cost(price) == charge(
        price, prompt_tokens=750, cached_tokens=0, completion_tokens=250
    )
