"""Providers that fail, hang or talk nonsense: the call costs nothing and says so."""

import json
import threading
import time
from typing import Any

import pytest
from django.db import connection

from marketplace.catalog import selectors as catalog
from marketplace.catalog.models import Service
from marketplace.metering.models import UsageEvent
from tests.fakes.upstream import Behaviour
from tests.gateway.market import CHAT_PATH, GOOD, Market
from tests.gateway.raw_client import RawCall, read_events


@pytest.fixture
def small(settings: Any) -> None:
    settings.GATEWAY_MAX_BYTES_IN_FLIGHT = 200_000


FAILURES = [
    (Behaviour(status=500), 502, "upstream_error"),
    (Behaviour(status=503), 502, "upstream_error"),
    (Behaviour(status=401, error={"message": "bad key sk-upstream"}), 502, "upstream_error"),
    (Behaviour(status=402), 502, "upstream_error"),
    (Behaviour(status=404), 502, "upstream_error"),
    (Behaviour(status=302, headers={"Location": "http://169.254.169.254/"}), 502, "upstream_error"),
    (Behaviour(status=429), 429, "upstream_rate_limited"),
    (Behaviour(break_after=0), 502, "upstream_error"),
    (Behaviour(raw=b"nonsense"), 502, "upstream_error"),
    (Behaviour(raw=b"[]"), 502, "upstream_error"),
    (Behaviour(raw=b"{}"), 502, "upstream_error"),
    (Behaviour(raw=b'{"choices": []}'), 502, "upstream_error"),
    (Behaviour(raw=b'{"choices": ["x"]}'), 502, "upstream_error"),
    (Behaviour(raw=b'{"error": {"message": "late"}}'), 502, "upstream_error"),
    (Behaviour(raw=b"{}", headers={"Content-Encoding": "br"}), 502, "upstream_error"),
    (Behaviour(raw=b'{"x": "' + b"x" * 30_000 + b'"}'), 502, "upstream_error"),
    (Behaviour(hang_after=0), 504, "upstream_timeout"),
]  # fmt: skip


def test_an_end_that_cannot_be_written_is_not_called_free(market: Market) -> None:
    """Nobody knows what became of a commit whose answer is lost, so no retry is asked for."""
    rename = "ALTER TABLE {} RENAME TO {}"
    with connection.cursor() as cursor:
        cursor.execute(rename.format("metering_usagecharge", "usage_charges_away"))
    try:
        status, headers, answer = market.post(CHAT_PATH, GOOD)
    finally:
        with connection.cursor() as cursor:
            cursor.execute(rename.format("usage_charges_away", "metering_usagecharge"))
    assert (status, answer["error"]["code"]) == (500, "call_not_recorded")
    assert "Nothing was charged" not in answer["error"]["message"]
    assert market.last_call().public_id in answer["error"]["message"]
    assert headers["x-should-retry"] == "false"


def test_before_the_first_token(impatient: None, market: Market) -> None:
    for stream in (False, True):
        for behaviour, status, code in FAILURES:
            market.site.upstream.next(behaviour)
            answered, _headers, answer = market.post(CHAT_PATH, {**GOOD, "stream": stream})
            assert (answered, answer["error"]["code"]) == (status, code), behaviour
            assert "Nothing was charged." in answer["error"]["message"]
            assert "sk-upstream" not in json.dumps(answer)
            call = market.last_call()
            assert (call.status, call.cost_millitokens, call.error_code) == ("failed", 0, code)
    assert market.spendable == 10**9
    assert not UsageEvent.objects.exists()
    market.assert_books_balance()


def test_an_unreachable_provider(market: Market) -> None:
    market.site.upstream.stop()
    status, _headers, answer = market.post(CHAT_PATH, GOOD)
    assert (status, answer["error"]["code"]) == (502, "upstream_unreachable")
    market.assert_books_balance()


def test_a_private_address_that_is_not_allowed(market: Market, settings: Any) -> None:
    settings.OUTBOUND_ALLOWED_PRIVATE = []
    status, _headers, answer = market.post(CHAT_PATH, GOOD)
    assert (status, answer["error"]["code"]) == (502, "upstream_unreachable")
    assert market.site.upstream.calls == []
    market.assert_books_balance()


