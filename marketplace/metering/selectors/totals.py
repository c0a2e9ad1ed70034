"""Totals added up per day and group, in one statement."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal
from zoneinfo import ZoneInfo

from django.db import connection

from marketplace.metering import latency
from marketplace.metering.models import COSTING_STATUSES
from marketplace.metering.periods import bound_days

GroupColumn = Literal["service_id", "api_key_id", "member_id", "status"]

_COSTING = ", ".join(f"'{status.value}'" for status in COSTING_STATUSES)
_SUMS = f"""
    SUM(t.calls), SUM(CASE WHEN t.status IN ({_COSTING}) THEN 0 ELSE t.calls END),
    SUM(t.prompt_tokens), SUM(t.cached_tokens), SUM(t.completion_tokens),
    SUM(t.cost_millitokens), SUM(t.share_millitokens),
    {", ".join(f"SUM(t.{column})" for column in latency.COLUMNS)}
"""
# The bounds of the days are a table of their own, and each day is one range of the index, whatever
# the time zone and its clock changes. PostgreSQL would rather compare every total with every day,
# so there each day is a query of its own (LATERAL); SQLite keeps to the order of a CROSS JOIN.
_SUM_BY_DAY = {
    "postgresql": f"""
        WITH day(n, starts, ends) AS (VALUES {{days}})
        SELECT day.n, one.* FROM day CROSS JOIN LATERAL (
            SELECT t.{{group}}, {_SUMS} FROM metering_usagetotal t
             WHERE t.bucket_start >= day.starts AND t.bucket_start < day.ends AND {{filters}}
             GROUP BY t.{{group}}
        ) AS one
    """,  # noqa: S608 (our own column names)
    "sqlite": f"""
        WITH day(n, starts, ends) AS (VALUES {{days}})
        SELECT day.n, t.{{group}}, {_SUMS} FROM day CROSS JOIN metering_usagetotal t
         WHERE t.bucket_start >= day.starts AND t.bucket_start < day.ends AND {{filters}}
         GROUP BY day.n, t.{{group}}
    """,  # noqa: S608 (our own column names)
}


@dataclass(slots=True)
class Sums:
    """What can be added up. Failed calls are those that ended without anything to pay for."""

    calls: int = 0
    failed_calls: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    cost_millitokens: int = 0
    share_millitokens: int = 0
    durations: list[int] = field(default_factory=lambda: [0] * latency.CLASSES)

    def add(self, other: "Sums") -> None:
        self.calls += other.calls
        self.failed_calls += other.failed_calls
        self.prompt_tokens += other.prompt_tokens
        self.cached_tokens += other.cached_tokens
        self.completion_tokens += other.completion_tokens
        self.cost_millitokens += other.cost_millitokens
        self.share_millitokens += other.share_millitokens
        self.durations = [a + b for a, b in zip(self.durations, other.durations, strict=True)]


def sum_by_day(
    days: list[date], zone: ZoneInfo, *, group: GroupColumn, filters: dict[str, Any]
) -> Iterator[tuple[int, Any, Sums]]:
    """Position of the day, value of the group, sums. ``filters`` are columns of the totals: a
    value, or a list of which any will do."""
    adapt = connection.ops.adapt_datetimefield_value
    parameters: list[Any] = []
    if not days:
        return
    for number, (starts, ends) in enumerate(bound_days(days, zone)):
        parameters += [number, adapt(starts), adapt(ends)]
    conditions = []
    for column, value in filters.items():
        values = value if isinstance(value, list) else [value]
        if not values:
            return
        conditions.append(f"t.{column} IN ({', '.join(['%s'] * len(values))})")
        parameters += values
    statement = _SUM_BY_DAY[connection.vendor].format(
        days=", ".join(["(%s, %s, %s)"] * len(days)), group=group, filters=" AND ".join(conditions)
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        rows = cursor.fetchall()
    for row in rows:
        calls, failed, prompt, cached, completion, cost, share, *durations = map(int, row[2:])
        sums = Sums(calls, failed, prompt, cached, completion, cost, share, durations)
        yield row[0], row[1], sums
