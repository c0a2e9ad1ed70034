"""Legacy completions: text to be continued, natively at the provider's /completions."""

from typing import Any

import pytest
from openai import APIError

from marketplace.ledger.models import Hold
from marketplace.metering.models import Call
from tests.fakes.upstream import Behaviour
from tests.gateway.market import CHAT, EMBEDDINGS, FAKE_CALL_COST, Market

PATH = "/v1/completions"
GOOD = {"model": CHAT, "prompt": "Once upon a time"}


def test_the_official_client(market: Market) -> None:
    client = market.client()
    before = market.spendable
    raw = client.completions.with_raw_response.create(
        model=CHAT, prompt="Once upon a time", echo=True, suffix=".", logprobs=0, stop=["\n"],
        best_of=3,
    )  # fmt: skip
    answer = raw.parse()
    call = market.last_call()
    assert answer.choices[0].text == "Once upon a timeHello from the fake."
    assert (answer.id, answer.model, call.operation) == (call.public_id, CHAT, "completions")
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 5
    assert answer.usage.model_extra == {"cost": 0.0000064, "cost_tokens": "6.4"}
    assert raw.headers["x-tokenworks-cost"] == "6.4"
    [asked] = market.site.upstream.calls
    assert asked.path == "/v1/completions"
    assert (asked.body["suffix"], asked.body["logprobs"], asked.body["stop"]) == (".", 0, ["\n"])
    assert "best_of" not in asked.body
    # As OpenAI documents for callers who name no length.
    assert asked.body["max_tokens"] == 16

    with client.completions.create(
        model=CHAT, prompt="Once", stream=True, stream_options={"include_usage": True}
    ) as chunks:
        received = list(chunks)
    assert "".join(c.choices[0].text for c in received if c.choices) == "Hello from the fake."
    assert {c.object for c in received} == {"text_completion"}
    assert {c.id for c in received} == {market.last_call().public_id}
    assert received[-1].usage is not None
    assert received[-1].usage.model_extra == {"cost": 0.0000064, "cost_tokens": "6.4"}
    assert before - market.spendable == 2 * FAKE_CALL_COST
    market.assert_books_balance()


def test_what_is_held_covers_every_prompt_and_answer(market: Market) -> None:
    market.site.upstream.default = Behaviour(words=("w",) * 4)
    for prompt in (["one", "two", "three"], [[1, 2], [3], [4]]):
        body = {**GOOD, "prompt": prompt, "n": 2, "max_tokens": 10}
        status, _headers, answer = market.post(PATH, body)
        assert (status, len(answer["choices"])) == (200, 6 if isinstance(prompt[0], str) else 2)
        hold = Hold.objects.latest("pk")
        assert 6 * 10 * 800 < hold.amount_millitokens < 6 * 10 * 800 + 200 * 200
    assert market.post(PATH, {**GOOD, "prompt": [1, 2, 3]})[0] == 200
    # Nothing generated: the prompt's own probabilities.
    body = {**GOOD, "echo": True, "max_tokens": 0, "logprobs": 1}
    status, _headers, answer = market.post(PATH, body)
    assert (status, answer["usage"]["completion_tokens"]) == (200, 0)
    assert market.site.upstream.calls[-1].body["max_tokens"] == 0
    market.assert_books_balance()


def test_a_late_failure(market: Market) -> None:
    said = b'data: {"id": "x", "choices": [{"index": 0, "text": "Hello"}]}\n\n'
    failed = b'data: {"error": {"message": "boom"}}\n\n'
    market.site.upstream.next(Behaviour(pieces=(said, failed), chunk_delay=0.1))
    chunks = market.client().completions.create(model=CHAT, prompt="Once", stream=True)
    assert next(chunks).choices[0].text == "Hello"
    with pytest.raises(APIError, match="Nothing was charged"):
        next(chunks)
    assert market.last_call().cost_millitokens == 0
    market.assert_books_balance()


def test_fields(market: Market) -> None:
    wrong: list[tuple[str, Any]] = [
        ("prompt", None), ("prompt", ""), ("prompt", []), ("prompt", ["x", 1]), ("prompt", {}),
        ("prompt", ["x"] * 1001), ("max_tokens", 0), ("max_tokens", -1), ("n", 129), ("n", "2"),
        ("echo", "yes"), ("stream", 1), ("stream_options", []), ("model", None),
    ]  # fmt: skip
    for param, value in wrong:
        status, _headers, answer = market.post(PATH, {**GOOD, param: value})
        assert (status, answer["error"]["code"]) == (400, "invalid_value"), param
        assert answer["error"]["param"] == param
    many = {**GOOD, "prompt": ["x"] * 500, "n": 3}
    assert market.post(PATH, many)[2]["error"]["param"] == "n"
    status, _headers, answer = market.post(PATH, {**GOOD, "model": EMBEDDINGS})
    assert (status, answer["error"]["code"]) == (400, "wrong_operation")
    assert not Call.objects.exists()
    assert not Hold.objects.exists()
    assert market.site.upstream.calls == []
