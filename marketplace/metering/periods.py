"""Days and cap periods in an organisation's time zone, as moments in UTC.

Every offset in use today is a multiple of a quarter of an hour, which is why totals are kept per
quarter: they regroup exactly into anybody's days, also on the days when clocks change.
"""

from calendar import monthrange
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from accounts.models import CapPeriod

QUARTER = timedelta(minutes=15)
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_END = datetime.max.replace(tzinfo=UTC)


def get_zone(name: str) -> ZoneInfo:
    """The time zone of this name; UTC for a name that this machine does not know."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


def start_of_day(day: date, zone: ZoneInfo) -> datetime:
    """When a day begins there, in UTC."""
    return datetime.combine(day, time.min, zone).astimezone(UTC)


def list_days(start_on: date, end_on: date) -> list[date]:
    """Both ends included."""
    return [start_on + timedelta(days=n) for n in range((end_on - start_on).days + 1)]


def bound_days(days: list[date], zone: ZoneInfo) -> Iterator[tuple[datetime, datetime]]:
    """Start (included) and end (excluded) of each day in UTC: 23 or 25 hours when clocks change."""
    for day in days:
        yield start_of_day(day, zone), start_of_day(day + timedelta(days=1), zone)


def start_of_quarter(moment: datetime) -> datetime:
    """The quarter of an hour (UTC) that a moment falls into."""
    moment = moment.astimezone(UTC)
    return moment.replace(minute=moment.minute // 15 * 15, second=0, microsecond=0)


def start_of_period(period: str, zone: ZoneInfo, now: datetime) -> datetime:
    """When the running cap period began, in UTC; weeks begin on Monday."""
    today = now.astimezone(zone).date()
    if period == CapPeriod.TOTAL:
        return _BEGINNING
    if period == CapPeriod.WEEK:
        today -= timedelta(days=today.weekday())
    elif period == CapPeriod.MONTH:
        today = today.replace(day=1)
    return start_of_day(today, zone)


def running_period(
    period: str, zone: ZoneInfo, now: datetime, *, last: datetime | None
) -> datetime:
    """When the period that counts now began; ``last`` is when the latest began that was used.

    Ordinarily it is the zone's. But a period that was begun in another zone goes on for as long
    as it would have, and then until one of this zone begins, unless half of that or more is left
    to come: so a change of zones never gives a second cap within a period that was begun, nor
    one for a scrap of a period.
    """
    start = start_of_period(period, zone, now)
    if last is None or start_of_period(period, zone, last) == last:
        return start
    length = _length_of(period, last)
    return last if now < last + length or start < last + length / 2 else start


def bound_period(
    period: str, zone: ZoneInfo, start: datetime, *, by_any_zone: bool
) -> tuple[datetime, datetime]:
    """From when until when (excluded) calls count in the period that began at ``start``; no time
    at all where none begins then in this zone.

    ``by_any_zone`` if it may have begun in another: then until the latest that ``running_period``
    lets it go on.
    """
    if period == CapPeriod.TOTAL:
        return start, _END if start == _BEGINNING else start
    length = _length_of(period, start)
    if by_any_zone:
        # The next begins when half is over, or one length after that, clocks changing meanwhile.
        return start, start + 2 * length + timedelta(hours=2)
    if start_of_period(period, zone, start) != start:
        return start, start
    return start, start_of_period(period, zone, start + length + length / 2)


def next_period(period: str, zone: ZoneInfo, start: datetime) -> datetime | None:
    """When the period after the one that began at ``start`` begins; None after one in total."""
    if period == CapPeriod.TOTAL:
        return None
    length = _length_of(period, start)
    half = start + length / 2
    begins = start_of_period(period, zone, half)
    if begins < half:
        begins = start_of_period(period, zone, half + length)
    if start_of_period(period, zone, start) == start:
        return begins
    return max(begins, start + length)


def _length_of(period: str, start: datetime) -> timedelta:
    """Of the day, week or month that began then in some zone."""
    if period == CapPeriod.MONTH:
        # East of Greenwich a month begins before it does in UTC, by at most 14 hours.
        first = (start + timedelta(hours=14)).astimezone(UTC)
        return timedelta(days=monthrange(first.year, first.month)[1])
    return timedelta(days=7 if period == CapPeriod.WEEK else 1)
