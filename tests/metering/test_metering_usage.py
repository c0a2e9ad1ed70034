"""Totals and what is read from them: exact, in the tenant's days, with few queries."""

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection

from accounts.models import Organisation
from marketplace.catalog.models import AIModel
from marketplace.metering import latency, selectors, tasks
from marketplace.metering import services as metering
from marketplace.metering.models import Call, UsageTotal
from marketplace.metering.periods import get_zone, start_of_period
from portal.kernel.clock import utc_now
from portal.kernel.errors import NotFound
from tests.cast import make_key, make_member
from tests.databases import CommittedDatabase
from tests.metering.conftest import Meter
from tests.partners.cast import make_live_service, make_provider

COST = 10 * 200 + 5 * 800
NOON = datetime(2026, 10, 7, 12, tzinfo=UTC)


def usage(meter: Meter, start: date, end: date, **options: Any) -> selectors.UsageReport:
    return selectors.get_usage(meter.acme, start_on=start, end_on=end, **options)


def test_each_call_is_counted_once(meter: Meter) -> None:
    meter.call(NOON)
    meter.call(NOON + timedelta(minutes=14, seconds=59))
    meter.call(NOON + timedelta(minutes=15))
    meter.call(NOON, status="failed", usage_source="none", prompt_tokens=0, completion_tokens=0)
    meter.open(now=NOON)  # still running
    assert metering.roll_up_usage(now=NOON + timedelta(hours=1)) == 4
    assert metering.roll_up_usage(now=NOON + timedelta(hours=1)) == 0
    rows = UsageTotal.objects.order_by("bucket_start", "status").values_list(
        "bucket_start", "status", "calls", "prompt_tokens", "completion_tokens",
        "cost_millitokens", "share_millitokens",
    )  # fmt: skip
    assert list(rows) == [
        (NOON, "failed", 1, 0, 0, 0, 0),
        (NOON, "succeeded", 2, 20, 10, 2 * COST, 2 * 5400),
        (NOON + timedelta(minutes=15), "succeeded", 1, 10, 5, COST, 5400),
    ]
    report = usage(meter, NOON.date(), NOON.date())
    assert (report.calls, report.failed_calls, report.cost_millitokens) == (4, 1, 3 * COST)
    assert report.as_of == NOON + timedelta(hours=1)
    # More calls of the same quarter are added to the same totals.
    meter.call(NOON + timedelta(minutes=1))
    tasks.roll_up_usage()
    assert UsageTotal.objects.count() == 3
    assert usage(meter, NOON.date(), NOON.date()).cost_millitokens == 4 * COST


@pytest.mark.parametrize(
    ("zone", "first_of_day", "last_of_day"),
    [
        ("UTC", "2026-10-07T00:00:00", "2026-10-07T23:59:59"),
        ("Asia/Kolkata", "2026-10-06T18:30:00", "2026-10-07T18:29:59"),
        ("Asia/Kathmandu", "2026-10-06T18:15:00", "2026-10-07T18:14:59"),
        ("Asia/Shanghai", "2026-10-06T16:00:00", "2026-10-07T15:59:59"),
        ("America/New_York", "2026-10-07T04:00:00", "2026-10-08T03:59:59"),
        ("Pacific/Chatham", "2026-10-06T10:15:00", "2026-10-07T10:14:59"),
    ],
)
def test_days_are_the_tenants(meter: Meter, zone: str, first_of_day: str, last_of_day: str) -> None:
    """The first and last second of a day belong to it, their neighbours to the next days."""
    meter.move_to(zone)
    first = datetime.fromisoformat(first_of_day).replace(tzinfo=UTC)
    last = datetime.fromisoformat(last_of_day).replace(tzinfo=UTC)
    for moment in (first - timedelta(seconds=1), first, last, last + timedelta(seconds=1)):
        meter.call(moment)
    metering.roll_up_usage(now=utc_now())
    day = date(2026, 10, 7)
    report = usage(meter, day - timedelta(days=1), day + timedelta(days=1))
    assert report.groups[0].cost_by_day == [COST, 2 * COST, COST]
    assert usage(meter, day, day).calls == 2
    spend = selectors.get_spend(meter.acme, since=first, until=last)
    assert (spend.calls, spend.by_day) == (2, [2 * COST])


