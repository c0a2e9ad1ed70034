"""What providers say of usage is believed within bounds; what cannot be is marked."""

import json
from typing import Any

import pytest

from marketplace.catalog.models import AIModel
from marketplace.metering.models import Call
from marketplace.upstream.recount.families import NO_TOKENIZER
from tests.fakes.upstream import Behaviour
from tests.gateway.market import CHAT_PATH, EMBEDDINGS, GOOD, STREAM, Market
from tests.gateway.raw_client import read_events

BYTES_OF_GOOD = len(json.dumps(GOOD))

LIES: list[tuple[Any, int, str]] = [
    # (usage, cost, doubt); prices 200 in, 50 cached, 800 out; five tokens were asked for at most
    ({"prompt_tokens": 0, "completion_tokens": 0}, 0, ""),
    ({"prompt_tokens": -5, "completion_tokens": 3}, 0, "malformed"),
    ({"prompt_tokens": "12", "completion_tokens": 3}, 0, "malformed"),
    ({"prompt_tokens": 1.5, "completion_tokens": 3}, 0, "malformed"),
    ({"prompt_tokens": True, "completion_tokens": 3}, 0, "malformed"),
    ({"prompt_tokens": 12, "completion_tokens": 10**9}, 12 * 200 + 5 * 800, "more_than_possible"),
    ({"prompt_tokens": 12, "completion_tokens": 10**40}, 12 * 200 + 5 * 800, "more_than_possible"),
    ({"prompt_tokens": 12, "completion_tokens": 5,
      "prompt_tokens_details": {"cached_tokens": 10}}, 2 * 200 + 10 * 50 + 5 * 800, ""),
    # The prompt without its cached part: the total is the witness.
    ({"prompt_tokens": 2, "completion_tokens": 5, "total_tokens": 17,
      "prompt_tokens_details": {"cached_tokens": 10}}, 2 * 200 + 10 * 50 + 5 * 800, ""),
    ({"prompt_tokens": 12, "completion_tokens": 5,
      "prompt_tokens_details": {"cached_tokens": 99}}, 12 * 50 + 5 * 800, "malformed"),
    ({"prompt_tokens": 12, "total_tokens": 15}, 12 * 200 + 3 * 800, ""),
    ({"completion_tokens": 3, "total_tokens": 15}, 12 * 200 + 3 * 800, ""),
    ({"total_tokens": 15}, 0, "malformed"),
    ({}, 0, "missing"),
]  # fmt: skip


@pytest.fixture(autouse=True)
def _nothing_to_count_with(market: Market) -> None:
    """Where we can count ourselves, no usage is a matter of test_gateway_recounts."""
    AIModel.objects.update(tokenizer=NO_TOKENIZER)


def test_lies_about_usage(market: Market) -> None:
    for stream in (False, True):
        for usage, cost, doubt in LIES:
            market.site.upstream.next(Behaviour(usage=usage))
            before = market.spendable
            body = {**GOOD, "max_tokens": 5, "stream": stream}
            if stream:
                read_events(market, {**STREAM, "max_tokens": 5})
            else:
                status, _headers, answer = market.post(CHAT_PATH, body)
                assert status == 200
                assert answer["usage"]["cost"] * 10**9 == pytest.approx(cost)
            call = market.last_call()
            assert (call.cost_millitokens, call.usage_doubt) == (cost, doubt), usage
            assert before - market.spendable == cost
            assert call.usage_source == (
                "none" if doubt in ("missing", "malformed") and not cost else "provider"
            )
    market.assert_books_balance()


def test_a_prompt_larger_than_its_bytes(market: Market) -> None:
    market.site.upstream.next(Behaviour(usage={"prompt_tokens": 30_000, "completion_tokens": 1}))
    status, _headers, _answer = market.post(CHAT_PATH, GOOD)
    call = market.last_call()
    assert status == 200
    assert call.usage_doubt == "more_than_possible"
    assert BYTES_OF_GOOD < call.prompt_tokens < BYTES_OF_GOOD + 600
    market.assert_books_balance()


def test_no_usage_costs_nothing_and_is_marked(market: Market) -> None:
    market.site.upstream.next(Behaviour(usage="none"), Behaviour(usage="none"))
    assert market.post(CHAT_PATH, GOOD)[2]["usage"]["cost"] == 0
    body = {"model": EMBEDDINGS, "input": "x"}
    assert market.post("/v1/embeddings", body)[2]["usage"]["cost_tokens"] == "0"
    for call in Call.objects.all():
        assert (call.status, call.usage_source, call.usage_doubt) == (
            "succeeded",
            "none",
            "missing",
        )
    assert market.spendable == 10**9
