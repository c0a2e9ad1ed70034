"""When a provider fails before its first token, the next one that fits is asked."""

import pytest

from accounts.models import Organisation
from marketplace.catalog.models import Service
from marketplace.metering.models import Call
from tests.cast import make_key
from tests.fakes.upstream import Behaviour
from tests.gateway.market import CHAT_PATH, FAKE_CALL_COST, GOOD, Market
from tests.gateway.raw_client import read_events
from tests.gateway.thread_site import ThreadSite
from tests.market import give_tokens
from tests.partners.cast import make_live_service, make_provider


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


def test_fall_over_before_the_first_token(
    impatient: None, market: Market, dearer: Service, thread_site: ThreadSite
) -> None:
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
            assert (first.attempt, second.attempt) == (1, 2)
            thread_site.forget_health()
    market.assert_books_balance()


def test_fall_over_from_what_pretends_to_answer(
    impatient: None, market: Market, dearer: Service, thread_site: ThreadSite
) -> None:
    """An answer cut in the middle, an error under 200, a first byte that no token ever follows."""
    error = b'{"error": {"message": "we are full"}}'
    for stream, behaviour, code in (
        (False, Behaviour(break_after=1), "upstream_error"),
        (False, Behaviour(raw=error), "upstream_error"),
        (False, Behaviour(pieces=(b" ",) * 40, chunk_delay=0.05), "upstream_timeout"),
        (True, Behaviour(raw=error), "upstream_error"),
        (True, Behaviour(pieces=(b"data: " + error + b"\n\n",)), "upstream_error"),
        (True, Behaviour(pieces=(b"data: [DONE]\n\n",)), "upstream_error"),
        (True, Behaviour(pieces=(b":",) * 40, chunk_delay=0.05), "upstream_timeout"),
    ):
        market.site.upstream.next(behaviour)
        if stream:
            events = [event for event in read_events(market) if event["choices"]]
            texts = [event["choices"][0]["delta"].get("content") or "" for event in events]
            assert "".join(texts) == "Hello from the fake."
        else:
            status, headers, answer = market.post(CHAT_PATH, GOOD)
            assert (status, headers["x-tokenworks-service"]) == (200, dearer.handle)
            assert answer["choices"][0]["message"]["content"] == "Hello from the fake."
        second, first = Call.objects.order_by("-pk")[:2]
        assert (first.status, first.error_code, first.cost_millitokens) == ("failed", code, 0)
        assert (second.status, second.service) == ("succeeded", dearer)
        thread_site.forget_health()
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
    give_tokens(globex, 500_000)
    _key, secret = make_key(globex)
    market.site.upstream.default = Behaviour(status=500)
    status, _headers, answer = market.post(CHAT_PATH, {**GOOD, "max_tokens": 400}, secret=secret)
    assert (status, answer["error"]["code"]) == (502, "upstream_error")
    assert sorted(Call.objects.values_list("status", flat=True)) == ["failed", "refused"]