@pytest.mark.parametrize(
    ("day", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25), (date(2026, 6, 1), 24)]
)
def test_days_when_clocks_change(meter: Meter, day: date, hours: int) -> None:
    """One call every half hour from the day before to the day after: none twice, none left out."""
    meter.move_to("Europe/Berlin")
    zone = ZoneInfo("Europe/Berlin")
    start = datetime.combine(day - timedelta(days=1), datetime.min.time(), zone).astimezone(UTC)
    total = (24 + hours + 24) * 2
    for number in range(total):
        meter.call(start + timedelta(minutes=30 * number))
    metering.roll_up_usage(now=utc_now())
    report = usage(meter, day - timedelta(days=1), day + timedelta(days=1))
    assert report.groups[0].cost_by_day == [48 * COST, 2 * hours * COST, 48 * COST]
    assert report.calls == total


def test_groups_and_filters(meter: Meter, globex: Organisation) -> None:
    mia = make_member(meter.acme, "mia@acme.example")
    _key, hers = make_key(meter.acme, created_by=mia, name="Mia's")
    dear = make_live_service(
        make_provider("Rival"), AIModel.objects.get(), prices={"input_millitokens": 2000}
    )
    meter.call(NOON)
    meter.call(NOON, service=dear)
    meter.call(NOON, key=meter.authenticated(hers))
    meter.call(NOON, status="failed", usage_source="none")
    metering.roll_up_usage(now=utc_now())
    day = NOON.date()

    def groups(group_by: Any, **options: Any) -> list[tuple[str, int, int]]:
        report = usage(meter, day, day, group_by=group_by, **options)
        assert report.cost_millitokens == sum(g.cost_millitokens for g in report.groups)
        assert report.calls == sum(g.calls for g in report.groups)
        return [(g.label, g.calls, g.cost_millitokens) for g in report.groups]

    dear_cost = COST + 18_000
    assert groups("service") == [(dear.handle, 1, dear_cost), (meter.service.handle, 3, 2 * COST)]
    assert groups("provider") == [("Rival", 1, dear_cost), ("Rhine", 3, 2 * COST)]
    assert groups("key") == [("Test key", 3, dear_cost + COST), ("Mia's", 1, COST)]
    assert groups("member") == [
        ("ada@acme.example", 3, dear_cost + COST),
        ("mia@acme.example", 1, COST),
    ]
    assert groups("status") == [("Succeeded", 3, dear_cost + 2 * COST), ("Failed", 1, 0)]
    assert groups("service", member=mia) == [(meter.service.handle, 1, COST)]
    assert groups("key", service=dear.public_id) == [("Test key", 1, dear_cost)]
    assert groups("service", api_key=meter.key.public_id)[0] == (dear.handle, 1, dear_cost)
    assert groups("service", service="svc_unknown") == groups("service", unit="test") == []
    assert selectors.get_usage(globex, start_on=day, end_on=day).calls == 0
    spend = selectors.get_spend(meter.acme, since=NOON, member=mia, until=NOON)
    assert (spend.calls, spend.failed_calls, spend.cost_millitokens) == (1, 0, COST)
    rows = selectors.get_usage_by_day(meter.acme, start_on=day, end_on=day, group_by="provider")
    assert sum(sums.cost_millitokens for _day, _key, sums in rows) == dear_cost + 2 * COST


