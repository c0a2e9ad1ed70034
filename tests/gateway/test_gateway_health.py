"""Services that fail are asked last, rest, and come back."""

import time

import pytest

from marketplace.catalog.models import Service
from marketplace.gateway.health import Health
from marketplace.gateway.service_record import (
    FIRST_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    OPENS_AFTER,
    TRIAL_SECONDS,
    ServiceRecord,
    Standing,
)
from marketplace.metering.models import Call
from marketplace.upstream.failures import UpstreamFailure, UpstreamRejected
from tests.fakes.upstream import Behaviour
from tests.gateway.market import CHAT_PATH, GOOD, Market
from tests.partners.cast import make_live_service, make_provider


@pytest.fixture
def rival(market: Market) -> Service:
    """Another service of the same model, dearer."""
    return make_live_service(
        make_provider("Rival"),
        market.chat.model,
        endpoint_url=market.site.upstream.url,
        prices={"output_millitokens": 900},
    )


def ask(market: Market, model: str = "") -> tuple[int, str]:
    """Status and who answered."""
    body = {**GOOD, "model": model} if model else GOOD
    status, headers, _answer = market.post(CHAT_PATH, body)
    return status, headers.get("x-tokenworks-service", "")


def test_a_service_that_keeps_failing_is_passed_over(market: Market, rival: Service) -> None:
    upstream = market.site.upstream
    for failure in (401, 402, 404, 500, 503):
        upstream.next(Behaviour(status=failure))
        assert ask(market, market.chat.handle)[0] == 502
    assert ask(market) == (200, rival.handle)
    assert len(upstream.calls) == OPENS_AFTER + 1
    # Named, or where all others fail too, it is asked all the same; and an answer brings it back.
    upstream.next(Behaviour(status=500))
    assert ask(market) == (200, market.chat.handle)
    assert ask(market) == (200, market.chat.handle)
    market.assert_books_balance()


def test_what_is_not_the_providers_fault_does_not_count(market: Market, rival: Service) -> None:
    upstream = market.site.upstream
    for answer in (400, 413, 403, 422, 403, 400):
        upstream.next(Behaviour(status=answer))
        assert ask(market, market.chat.handle)[0] in (400, 502)
    assert ask(market) == (200, market.chat.handle)


def test_a_busy_service_rests_as_long_as_it_says(market: Market, rival: Service) -> None:
    market.site.upstream.next(Behaviour(status=429, headers={"Retry-After": "60"}))
    assert ask(market) == (200, rival.handle)
    assert ask(market) == (200, rival.handle)
    assert Call.objects.filter(service=market.chat).count() == 1
    # Nothing else is left: better than to refuse.
    assert ask(market, market.chat.handle) == (200, market.chat.handle)


def test_a_service_that_often_fails_is_tried_last(market: Market, rival: Service) -> None:
    """Nine of ten calls went well: degraded, and asked after the dearer one that is normal."""
    upstream = market.site.upstream
    failure = Behaviour(status=500)
    upstream.next(*([*[Behaviour()] * 9, failure] * 2), *[Behaviour()] * 2)
    for _number in range(22):
        ask(market, market.chat.handle)
    assert ask(market) == (200, rival.handle)
    upstream.next(failure)
    assert ask(market) == (200, market.chat.handle)


def test_the_circuit() -> None:
    """Opens, lets one trial through after a pause that grows, and closes on success."""
    record = ServiceRecord(counted_at=0.0)
    for second in range(OPENS_AFTER):
        assert record.admit(float(second))
        record.count_failure(second, began_at=second)
    opened = OPENS_AFTER - 1.0
    assert record.standing(opened) == Standing.RESTING
    assert not record.admit(opened + FIRST_PAUSE_SECONDS - 1)
    due = opened + FIRST_PAUSE_SECONDS
    assert record.standing(due) == Standing.NORMAL
    assert record.admit(due)
    assert not record.admit(due + 1)
    # A trial that hangs does not keep the next one waiting for ever.
    assert record.admit(due + TRIAL_SECONDS)
    record.count_failure(due + TRIAL_SECONDS + 1, began_at=due)
    # Others that began before it was reopened say nothing new.
    record.count_failure(due + TRIAL_SECONDS + 2, began_at=due)
    assert record.pause_seconds == 2 * FIRST_PAUSE_SECONDS
    now = due + TRIAL_SECONDS + 1 + record.pause_seconds
    record.count_success(now, began_at=0.0)
    assert not record.admit(now - 1)
    for _number in range(20):
        record.count_failure(now, began_at=now)
    assert record.pause_seconds == LONGEST_PAUSE_SECONDS
    now += LONGEST_PAUSE_SECONDS
    assert record.admit(now)
    record.count_success(now + 1, began_at=now)
    assert record.admit(now + 1)
    assert record.admit(now + 1)
    assert record.pause_seconds == FIRST_PAUSE_SECONDS


def test_old_failures_fade() -> None:
    record = ServiceRecord(counted_at=0.0)
    for number in range(40):
        (record.count_failure if number % 2 else record.count_success)(0.0, began_at=0.0)
    assert record.standing(1.0) == Standing.FALLBACK_ONLY
    assert record.standing(600.0) == Standing.NORMAL


def test_what_is_told_of_a_service() -> None:
    health = Health()
    assert health.describe(7).status == "normal"
    for number in range(200):
        health.note_success(
            7,
            began_at=time.monotonic(),
            latency_ms=number,
            duration_ms=number + 1000,
            completion_tokens=50,
        )
        assert (health.describe(7).uptime is None) == (number < 100)
    health.note_failure(7, UpstreamRejected(), began_at=time.monotonic())
    told = health.describe(7)
    assert (told.status, told.uptime) == ("normal", 100.0)
    assert told.latency_ms == {50: 100, 75: 150, 90: 180, 99: 198}
    assert told.throughput is not None
    assert told.throughput[50] == pytest.approx(50)
    for _number in range(15):
        health.note_failure(7, UpstreamFailure(), began_at=time.monotonic())
    told = health.describe(7)
    assert told.status == "resting"
    assert told.uptime == pytest.approx(93, abs=0.1)
