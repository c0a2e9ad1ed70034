"""A key's cap counts in the organisation's periods, and no change of its time zone resets it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from marketplace.ledger.models import Limit
from marketplace.metering import services as metering
from marketplace.metering.periods import get_zone, running_period
from tests.cast import make_key
from tests.metering.conftest import Meter

ONE_CALL = 100 * 200 + 100 * 800
Open = Callable[[datetime], str]


def capped(meter: Meter, period: str) -> Open:
    """A key whose cap pays for one call a period; how opening one at a moment ends."""
    _key, secret = make_key(meter.acme, cap_millitokens=ONE_CALL, cap_period=period)

    def open_at(moment: datetime) -> str:
        request = meter.request(
            key=meter.authenticated(secret), expires_at=moment + timedelta(minutes=10)
        )
        return metering.open_calls([request], now=moment)[0].outcome

    return open_at


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("period", "zone", "still", "anew"),
    [
        # Shanghai's day begins at 16:00, Los Angeles' at 07:00.
        ("day", "Asia/Shanghai", "2026-10-07T23:59", "2026-10-08T00:00"),
        ("day", "America/Los_Angeles", "2026-10-08T06:59", "2026-10-08T07:00"),
        ("week", "Asia/Shanghai", "2026-10-11T23:59", "2026-10-12T00:00"),
        ("week", "America/Los_Angeles", "2026-10-12T06:59", "2026-10-12T07:00"),
        ("month", "Asia/Shanghai", "2026-10-31T23:59", "2026-11-01T00:00"),
        ("month", "America/Los_Angeles", "2026-11-01T06:59", "2026-11-01T07:00"),
    ],
)
def test_a_period_goes_on_when_the_zone_changes(
    meter: Meter, period: str, zone: str, still: str, anew: str
) -> None:
    meter.move_to("UTC")
    open_at = capped(meter, period)
    noon = at("2026-10-07T12:00")
    assert open_at(noon) == "opened"
    meter.move_to(zone)
    for moment in (noon, at("2026-10-07T16:01"), at(still)):
        assert open_at(moment) == "declined"
    assert Limit.objects.get().held_millitokens == ONE_CALL
    assert open_at(at(anew)) == "opened"
    assert open_at(at(anew)) == "declined"
    # From here on, the new zone's own periods count.
    assert Limit.objects.latest("period_start").period_start == running_period(
        period, get_zone(zone), at(anew), last=None
    )


def test_going_to_and_fro_gives_no_scraps_of_days(meter: Meter) -> None:
    """Whoever asks all the time, and changes the zone at will, waits at least half a day."""
    zones = ["UTC", "Asia/Shanghai", "America/Los_Angeles", "UTC", "America/Los_Angeles"]
    open_at = capped(meter, "day")
    opened = []
    moment = at("2026-10-01T00:00")
    for hour in range(7 * 24):
        meter.move_to(zones[hour // 10 % len(zones)])
        if open_at(moment + timedelta(hours=hour)) == "opened":
            opened.append(hour)
    assert len(opened) > 5
    assert min(later - earlier for earlier, later in pairwise(opened)) >= 12


def test_a_cap_in_total_knows_no_zone(meter: Meter) -> None:
    meter.move_to("UTC")
    open_at = capped(meter, "total")
    assert open_at(at("2026-10-07T12:00")) == "opened"
    meter.move_to("Asia/Shanghai")
    assert open_at(at("2027-10-07T12:00")) == "declined"


def test_a_month_that_began_in_the_east_is_as_long_as_it_is_there() -> None:
    """Shanghai's October, begun on the last day of September in UTC, has its 31 days."""
    begun, ends = at("2026-09-30T16:00"), at("2026-10-31T16:00")
    further_east = get_zone("Pacific/Kiritimati")
    before = ends - timedelta(minutes=1)
    assert running_period("month", further_east, before, last=begun) == begun
    assert running_period("month", further_east, ends, last=begun) == at("2026-10-31T10:00")


@pytest.mark.parametrize(
    ("last", "now"),
    [
        # In Berlin the day of 29 March 2026 has 23 hours, that of 25 October 25.
        ("2026-03-28T23:00", "2026-03-29T22:00"),
        ("2026-10-24T22:00", "2026-10-25T23:00"),
    ],
)
def test_days_of_odd_length_end_when_they_end(last: str, now: str) -> None:
    zone = get_zone("Europe/Berlin")
    moment = at(now)
    assert running_period("day", zone, moment, last=at(last)) == moment
    before = moment - timedelta(minutes=1)
    assert running_period("day", zone, before, last=at(last)) == at(last)