def test_earnings_and_figures(meter: Meter) -> None:
    for number in range(30):
        meter.call(
            NOON + timedelta(minutes=number), duration_ms=100 * (number + 1), first_token_ms=50
        )
    for _number in range(10):
        meter.call(NOON, status="failed", usage_source="none")
    Call.objects.update(streamed=True)
    metering.roll_up_usage(now=utc_now())
    provider = meter.service.provider
    report = selectors.get_provider_earnings(provider, start_on=NOON.date(), end_on=NOON.date())
    assert (report.share_millitokens, report.calls) == (30 * 5400, 40)
    assert report.services[0].share_by_day == [30 * 5400]
    assert selectors.list_provider_calls(provider).count() == 40
    assert selectors.list_provider_calls(provider, status="failed", since=NOON).count() == 10
    assert selectors.list_provider_calls(provider, service=meter.service.public_id).count() == 40
    assert not selectors.list_provider_calls(provider, service="svc_unknown").exists()
    assert not selectors.list_provider_calls(make_provider("Rival")).exists()
    figures = selectors.get_service_figures([meter.service.pk], now=NOON)[meter.service.pk]
    assert (figures.calls, figures.success_per_mille, figures.first_token_ms) == (40, 750, 50)
    assert figures.durations is not None
    assert 1300 <= figures.durations.p50_ms <= 1700
    assert 2700 <= figures.durations.p95_ms <= 3300
    nobody = selectors.get_service_figures([10**6], now=NOON)[10**6]
    assert (nobody.success_per_mille, nobody.durations) == (None, None)


def test_latency_percentiles() -> None:
    durations = [random.Random(7).randrange(1, 90_000) for _number in range(2000)]
    counts = [0] * latency.CLASSES
    for duration in durations:
        counts[latency.class_of(duration)] += 1
    found = latency.read_percentiles(counts)
    assert found is not None
    assert found.p50_ms <= found.p95_ms <= found.p99_ms
    exact = sorted(durations)
    assert latency.class_of(found.p50_ms) == latency.class_of(exact[1000])
    assert latency.read_percentiles([4] + [0] * 15) is None
    assert latency.class_of(25) == 0
    assert latency.class_of(26) == 1
    assert latency.class_of(10**9) == latency.CLASSES - 1


def test_run_out(meter: Meter) -> None:
    """After three active days of the last seven full ones; a newcomer's empty days don't count."""
    today = NOON + timedelta(days=10)
    assert selectors.get_run_out(meter.acme, spendable_millitokens=10**6, now=today) is None
    for days_ago in (1, 2):
        meter.call(today - timedelta(days=days_ago))
    metering.roll_up_usage(now=today)
    assert selectors.get_run_out(meter.acme, spendable_millitokens=10**6, now=today) is None
    meter.call(today)  # today is not over yet
    metering.roll_up_usage(now=today)
    assert selectors.get_run_out(meter.acme, spendable_millitokens=10**6, now=today) is None
    for _number in range(4):
        meter.call(today - timedelta(days=3))
    metering.roll_up_usage(now=today)
    burn = selectors.get_burn_rate(meter.acme, now=today)
    assert burn is not None
    assert (burn.mean_millitokens, burn.active_days) == (2 * COST, 3)
    run_out = selectors.get_run_out(meter.acme, spendable_millitokens=24 * COST, now=today)
    assert run_out is not None
    assert run_out.days == 12
    assert run_out.low < 12 < run_out.high
    # Once there was usage before the window, its quiet days count.
    meter.call(today - timedelta(days=9))
    metering.roll_up_usage(now=today)
    burn = selectors.get_burn_rate(meter.acme, now=today)
    assert burn is not None
    assert burn.mean_millitokens == 6 * COST // 7
    empty = selectors.get_run_out(meter.acme, spendable_millitokens=0, now=today)
    assert empty is not None
    assert (empty.low, empty.days, empty.high) == (0, 0, 0)


@pytest.mark.parametrize(
    ("period", "zone", "expected"),
    [
        ("day", "UTC", "2026-10-07T00:00:00"), ("day", "Asia/Kolkata", "2026-10-06T18:30:00"),
        ("week", "UTC", "2026-10-05T00:00:00"), ("month", "Asia/Shanghai", "2026-09-30T16:00:00"),
        ("total", "Asia/Shanghai", "1970-01-01T00:00:00"),
        ("day", "No/Where", "2026-10-07T00:00:00"),
    ],
)  # fmt: skip
def test_cap_periods(period: str, zone: str, expected: str) -> None:
    started = start_of_period(period, get_zone(zone), NOON)
    assert started == datetime.fromisoformat(expected).replace(tzinfo=UTC)


