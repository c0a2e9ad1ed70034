"""Clients that leave: before any output they pay nothing, after it what was delivered."""

import time
from typing import Any

import pytest

from marketplace.catalog import selectors as catalog
from marketplace.catalog.models import Service
from marketplace.metering.models import Call
from tests.fakes.upstream import Behaviour
from tests.gateway.market import CHAT, MESSAGES, Market
from tests.gateway.raw_client import RawCall
from tests.gateway.thread_site import ThreadSite

TEN = tuple(f"word{number}" for number in range(10))  # ten tokens of five bytes


def wait_for_end(market: Market, seconds: float = 10) -> Call:
    give_up_at = time.monotonic() + seconds
    while True:
        call = Call.objects.order_by("-pk").first()
        if call is not None and call.status != "open":
            return call
        assert time.monotonic() < give_up_at, "the call did not end"
        time.sleep(0.02)


def set_terms(market: Market, terms: str) -> None:
    Service.objects.filter(pk=market.chat.pk).update(cut_stream_billing=terms)
    catalog.forget_callable_services()


@pytest.mark.parametrize("stream", [False, True])
def test_gone_before_any_output_pays_nothing(market: Market, stream: bool) -> None:
    upstream = market.site.upstream
    upstream.default = Behaviour(hang_after=0)
    call = RawCall(market, stream=stream)
    upstream.wait_until(lambda u: len(u.calls) == 1)
    call.leave()
    upstream.wait_until(lambda u: u.calls[0].ended == "abandoned")
    ended = wait_for_end(market)
    assert (ended.status, ended.cost_millitokens) == ("client_disconnected", 0)
    assert ended.usage_doubt == ""
    assert market.spendable == 10**9
    market.assert_books_balance()


def test_gone_in_the_middle_pays_for_what_was_delivered(market: Market) -> None:
    upstream = market.site.upstream
    upstream.default = Behaviour(words=TEN, chunk_delay=0.1)
    with RawCall(market, stream=True) as call:
        call.read_until("word3")
    ended = wait_for_end(market)
    assert upstream.calls[0].ended == "answered"
    assert ended.status == "client_disconnected"
    assert (ended.prompt_tokens, ended.usage_source) == (12, "estimate")
    assert 4 <= ended.completion_tokens <= 6
    assert ended.cost_millitokens == 12 * 200 + ended.completion_tokens * 800
    assert ended.first_token_ms is not None
    market.assert_books_balance()


def test_terms_of_the_listing_full(market: Market) -> None:
    set_terms(market, "full")
    market.site.upstream.default = Behaviour(words=TEN, chunk_delay=0.05)
    with RawCall(market, stream=True) as call:
        call.read_until("word3")
    ended = wait_for_end(market)
    assert (ended.completion_tokens, ended.usage_source) == (10, "provider")
    assert ended.cost_millitokens == 12 * 200 + 10 * 800
    market.assert_books_balance()


def test_who_is_cut_off_by_our_stopping_does_not_pay_for_the_rest(market: Market) -> None:
    set_terms(market, "full")
    market.site.upstream.default = Behaviour(words=TEN, chunk_delay=0.05)
    with RawCall(market, stream=True) as call:
        call.read_until("word3")
        assert isinstance(market.site, ThreadSite)
        market.site.refuse_new_calls()
    ended = wait_for_end(market)
    assert ended.status == "client_disconnected"
    assert 4 <= ended.completion_tokens < 10
    market.assert_books_balance()


def test_terms_of_the_listing_nothing(market: Market) -> None:
    set_terms(market, "nothing")
    market.site.upstream.default = Behaviour(words=TEN, chunk_delay=0.2)
    with RawCall(market, stream=True) as call:
        call.read_until("word2")
    ended = wait_for_end(market)
    market.site.upstream.wait_until(lambda u: u.calls[0].ended == "abandoned")
    assert (ended.status, ended.cost_millitokens) == ("client_disconnected", 0)
    market.assert_books_balance()


