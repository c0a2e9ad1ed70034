"""A caller's max_cost: nothing above it is held or charged."""

from typing import Any

from marketplace.ledger.models import Hold
from marketplace.metering.models import Call
from tests.fakes.upstream import Behaviour
from tests.gateway.market import CHAT, CHAT_PATH, EMBEDDINGS, GOOD, MESSAGES, Market

INPUT_PRICE, OUTPUT_PRICE = 200, 800
# The bound of GOOD's prompt is below this many model tokens.
PROMPT_BOUND = 800


def test_an_answer_is_bounded(market: Market) -> None:
    market.site.upstream.default = Behaviour(words=("word",) * 3000)
    most = PROMPT_BOUND * INPUT_PRICE + 100 * OUTPUT_PRICE
    tokens = most / 1000
    wishes: list[tuple[Any, dict[str, str]]] = [
        ({"max_cost": tokens}, {}), ({"max_cost": str(tokens)}, {}),
        ({}, {"X-Tokenworks-Max-Cost": str(tokens)}),
        ({"max_cost": 10**6}, {"X-Tokenworks-Max-Cost": str(tokens)}),
    ]  # fmt: skip
    for wish, headers in wishes:
        status, _headers, answer = market.post(CHAT_PATH, {**GOOD, "tokenworks": wish}, **headers)
        assert status == 200, answer
        assert answer["choices"][0]["finish_reason"] == "length"
        assert answer["tokenworks"] == {"limited_by": "max_cost"}
        assert 100 <= market.last_call().completion_tokens < 300
    with market.client().chat.completions.create(
        model=CHAT, messages=MESSAGES, stream=True, stream_options={"include_usage": True},
        extra_body={"tokenworks": {"max_cost": tokens}},
    ) as chunks:  # fmt: skip
        received = list(chunks)
    assert received[-1].model_extra == {"tokenworks": {"limited_by": "max_cost"}}
    response = market.post(
        "/v1/responses", {"model": CHAT, "input": "x", "tokenworks": {"max_cost": tokens}}
    )[2]
    assert (response["status"], response["tokenworks"]) == (
        "incomplete",
        {"limited_by": "max_cost"},
    )
    assert all(hold.amount_millitokens <= most for hold in Hold.objects.all())
    assert all(call.cost_millitokens <= most for call in Call.objects.all())
    market.assert_books_balance()


def test_a_stream_grows_up_to_it(market: Market) -> None:
    market.site.upstream.default = Behaviour(words=("word",) * 4000)
    most = PROMPT_BOUND * INPUT_PRICE + 2000 * OUTPUT_PRICE
    with market.client().chat.completions.create(
        model=CHAT, messages=MESSAGES, stream=True,
        extra_body={"tokenworks": {"max_cost": most / 1000}},
    ) as chunks:  # fmt: skip
        assert list(chunks)[-1].choices[0].finish_reason == "length"
    call = market.last_call()
    assert 2000 <= call.completion_tokens < 2200
    assert call.cost_millitokens <= Hold.objects.get().amount_millitokens <= most
    market.assert_books_balance()


def test_too_low(market: Market) -> None:
    """Whatever could cost more is refused, as a length of the caller's is never changed."""
    before = market.spendable
    low: list[tuple[dict[str, Any], object]] = [
        (GOOD, 0), (GOOD, "0.5"), (GOOD, INPUT_PRICE * 500 / 1000),
        ({**GOOD, "max_tokens": 1000}, (PROMPT_BOUND * INPUT_PRICE + 500 * OUTPUT_PRICE) / 1000),
    ]  # fmt: skip
    for body, tokens in low:
        body = {**body, "tokenworks": {"max_cost": tokens}}
        status, _headers, answer = market.post(CHAT_PATH, body)
        assert (status, answer["error"]["code"]) == (400, "max_cost_too_low")
        assert answer["error"]["param"] == "max_cost"
    body = {"model": EMBEDDINGS, "input": "x", "tokenworks": {"max_cost": "0.001"}}
    status, _headers, answer = market.post("/v1/embeddings", body)
    assert (status, answer["error"]["code"]) == (400, "max_cost_too_low")
    assert market.spendable == before
    assert not Call.objects.exists()
    assert not Hold.objects.exists()
    enough = {"max_cost": (PROMPT_BOUND * INPUT_PRICE + 1000 * OUTPUT_PRICE) / 1000}
    assert market.post(CHAT_PATH, {**GOOD, "max_tokens": 1000, "tokenworks": enough})[0] == 200
    assert market.site.upstream.calls[-1].body["max_tokens"] == 1000


def test_wrong_wishes(market: Market) -> None:
    wrong: list[tuple[Any, str]] = [
        ("x", "tokenworks"), ([1], "tokenworks"), ({"max_costs": 5}, "tokenworks.max_costs"),
        ({"max_cost": -1}, "tokenworks.max_cost"), ({"max_cost": "NaN"}, "tokenworks.max_cost"),
        ({"max_cost": "Infinity"}, "tokenworks.max_cost"),
        ({"max_cost": True}, "tokenworks.max_cost"),
        ({"max_cost": "five"}, "tokenworks.max_cost"), ({"max_cost": [1]}, "tokenworks.max_cost"),
        ({"drop_unsupported": "yes"}, "tokenworks.drop_unsupported"),
    ]  # fmt: skip
    for wish, param in wrong:
        status, _headers, answer = market.post(CHAT_PATH, {**GOOD, "tokenworks": wish})
        assert (status, answer["error"]["code"]) == (400, "invalid_value"), wish
        assert answer["error"]["param"] == param
    status, _headers, answer = market.post(CHAT_PATH, GOOD, **{"X-Tokenworks-Max-Cost": "much"})
    assert (status, answer["error"]["param"]) == (400, "x-tokenworks-max-cost")
    assert not Call.objects.exists()
    assert market.site.upstream.calls == []
    huge = {"max_cost": "1e30"}
    assert market.post(CHAT_PATH, {**GOOD, "tokenworks": huge})[0] == 200