def test_caps_begin_anew_with_the_tenants_day(meter: Meter) -> None:
    meter.move_to("Asia/Kolkata")
    _key, secret = make_key(meter.acme, cap_millitokens=100 * 200 + 100 * 800, cap_period="day")
    key = meter.authenticated(secret)
    evening = datetime(2026, 10, 7, 18, 29, tzinfo=UTC)

    def open_at(moment: datetime) -> str:
        request = meter.request(key=key, expires_at=moment + timedelta(minutes=10))
        return metering.open_calls([request], now=moment)[0].outcome

    assert open_at(evening) == "opened"
    assert open_at(evening) == "declined"
    assert open_at(evening + timedelta(minutes=1)) == "opened"


def test_list_and_receipt(meter: Meter, globex: Organisation) -> None:
    calls = [meter.call(NOON + timedelta(minutes=n), cached_tokens=4) for n in range(3)]
    listed = selectors.list_calls(meter.acme)
    assert [call.pk for call in listed] == [call.pk for call in reversed(calls)]
    assert selectors.list_calls(meter.acme, since=NOON + timedelta(minutes=1)).count() == 2
    assert selectors.list_calls(meter.acme, until=NOON + timedelta(minutes=1)).count() == 1
    assert selectors.list_calls(meter.acme, service=meter.service.public_id).count() == 3
    assert selectors.list_calls(meter.acme, service="svc_unknown").count() == 0
    assert selectors.list_calls(meter.acme, api_key=meter.key.public_id).count() == 3
    assert selectors.list_calls(meter.acme, api_key="key_unknown").count() == 0
    assert selectors.list_calls(globex).count() == 0
    found = selectors.get_call(meter.acme, calls[0].public_id)
    lines = selectors.list_cost_lines(found)
    assert [(line.kind, line.quantity, line.price_millitokens) for line in lines] == [
        ("input", 6, 200), ("cached", 4, 50), ("output", 5, 800),
    ]  # fmt: skip
    assert sum(line.cost_millitokens for line in lines) == found.cost_millitokens
    with pytest.raises(NotFound):
        selectors.get_call(globex, calls[0].public_id)
    metering.roll_up_usage(now=utc_now())
    choices = selectors.get_filter_choices(meter.acme)
    assert choices.services == [(meter.service.public_id, meter.service.handle)]
    assert choices.keys == [(meter.key.public_id, "Test key")]
    assert selectors.has_first_call(meter.acme)
    assert not selectors.has_first_call(globex)
    assert selectors.get_first_call(meter.acme) == calls[0]


def test_queries_stay_few(meter: Meter, django_assert_num_queries: Any) -> None:
    """As many for hundreds of calls in many buckets as for one."""
    for number in range(40):
        meter.call(NOON - timedelta(hours=7 * number))
    metering.roll_up_usage(now=utc_now())
    start, end = NOON.date() - timedelta(days=29), NOON.date()
    with django_assert_num_queries(3):
        report = usage(meter, start, end)
    assert report.calls == 40
    assert len(report.days) == len(report.latency) == 30
    with django_assert_num_queries(3):
        usage(meter, NOON.date() - timedelta(days=365), end, group_by="member")
    with django_assert_num_queries(1):
        selectors.get_spend(meter.acme, since=NOON - timedelta(days=30), until=NOON)
    with django_assert_num_queries(1):
        selectors.get_burn_rate(meter.acme, now=NOON)
    with django_assert_num_queries(1):
        for call in selectors.list_calls(meter.acme)[:20]:
            str((call.service.provider.name, call.service.model.name, call.api_key.name))
            str(call.member)


def test_roll_ups_at_once_count_once(committed_db: CommittedDatabase, meter: Meter) -> None:
    for number in range(60):
        meter.call(NOON + timedelta(minutes=number))

    def roll_up(_number: int) -> int:
        try:
            return metering.roll_up_usage(now=utc_now())
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        counted = list(pool.map(roll_up, range(12)))
    assert sum(counted) == 60
    assert sum(UsageTotal.objects.values_list("calls", flat=True)) == 60
