"""Providers that fail, hang, lie or talk nonsense: the call costs nothing and says so."""

import json
import time
from typing import Any

import pytest
from django.db import connection

from accounts.models import Organisation
from marketplace.catalog import selectors as catalog
from marketplace.catalog.models import Service
from marketplace.metering.models import Call, UsageEvent
from tests.fakes.upstream import Behaviour
from tests.gateway.market import CHAT, EMBEDDINGS, FAKE_CALL_COST, MESSAGES, Market
from tests.gateway.raw_client import RawCall
from tests.partners.cast import make_live_service, make_provider

CHAT_PATH = "/v1/chat/completions"
GOOD = {"model": CHAT, "messages": MESSAGES}
STREAM = {**GOOD, "stream": True, "stream_options": {"include_usage": True}}
BYTES_OF_GOOD = len(json.dumps(GOOD))


def read_events(market: Market, body: Any = STREAM) -> list[Any]:
    """The data of a streamed answer, the last one included."""
    with RawCall(market, **{k: v for k, v in body.items() if k not in GOOD}) as call:
        head, _blank, events = call.read_all().partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 200")
    lines = [line for line in events.splitlines() if line.startswith("data: ")]
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


@pytest.fixture
def impatient(settings: Any) -> None:
    """Before the gateway starts: it reads these once."""
    settings.UPSTREAM_FIRST_BYTE_SECONDS = 0.4
    settings.UPSTREAM_IDLE_SECONDS = 0.4
    settings.UPSTREAM_TOTAL_SECONDS = 0.8
    settings.UPSTREAM_MAX_ANSWER_BYTES = 20_000


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


# --- Fall-over ------------------------------------------------------------------------------


@pytest.fixture
def dearer(market: Market) -> Service:
    """Another provider's service of the same model, twice the price, at the same fake."""
    return make_live_service(
        make_provider("Rival"),
        market.chat.model,
        endpoint_url=market.site.upstream.url,
        prices={
            "input_millitokens": 400,
            "cached_input_millitokens": 100,
            "output_millitokens": 1600,
        },
    )


def test_fall_over_before_the_first_token(impatient: None, market: Market, dearer: Service) -> None:
    for stream in (False, True):
        for behaviour in (
            Behaviour(status=500), Behaviour(status=429), Behaviour(break_after=0),
            Behaviour(raw=b"nonsense"), Behaviour(hang_after=0),
        ):  # fmt: skip
            before = market.spendable
            market.site.upstream.next(behaviour)
            if stream:
                assert read_events(market)[-1]["usage"]["cost_tokens"] == "12.8"
            else:
                status, headers, _answer = market.post(CHAT_PATH, GOOD)
                assert (status, headers["x-tokenworks-service"]) == (200, dearer.handle)
            second, first = Call.objects.order_by("-pk")[:2]
            assert (first.service_id, first.status, first.cost_millitokens) == (
                market.chat.pk,
                "failed",
                0,
            )
            assert (second.service_id, second.status) == (dearer.pk, "succeeded")
            assert before - market.spendable == second.cost_millitokens == 2 * FAKE_CALL_COST
            assert first.request_id == second.request_id
    market.assert_books_balance()


def test_no_fall_over(market: Market, dearer: Service) -> None:
    """Not after the first token, not for a service that was named, not for a wrong request."""
    upstream = market.site.upstream
    upstream.next(Behaviour(break_after=2))
    assert read_events(market)[-1]["error"]["code"] == "upstream_error"
    upstream.next(Behaviour(status=500))
    assert market.post(CHAT_PATH, {**GOOD, "model": market.chat.handle})[0] == 502
    upstream.next(Behaviour(status=400))
    assert market.post(CHAT_PATH, GOOD)[0] == 400
    assert Call.objects.count() == len(upstream.calls) == 3
    assert market.spendable == 10**9
    market.assert_books_balance()


def test_all_providers_fail(market: Market, dearer: Service) -> None:
    market.site.upstream.default = Behaviour(status=500)
    for stream in (False, True):
        status, _headers, answer = market.post(CHAT_PATH, {**GOOD, "stream": stream})
        assert (status, answer["error"]["code"]) == (502, "upstream_error")
    assert Call.objects.filter(status="failed").count() == 4
    market.assert_books_balance()


def test_the_next_provider_is_too_dear(
    market: Market, dearer: Service, globex: Organisation
) -> None:
    """The first one's failure is told, not a lack of funds."""
    from tests.cast import make_key
    from tests.market import give_tokens

    give_tokens(globex, 500_000)
    _key, secret = make_key(globex)
    market.site.upstream.default = Behaviour(status=500)
    status, _headers, answer = market.post(CHAT_PATH, {**GOOD, "max_tokens": 400}, secret=secret)
    assert (status, answer["error"]["code"]) == (502, "upstream_error")
    assert sorted(Call.objects.values_list("status", flat=True)) == ["failed", "refused"]


def test_a_call_that_outlives_the_connection_pool_is_not_lost(market: Market) -> None:
    """Many slow calls at once, none of them waits for a database transaction of another."""
    import threading

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
