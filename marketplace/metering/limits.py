"""What a call counts in besides the wallet: its key's cap and the budgets, as limits of the ledger.

A cap or budget is a subject and a period. The ledger's limit of both holds and spends in the same
commit as the call's hold, so it is never exceeded, whatever happens at once.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from accounts.services import AuthenticatedKey
from marketplace.ledger.services import LimitDemand
from marketplace.metering.periods import get_zone, running_period


@dataclass(frozen=True, slots=True)
class Cap:
    """At most ``max_millitokens`` of ``subject`` in each ``period``.

    In the period that began at ``opening_start``, ``opening_millitokens`` were spent before the
    ledger counted.
    """

    subject: str
    period: str
    max_millitokens: int
    opening_millitokens: int = 0
    opening_start: datetime | None = None

    def left_at_most(self, period_start: datetime) -> int:
        """What the ledger may count in the period that began then."""
        if period_start != self.opening_start:
            return self.max_millitokens
        return max(self.max_millitokens - self.opening_millitokens, 0)


def cap_of_key(key: AuthenticatedKey) -> tuple[Cap, ...]:
    """``key:<id>:<period>``; the id stays the same when the key is rotated. None without a cap."""
    if key.cap_millitokens is None:
        return ()
    subject = f"key:{key.cap_subject}:{key.cap_period}"
    return (Cap(subject, key.cap_period, key.cap_millitokens),)


def build_limits(
    caps: Iterable[Cap], *, timezone: str, now: datetime, last_periods: Mapping[str, datetime]
) -> tuple[LimitDemand, ...]:
    """The ledger's limits of the running periods in the organisation's zone.

    ``last_periods`` are the latest ones that the ledger knows, by subject.
    """
    zone = get_zone(timezone)
    demands = []
    for cap in caps:
        start = running_period(cap.period, zone, now, last=last_periods.get(cap.subject))
        demands.append(LimitDemand(cap.subject, start, cap.left_at_most(start)))
    return tuple(demands)
