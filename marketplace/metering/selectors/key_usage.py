"""What a key has cost, from the totals: of all keys that it was rotated from or to."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, Sum

from accounts.models import ApiKey, CapPeriod
from marketplace.metering.models import UsageTotal
from marketplace.metering.periods import get_zone, start_of_period


@dataclass(frozen=True, slots=True)
class KeyUsage:
    """In millitokens: in all, and in the running day, week and month of the organisation's zone."""

    total: int
    day: int
    week: int
    month: int


def get_key_usage(key: ApiKey, *, now: datetime) -> KeyUsage:
    """As fresh as the totals. ``key`` comes with its organisation."""
    zone = get_zone(key.organisation.timezone)
    since = {
        name: Sum(
            "cost_millitokens", filter=Q(bucket_start__gte=start_of_period(period, zone, now))
        )
        for name, period in (
            ("day", CapPeriod.DAY),
            ("week", CapPeriod.WEEK),
            ("month", CapPeriod.MONTH),
        )
    }
    line = ApiKey.objects.filter(organisation=key.organisation_id, cap_subject=key.cap_subject)
    sums = UsageTotal.objects.filter(
        organisation=key.organisation_id, api_key__in=line, unit=key.kind
    ).aggregate(total=Sum("cost_millitokens"), **since)
    return KeyUsage(**{name: value or 0 for name, value in sums.items()})
