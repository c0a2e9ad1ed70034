"""How fast tokens go, and when they will be gone."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isqrt

from accounts.models import Organisation
from marketplace.metering.periods import get_zone, list_days
from marketplace.metering.selectors.totals import sum_by_day

WINDOW_DAYS = 7
ENOUGH_ACTIVE_DAYS = 3
# Four out of five outcomes lie within 1.28 standard errors of the mean.
_SPREAD_PERCENT = 128
# A forecast further away than this says no more than "long".
_MOST_DAYS = 9999


@dataclass(frozen=True, slots=True)
class BurnRate:
    """Mean cost per day over the last full days, with the range it probably lies in."""

    mean_millitokens: int
    low_millitokens: int
    high_millitokens: int
    active_days: int


@dataclass(frozen=True, slots=True)
class RunOut:
    """In how many days the balance is used up, and the range: "≈ 12 days (8–17)"."""

    days: int
    low: int
    high: int


def get_burn_rate(
    organisation: Organisation, *, now: datetime, unit: str = "live"
) -> BurnRate | None:
    """Over the last seven full days; None before three of them saw any cost.

    A newcomer's days before the first call are no part of the mean.
    """
    zone = get_zone(organisation.timezone)
    yesterday = now.astimezone(zone).date() - timedelta(days=1)
    # One day more shows whether there was usage before the window.
    days = list_days(yesterday - timedelta(days=2 * WINDOW_DAYS - 1), yesterday)
    costs = [0] * len(days)
    filters = {"organisation_id": organisation.pk, "unit": unit}
    for day, _status, sums in sum_by_day(days, zone, group="status", filters=filters):
        costs[day] += sums.cost_millitokens
    before, window = costs[:WINDOW_DAYS], costs[WINDOW_DAYS:]
    active = [position for position, cost in enumerate(window) if cost]
    if len(active) < ENOUGH_ACTIVE_DAYS:
        return None
    if not any(before):
        window = window[active[0] :]
    mean = sum(window) // len(window)
    variance = sum((cost - mean) ** 2 for cost in window) // (len(window) - 1)
    error = isqrt(variance // len(window)) * _SPREAD_PERCENT // 100
    return BurnRate(
        mean_millitokens=max(mean, 1),
        low_millitokens=max(mean - error, mean // 4, 1),
        high_millitokens=max(mean + error, 1),
        active_days=len(active),
    )


def get_run_out(
    organisation: Organisation, *, spendable_millitokens: int, now: datetime
) -> RunOut | None:
    """How long the balance lasts at the present burn; None without enough usage to say."""
    burn = get_burn_rate(organisation, now=now)
    if burn is None:
        return None
    return RunOut(
        days=min(spendable_millitokens // burn.mean_millitokens, _MOST_DAYS),
        low=min(spendable_millitokens // burn.high_millitokens, _MOST_DAYS),
        high=min(spendable_millitokens // burn.low_millitokens, _MOST_DAYS),
    )
