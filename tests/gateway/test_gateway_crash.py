"""Real processes under load and under the axe: nothing is lost, doubled or left behind."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.conf import LazySettings

from accounts.models import Organisation
from marketplace.ledger.models import Hold, Wallet
from marketplace.metering import services as metering
from marketplace.metering.models import Call, UsageCharge, UsageTotal
from portal.kernel.clock import utc_now
from tests.fakes.upstream import Behaviour
from tests.gateway.market import CHAT, CHAT_PATH, MESSAGES, Market, build_market
from tests.gateway.raw_client import RawCall
from tests.partners.cast import make_live_service, make_model
from tests.server import LiveSite

PRICE_PER_REQUEST = 100_000
PER_REQUEST = {
    "input_millitokens": 0, "cached_input_millitokens": 0, "output_millitokens": 0,
    "request_millitokens": PRICE_PER_REQUEST,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _fake_may_be_listed(live_site: LiveSite, settings: LazySettings) -> None:
    settings.OUTBOUND_ALLOWED_PRIVATE = [live_site.upstream.address]


def build_market_for_ten(live_site: LiveSite, acme: Organisation) -> tuple[Market, str]:
    """A wallet that pays for exactly ten calls of a service that is charged per request."""
    market = build_market(live_site, acme, millitokens=10 * PRICE_PER_REQUEST)
    service = make_live_service(
        market.chat.provider,
        make_model("zai/glm-4.5", name="GLM"),
        endpoint_url=live_site.upstream.url,
        prices=PER_REQUEST,
    )
    return market, service.handle


def test_64_calls_at_once_on_a_wallet_for_ten(live_site: LiveSite, acme: Organisation) -> None:
    market, model = build_market_for_ten(live_site, acme)
    live_site.upstream.default = Behaviour(first_delay=0.3)
    start = threading.Barrier(64)

    def call(number: int) -> tuple[int, str]:
        start.wait()
        body = {"model": model, "messages": MESSAGES, "stream": False}
        if number % 2:
            with RawCall(market, model=model, stream=True) as raw:
                answer = raw.read_all()
            code = "credit_balance_exhausted"
            return int(answer.split()[1]), code if code in answer else ""
        status, _headers, answer = market.post(CHAT_PATH, body)
        return status, answer.get("error", {}).get("code", "")

    with ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(call, range(64)))
    assert answers.count((200, "")) == 10
    assert answers.count((402, "credit_balance_exhausted")) == 54
    assert len(live_site.upstream.calls) == 10
    wallet = Wallet.objects.get(owner_key=acme.public_id)
    assert (wallet.posted_millitokens, wallet.held_millitokens) == (0, 0)
    assert Call.objects.filter(status="succeeded").count() == 10
    assert Call.objects.filter(status="refused").count() == 54
    market.assert_books_balance()


def test_kill_nine_while_streaming(live_site: LiveSite, acme: Organisation) -> None:
    """Finished calls stay charged, cut ones are given up by one sweep, and none is held."""
    market = build_market(live_site, acme)
    for _number in range(3):
        assert market.post(CHAT_PATH, {"model": CHAT, "messages": MESSAGES})[0] == 200
    live_site.upstream.default = Behaviour(words=("word",) * 500, chunk_delay=0.05)
    calls = [RawCall(market, stream=True) for _number in range(8)]
    for call in calls:
        call.read_until("word")
    live_site.upstream.next(Behaviour(hang_after=0))
    waiting = RawCall(market)
    live_site.upstream.wait_until(lambda u: len(u.calls) == 12)
    assert Hold.objects.filter(state="pending").count() == 9
    live_site.kill()
    for call in [*calls, waiting]:
        call.leave()
    live_site.start()
    live_site.upstream.default = Behaviour()
    assert market.post(CHAT_PATH, {"model": CHAT, "messages": MESSAGES})[0] == 200
    # Not before a call could still be running somewhere.
    assert metering.sweep_open_calls(now=utc_now()) == 0
    assert Hold.objects.filter(state="pending").count() == 9

    later = utc_now() + metering.longest_call()
    assert metering.sweep_open_calls(now=later) == 9
    assert metering.sweep_open_calls(now=later) == 0
    assert Call.objects.filter(status="lost", cost_millitokens=0).count() == 9
    assert Call.objects.filter(status="succeeded").count() == UsageCharge.objects.count() == 4
    market.assert_books_balance()
    assert metering.roll_up_usage(now=utc_now()) == 13
    assert metering.roll_up_usage(now=utc_now()) == 0
    assert sum(UsageTotal.objects.values_list("calls", flat=True)) == 13
    assert sum(UsageTotal.objects.values_list("cost_millitokens", flat=True)) == sum(
        Call.objects.values_list("cost_millitokens", flat=True)
    )


def test_kill_nine_at_any_moment(live_site: LiveSite, acme: Organisation) -> None:
    """Killed amid a crowd of short calls: whatever was committed is whole."""
    market = build_market(live_site, acme)
    stop = threading.Event()

    def hammer() -> None:
        while not stop.is_set():
            try:
                market.post(CHAT_PATH, {"model": CHAT, "messages": MESSAGES})
            except OSError:
                time.sleep(0.01)
            except Exception:  # noqa: S110 — a half answer is no JSON
                pass

    threads = [threading.Thread(target=hammer) for _number in range(8)]
    for thread in threads:
        thread.start()
    for _round in range(2):
        time.sleep(0.7)
        live_site.kill()
        live_site.start()
    stop.set()
    for thread in threads:
        thread.join()
    metering.sweep_open_calls(now=utc_now() + metering.longest_call() + timedelta(seconds=1))
    assert not Call.objects.filter(status="open").exists()
    assert Call.objects.filter(status="succeeded").count() == UsageCharge.objects.count() > 0
    market.assert_books_balance()