def test_what_the_provider_says_of_the_request(market: Market) -> None:
    message = "context too long; your key is sk-upstream and tw_live_abcdefghij"
    market.site.upstream.next(Behaviour(status=400, error={"message": message}))
    status, _headers, answer = market.post(CHAT_PATH, GOOD)
    assert (status, answer["error"]["code"]) == (400, "upstream_rejected")
    assert "context too long" in answer["error"]["message"]
    assert "sk-upstream" not in answer["error"]["message"]
    assert "abcdefghij" not in answer["error"]["message"]


def test_after_the_first_token(impatient: None, market: Market) -> None:
    """A chunk with an error and finish_reason "error"; what was delivered is free."""
    words = tuple(f"word{n}" for n in range(6))
    for behaviour, code in [
        (Behaviour(words=words, break_after=3), "upstream_error"),
        (Behaviour(words=words, hang_after=3), "upstream_timeout"),
        (Behaviour(words=("x" * 9000,) * 6, chunk_delay=0.05), "upstream_error"),  # too large
    ]:
        market.site.upstream.next(behaviour)
        events = read_events(market)
        assert events[-1]["error"]["code"] == code
        assert events[-1]["choices"][0]["finish_reason"] == "error"
        assert not any(event.get("usage") for event in events)
        call = market.last_call()
        assert (call.status, call.cost_millitokens, call.error_code) == ("failed", 0, code)
    assert market.spendable == 10**9
    market.assert_books_balance()


@pytest.mark.parametrize("terms", ["delivered", "nothing"])
def test_longer_than_a_call_may_take(impatient: None, market: Market, terms: str) -> None:
    """The provider delivers, so what it delivered is charged; the answer ends as cut short."""
    Service.objects.filter(pk=market.chat.pk).update(cut_stream_billing=terms)
    catalog.forget_callable_services()
    market.site.upstream.next(Behaviour(words=("word",) * 20, chunk_delay=0.2))
    events = read_events(market)
    assert events[-2]["choices"][0]["finish_reason"] == "length"
    assert events[-2]["tokenworks"] == events[-1]["tokenworks"] == {"limited_by": "time_limit"}
    call = market.last_call()
    assert (call.status, call.usage_doubt) == ("succeeded", "estimated")
    assert 3 <= call.completion_tokens <= 5
    assert events[-1]["usage"]["completion_tokens"] == call.completion_tokens
    market.assert_books_balance()


def test_words_that_no_database_takes(market: Market) -> None:
    """NUL and other unprintables in what is kept of an answer."""
    choice = {"index": 0, "message": {"content": "Hi"}, "finish_reason": "st\0op" + "x" * 90}
    usage = {"prompt_tokens": 1, "completion_tokens": 1}
    answer = {"id": "up\0\n" + "y" * 300, "choices": [choice], "usage": usage, "tokenworks": 1}
    market.site.upstream.next(Behaviour(raw=json.dumps(answer).encode()))
    status, _headers, received = market.post(CHAT_PATH, GOOD)
    assert (status, "tokenworks" in received) == (200, False)
    call = market.last_call()
    assert call.finish_reason == "stop" + "x" * 26
    assert call.upstream_id == "up" + "y" * 118
    market.assert_books_balance()


def test_an_answer_nested_too_deeply_costs_nothing(market: Market) -> None:
    """What could be read but not be written again is refused before it is charged."""
    deep = b"[" * 300 + b"]" * 300
    for stream in (False, True):
        piece = (
            b'{"choices": [{"index": 0, "message": {"content": "Hi"}, "delta": {"content": "Hi"},'
            b'"finish_reason": "stop"}], "extra": ' + deep + b","
            b'"usage": {"prompt_tokens": 3, "completion_tokens": 1}}'
        )
        market.site.upstream.next(
            Behaviour(pieces=(b"data: " + piece + b"\n\ndata: [DONE]\n\n",))
            if stream
            else Behaviour(raw=piece)
        )
        status, _headers, answer = market.post(CHAT_PATH, {**GOOD, "stream": stream})
        assert (status, answer["error"]["code"]) == (502, "upstream_error")
        call = market.last_call()
        assert (call.status, call.cost_millitokens) == ("failed", 0)
    assert market.spendable == 10**9
    market.assert_books_balance()


