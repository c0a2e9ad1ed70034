"""Days and cap periods in an organisation's time zone, as moments in UTC.

Every offset in use today is a multiple of a quarter of an hour, which is why totals are kept per
quarter: they regroup exactly into anybody's days, also on the days when clocks change.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from accounts.models import CapPeriod
from accounts.services import AuthenticatedKey
from marketplace.ledger.services import LimitDemand

QUARTER = timedelta(minutes=15)
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


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


def build_key_limits(key: AuthenticatedKey, *, now: datetime) -> tuple[LimitDemand, ...]:
    """The key's cap as the ledger's limit of the running period; none without a cap.

    The subject is ``key:<id>:<period>``; the id stays the same when the key is rotated.
    """
    if key.cap_millitokens is None:
        return ()
    zone = get_zone(key.organisation_timezone)
    return (
        LimitDemand(
            subject=f"key:{key.cap_subject}:{key.cap_period}",
            period_start=start_of_period(key.cap_period, zone, now),
            max_millitokens=key.cap_millitokens,
        ),
    )
