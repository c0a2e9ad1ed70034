"""SIGTERM at a real process: running streams end, new calls are told to come again."""

import threading

from marketplace.metering.models import Call
from tests.fakes.upstream import Behaviour
from tests.gateway.market import CHAT_PATH, GOOD, Market
from tests.gateway.raw_client import RawCall


def test_a_stopping_process_finishes_streams_and_refuses_calls(live_market: Market) -> None:
    market, upstream = live_market, live_market.site.upstream
    gate = threading.Event()
    upstream.next(Behaviour(gate=gate))
    with RawCall(market, stream=True) as call:
        upstream.wait_until(lambda u: len(u.calls) == 1)
        market.site.tell_to_stop()  # type: ignore[union-attr]
        market.site.wait_for_log("gateway_stopping")  # type: ignore[union-attr]
        status, headers, answer = market.post(CHAT_PATH, GOOD)
        assert (status, answer["error"]["code"]) == (503, "shutting_down")
        assert (headers["retry-after"], headers["connection"]) == ("5", "close")
        assert market.get("/v1/models")[0] == 503
        gate.set()
        assert "data: [DONE]" in call.read_all()
    # The refused call was never opened, and none was asked of the provider.
    ended = Call.objects.get()
    assert (ended.status, ended.completion_tokens, len(upstream.calls)) == ("succeeded", 5, 1)
    market.assert_books_balance()