def test_answers_count_among_the_bytes_in_flight(small: None, market: Market) -> None:
    """A small process refuses a large answer, charges nothing, and goes on."""
    market.site.upstream.next(Behaviour(raw=b'{"x": "' + b"x" * 300_000 + b'"}'))
    status, headers, answer = market.post(CHAT_PATH, GOOD)
    assert (status, answer["error"]["code"], headers["retry-after"]) == (503, "overloaded", "5")
    call = market.last_call()
    assert (call.status, call.error_code, call.cost_millitokens) == ("failed", "overloaded", 0)
    for _number in range(3):
        assert market.post(CHAT_PATH, GOOD)[0] == 200
    big = {**GOOD, "messages": [{"role": "user", "content": "x" * 250_000}]}
    assert market.post(CHAT_PATH, big)[2]["error"]["code"] == "overloaded"
    market.assert_books_balance()


def test_garbage_in_a_stream(market: Market) -> None:
    good = b'data: {"choices": [{"index": 0, "delta": {"content": "Hi"}}]}\n\n'
    for garbage in (
        b"data: nonsense\n\n",
        b"data: []\n\n",
        b'data: {"error": {"message": "broke"}}\n\n',
        b"data: " + b"x" * 2_000_000 + b"\n\n",
        b"",  # an end without a finish_reason
    ):
        market.site.upstream.next(
            Behaviour(pieces=(good, garbage or b": the end\n"), chunk_delay=0.1)
        )
        events = read_events(market)
        assert events[0]["choices"][0]["delta"]["content"] == "Hi"
        assert events[-1]["error"]["code"] == "upstream_error"
        assert market.last_call().cost_millitokens == 0
    market.assert_books_balance()


def test_a_stream_in_every_legal_spelling(market: Market) -> None:
    stream = (
        '\ufeff: hello\r\nevent: chunk\r\nid: 1\r\ndata: {"choices":\r\n'
        'data: [{"index": 0, "delta": {"content": "né"}}]}\r\n\r\n'
        'data:{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],'
        '"usage": {"prompt_tokens": 3, "completion_tokens": 1}}\r\rdata: [DONE]'
    ).encode()
    market.site.upstream.next(
        Behaviour(raw=stream, headers={"Content-Type": "text/event-stream; charset=utf-8"})
    )
    events = read_events(market)
    assert events[0]["choices"][0]["delta"]["content"] == "né"
    assert events[0]["usage"] is None
    assert events[-1]["usage"]["cost_tokens"] == "1.4"
    assert market.last_call().cost_millitokens == 3 * 200 + 800


def test_keep_alive_comments(market: Market, settings: Any) -> None:
    settings.GATEWAY_KEEPALIVE_SECONDS = 0.2
    market.site.upstream.next(Behaviour(first_delay=0.7))
    with RawCall(market, stream=True) as call:
        answer = call.read_all()
    assert answer.count(": keep-alive") >= 2
    assert answer.index(": keep-alive") < answer.index("Hello")
    # A failure after the first comment can only be a chunk.
    market.site.upstream.next(Behaviour(first_delay=0.7, status=500))
    events = read_events(market)
    assert [event["error"]["code"] for event in events] == ["upstream_error"]
    market.assert_books_balance()


def test_a_call_that_outlives_the_connection_pool_is_not_lost(market: Market) -> None:
    """Many slow calls at once, none of them waits for a database transaction of another."""
    market.site.upstream.default = Behaviour(first_delay=0.5)
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(market.post(CHAT_PATH, GOOD)[0]))
        for _number in range(24)
    ]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 24
    assert time.monotonic() - started < 6
    market.assert_books_balance()
