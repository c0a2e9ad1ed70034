"""The buckets behind limits: exact in one process, the same in Redis, and shared there."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
import redis
from django.conf import LazySettings

from accounts.models import Organisation
from accounts.services import KeyAccess
from marketplace.gateway import rates, shared_rates
from marketplace.gateway.rate_limits import write_duration
from marketplace.gateway.rates import Demand, Limit, LocalRates, Outcome
from marketplace.gateway.shared_rates import SharedRates
from tests.cast import make_key
from tests.databases import CommittedDatabase
from tests.fakes.upstream import FakeUpstream
from tests.gateway.market import CHAT_PATH, GOOD, Market, build_market
from tests.gateway.thread_site import ThreadSite

REQUESTS = Limit("key:one", "requests", 60)
TOKENS = Limit("key:one", "tokens", 1000)


class Clock:
    """``time`` as LocalRates sees it."""

    now = 5_000.0

    def monotonic_ns(self) -> int:
        return round(self.now * 1_000_000_000)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(rates, "time", clock)
    return clock


def take(store: LocalRates, *demands: Demand) -> Outcome:
    return store.take_from_thread(demands)


def put_right(store: LocalRates, outcome: Outcome, used: int) -> None:
    asyncio.run(store.put_right(outcome.readings[-1], used))


def test_a_bucket_leaks_as_fast_as_its_limit(clock: Clock) -> None:
    store = LocalRates()
    for left in range(59, -1, -1):
        assert take(store, Demand(REQUESTS, 1)).readings[0].remaining == left
    refused = take(store, Demand(REQUESTS, 1))
    assert (refused.refused, refused.wait_ms) == (REQUESTS, 1000)
    clock.now += 0.999
    assert take(store, Demand(REQUESTS, 1)).wait_ms == 1
    clock.now += 0.001
    assert take(store, Demand(REQUESTS, 1)).refused is None
    clock.now += 3600
    assert take(store, Demand(REQUESTS, 1)).readings[0].remaining == 59


def test_all_demands_are_taken_or_none(clock: Clock) -> None:
    store = LocalRates()
    assert take(store, Demand(REQUESTS, 1), Demand(TOKENS, 1000)).refused is None
    refused = take(store, Demand(REQUESTS, 1), Demand(TOKENS, 1))
    assert refused.refused == TOKENS
    assert refused.wait_ms == 60
    assert [reading.taken for reading in refused.readings] == [0, 0]
    assert refused.readings[0].remaining == 59


def test_estimates_are_put_right_both_ways(clock: Clock) -> None:
    store = LocalRates()
    put_right(store, take(store, Demand(TOKENS, 1000)), 400)
    assert take(store, Demand(TOKENS, 600)).refused is None
    clock.now += 60
    put_right(store, take(store, Demand(TOKENS, 100)), 1500)
    assert take(store, Demand(TOKENS, 1)).wait_ms == 30_060, "half a minute's worth is owed"


def test_nothing_is_given_back_twice(clock: Clock) -> None:
    """What has leaked since is back already."""
    store = LocalRates()
    early = take(store, Demand(TOKENS, 1000))
    clock.now += 60
    assert take(store, Demand(TOKENS, 1000)).refused is None
    put_right(store, early, 0)
    assert take(store, Demand(TOKENS, 1)).refused == TOKENS


def test_several_processes_share_what_there_is(clock: Clock) -> None:
    stores = [LocalRates(processes=3) for _number in range(3)]
    taken = sum(
        take(store, Demand(REQUESTS, 1)).refused is None for store in stores for _turn in range(60)
    )
    assert taken == 60
    # A call that is larger than the share waits for the whole of it, but is not shut out.
    assert take(stores[0], Demand(TOKENS, 900)).readings[0].taken == 333


def test_empty_buckets_are_dropped(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LocalRates()
    monkeypatch.setattr(store, "_most", 10)
    monkeypatch.setattr(rates, "_KEPT", 10)
    for number in range(100):
        take(store, Demand(Limit(f"key:{number}", "requests", 60), 1))
        clock.now += 0.5
    assert len(store._buckets) <= 10


def test_threads_take_exactly_the_limit() -> None:
    store = LocalRates()
    taken = in_threads(lambda: take(store, Demand(Limit("key:two", "requests", 50), 1)))
    assert taken == 50


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(0, "0ms"), (250, "250ms"), (1000, "1s"), (6001, "7s"), (60_000, "1m0s"), (360_000, "6m0s")],
)
def test_durations_are_written_as_openai_does(milliseconds: int, text: str) -> None:
    assert write_duration(milliseconds) == text


def test_redis_counts_as_a_process_does(redis_url: str) -> None:
    """The same demands, the same outcomes; Redis has its own clock, so in less than its tick."""

    async def compare() -> None:
        local = LocalRates()
        shared = SharedRates(redis_url, own_share=LocalRates())
        limits = [Limit("key:same", "requests", 3), Limit("key:same", "tokens", 700)]
        for tokens, used in [(300, 100), (200, 250), (400, 400), (10, 0), (700, 0), (1, 1)]:
            demands = [Demand(limits[0], 1), Demand(limits[1], tokens)]
            here, there = await local.take(demands), await shared.take(demands)
            assert here.refused == there.refused
            assert abs(here.wait_ms - there.wait_ms) < 500
            assert [r.taken for r in here.readings] == [r.taken for r in there.readings]
            if not here.refused:
                await local.put_right(here.readings[1], used)
                await shared.put_right(there.readings[1], used)
        thread = shared.take_from_thread([Demand(limits[0], 1)])
        assert (thread.refused, thread.readings[0].remaining) == (limits[0], 0)
        await shared.close()

    asyncio.run(compare())


def test_an_outage_of_redis_stops_nobody(clock: Clock) -> None:
    async def call() -> None:
        shared = SharedRates("unix:///nowhere/redis.sock", own_share=LocalRates(processes=2))
        limit = Limit("key:out", "requests", 10)
        outcomes = [await shared.take([Demand(limit, 1)]) for _turn in range(7)]
        assert [outcome.refused for outcome in outcomes] == [None] * 5 + [limit] * 2
        await shared.put_right(outcomes[0].readings[0], 0)
        assert shared.take_from_thread([Demand(limit, 1)]).refused is None
        await shared.close()

    asyncio.run(call())


def test_limits_are_shared_again_after_an_outage(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def call() -> None:
        monkeypatch.setattr(shared_rates, "_PAUSE_SECONDS", 0.0)
        shared = SharedRates(redis_url, own_share=LocalRates())
        demand = Demand(Limit("key:back", "tokens", 10), 7)
        first = await shared.take([demand])
        with monkeypatch.context() as away:
            away.setattr(shared, "_script", fail)
            meanwhile = await shared.take([demand])
            await shared.put_right(first.readings[0], 1)  # cannot be told, so the estimate stands
        assert [first.readings[0].shared, meanwhile.readings[0].shared] == [True, False]
        assert meanwhile.refused is None
        assert (await shared.take([demand])).refused == demand.limit
        await shared.put_right(meanwhile.readings[0], 0)
        await shared.close()

    async def fail(*_arguments: Any) -> None:
        raise redis.ConnectionError

    asyncio.run(call())


def test_gateways_share_limits_through_redis(
    redis_url: str,
    committed_db: CommittedDatabase,
    fake_upstream: FakeUpstream,
    acme: Organisation,
    settings: LazySettings,
) -> None:
    settings.OUTBOUND_ALLOWED_PRIVATE = [fake_upstream.address]
    settings.REDIS_URL = redis_url
    sites = [ThreadSite(fake_upstream), ThreadSite(fake_upstream)]
    first = build_market(sites[0], acme)
    _key, secret = make_key(acme, access=KeyAccess(requests_per_minute=5))
    markets = [first, Market(sites[1], acme, first.key, first.secret, first.chat, first.embeddings)]
    try:
        for site in sites:
            site.start()
        answers = [markets[turn % 2].post(CHAT_PATH, GOOD, secret=secret) for turn in range(8)]
    finally:
        for site in sites:
            if site.started:
                site.stop()
    assert [answer[0] for answer in answers] == [200] * 5 + [429] * 3
    assert answers[4][1]["x-ratelimit-remaining-requests"] == "0"
    first.assert_books_balance()


def in_threads(work: Callable[[], Any], threads: int = 8, turns: int = 20) -> int:
    """How often it was taken."""
    taken: list[bool] = []

    def run() -> None:
        taken.extend(work().refused is None for _turn in range(turns))

    running = [threading.Thread(target=run) for _number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return sum(taken)