def test_gone_before_the_first_word_could_be_sent_pays_nothing(
    market: Market, settings: Any
) -> None:
    """The answer had begun at the provider, but none of it got through to the client."""
    settings.GATEWAY_SEND_SECONDS = 0.5
    # Pieces without text, so large that they fill every buffer on the way before the word comes.
    role = b'data: {"choices": [{"delta": {"role": "%s"}}]}\n\n' % (b"x" * 1_000_000)
    word = b'data: {"choices": [{"delta": {"content": "word"}, "finish_reason": "stop"}]}\n\n'
    usage = b'data: {"choices": [], "usage": {"prompt_tokens": 12, "completion_tokens": 1}}\n\n'
    market.site.upstream.next(Behaviour(pieces=(*[role] * 16, word + usage + b"data: [DONE]\n\n")))
    with RawCall(market, stream=True):
        ended = wait_for_end(market)
    assert (ended.status, ended.cost_millitokens) == ("client_disconnected", 0)
    assert market.spendable == 10**9
    market.assert_books_balance()


@pytest.fixture
def impatient(settings: Any) -> None:
    """Before the gateway starts: it reads these once."""
    settings.UPSTREAM_DRAIN_SECONDS = 0.5


def test_a_provider_that_never_ends_is_not_waited_for(impatient: None, market: Market) -> None:
    """What came through is estimated in the tenant's favour and marked to be looked at."""
    market.site.upstream.default = Behaviour(words=TEN, hang_after=4)
    with RawCall(market, stream=True) as call:
        call.read_until("word3")
        started = time.monotonic()
    ended = wait_for_end(market)
    assert time.monotonic() - started < 5
    market.site.upstream.wait_until(lambda u: u.calls[0].ended == "abandoned")
    assert ended.status == "client_disconnected"
    assert (ended.usage_source, ended.usage_doubt) == ("estimate", "estimated")
    assert ended.completion_tokens == 4
    assert 0 < ended.prompt_tokens < 40
    market.assert_books_balance()


def test_gone_after_the_last_word_pays_for_all(market: Market) -> None:
    market.site.upstream.default = Behaviour(words=("all", "there"), chunk_delay=0.2)
    with RawCall(market, stream=True) as call:
        call.read_until("there")
    ended = wait_for_end(market)
    assert (ended.status, ended.completion_tokens) == ("succeeded", 2)
    assert ended.cost_millitokens == 12 * 200 + 2 * 800


def test_a_client_that_stops_reading_counts_as_gone(market: Market, settings: Any) -> None:
    settings.GATEWAY_SEND_SECONDS = 0.5
    market.site.upstream.default = Behaviour(words=("x" * 4000,) * 2000)
    with RawCall(market, stream=True) as call:
        call.read_until("xxx")
        ended = wait_for_end(market, seconds=20)
    assert ended.status == "client_disconnected"
    assert ended.completion_tokens < 2000
    market.assert_books_balance()


def test_reading_slowly_does_not_outlast_the_hold(market: Market, settings: Any) -> None:
    """Each piece in time, but all of them too late: the patience is for the whole answer."""
    settings.GATEWAY_SEND_SECONDS = 0.6
    market.site.upstream.default = Behaviour(words=("x" * 60_000,) * 400)
    with RawCall(market, stream=True) as call:
        call.read_until("xxx")
        started = time.monotonic()
        while Call.objects.get().status == "open":
            call.read_some(200_000)
            time.sleep(0.2)
            assert time.monotonic() - started < 15
    assert market.last_call().status == "client_disconnected"
    market.assert_books_balance()


def test_sixteen_leave_at_once(market: Market) -> None:
    market.site.upstream.default = Behaviour(words=TEN, chunk_delay=0.02)
    calls = [RawCall(market, stream=True) for _number in range(16)]
    for number, call in enumerate(calls):
        call.read_until(f"word{number % 10}")
        call.leave()
    give_up_at = time.monotonic() + 10
    while Call.objects.filter(status="open").exists():
        assert time.monotonic() < give_up_at
        time.sleep(0.05)
    market.assert_books_balance()
    # And the gateway goes on.
    answer = market.client().chat.completions.create(model=CHAT, messages=MESSAGES)
    assert answer.choices[0].finish_reason == "stop"
