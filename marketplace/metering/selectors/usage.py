"""A tenant's usage by day in its own time zone, grouped as asked."""

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal

from accounts.models import ApiKey, Organisation, User
from marketplace.catalog.models import Service
from marketplace.metering import latency
from marketplace.metering.latency import Percentiles
from marketplace.metering.models import CallStatus, RollUp
from marketplace.metering.periods import get_zone, list_days
from marketplace.metering.selectors.totals import GroupColumn, Sums, sum_by_day
from portal.kernel.clock import utc_now

GroupBy = Literal["service", "provider", "key", "member", "status"]

_COLUMNS: dict[str, GroupColumn] = {
    "service": "service_id",
    "provider": "service_id",
    "key": "api_key_id",
    "member": "member_id",
    "status": "status",
}


@dataclass(slots=True)
class UsageGroup:
    """The sums of one service, provider, key, member or status; ``key`` is its public id."""

    key: str
    label: str
    cost_by_day: list[int]
    calls: int = 0
    failed_calls: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    cost_millitokens: int = 0


@dataclass(slots=True)
class UsageReport:
    """Sums over ``days`` (of the organisation's time zone), in all and by group, dearest first.

    Lists have one item per day; ``latency`` has None for a day with too few calls to say.
    ``as_of`` is when the totals were last brought up to date.
    """

    days: list[date]
    groups: list[UsageGroup]
    latency: list[Percentiles | None]
    as_of: datetime
    calls: int = 0
    failed_calls: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    cost_millitokens: int = 0


@dataclass(slots=True)
class Spend:
    """What was spent since a day, with the cost of each day in millitokens."""

    cost_millitokens: int = 0
    calls: int = 0
    failed_calls: int = 0
    by_day: list[int] = field(default_factory=list)


def get_usage(
    organisation: Organisation,
    *,
    start_on: date,
    end_on: date,
    group_by: GroupBy = "service",
    member: User | None = None,
    service: str | None = None,
    api_key: str | None = None,
    unit: str = "live",
) -> UsageReport:
    """Usage from ``start_on`` to ``end_on``, both included; ``service`` and ``api_key`` are public
    ids. Four queries at most, however many calls there are."""
    days = list_days(start_on, end_on)
    report = UsageReport(days=days, groups=[], latency=[], as_of=get_last_roll_up())
    durations = [[0] * latency.CLASSES for _day in days]
    rows = list(
        sum_by_day(
            days,
            get_zone(organisation.timezone),
            group=_COLUMNS[group_by],
            filters=_build_filters(organisation, member, service, api_key, unit),
        )
    )
    names = _name_groups(group_by, {value for _day, value, _sums in rows})
    groups: dict[str, UsageGroup] = {}
    for day, value, sums in rows:
        key, label = names[value]
        if key not in groups:
            groups[key] = UsageGroup(key=key, label=label, cost_by_day=[0] * len(days))
        groups[key].cost_by_day[day] += sums.cost_millitokens
        _add(groups[key], sums)
        _add(report, sums)
        durations[day] = [a + b for a, b in zip(durations[day], sums.durations, strict=True)]
    report.groups = sorted(groups.values(), key=lambda g: (-g.cost_millitokens, g.label))
    report.latency = [latency.read_percentiles(counts) for counts in durations]
    return report


def get_usage_by_day(
    organisation: Organisation,
    *,
    start_on: date,
    end_on: date,
    group_by: GroupBy = "service",
    member: User | None = None,
    unit: str = "live",
) -> list[tuple[date, str, Sums]]:
    """Flat rows (day, public id of the group, sums) in the order of days, for REST and CSV."""
    days = list_days(start_on, end_on)
    rows = list(
        sum_by_day(
            days,
            get_zone(organisation.timezone),
            group=_COLUMNS[group_by],
            filters=_build_filters(organisation, member, None, None, unit),
        )
    )
    names = _name_groups(group_by, {value for _day, value, _sums in rows})
    merged: dict[tuple[int, str], Sums] = {}
    for day, value, sums in rows:
        merged.setdefault((day, names[value][0]), Sums()).add(sums)
    return [(days[day], key, sums) for (day, key), sums in sorted(merged.items())]


def get_spend(
    organisation: Organisation,
    *,
    since: datetime,
    member: User | None = None,
    unit: str = "live",
    until: datetime | None = None,
) -> Spend:
    """Cost and calls from the day of ``since`` to today (or the day of ``until``)."""
    zone = get_zone(organisation.timezone)
    last = (until or utc_now()).astimezone(zone).date()
    days = list_days(since.astimezone(zone).date(), last)
    spend = Spend(by_day=[0] * len(days))
    filters = _build_filters(organisation, member, None, None, unit)
    for day, _status, sums in sum_by_day(days, zone, group="status", filters=filters):
        spend.cost_millitokens += sums.cost_millitokens
        spend.calls += sums.calls
        spend.failed_calls += sums.failed_calls
        spend.by_day[day] += sums.cost_millitokens
    return spend


def get_last_roll_up() -> datetime:
    """When the totals were last brought up to date."""
    return RollUp.objects.values_list("finished_at", flat=True).get()


def _build_filters(
    organisation: Organisation,
    member: User | None,
    service: str | None,
    api_key: str | None,
    unit: str,
) -> dict[str, Any]:
    filters: dict[str, Any] = {"organisation_id": organisation.pk, "unit": unit}
    if member is not None:
        filters["member_id"] = member.pk
    if service:
        filters["service_id"] = list(
            Service.objects.filter(public_id=service).values_list("pk", flat=True)
        )
    if api_key:
        filters["api_key_id"] = list(
            ApiKey.objects.filter(public_id=api_key).values_list("pk", flat=True)
        )
    return filters


def _name_groups(group_by: GroupBy, values: set[Any]) -> dict[Any, tuple[str, str]]:
    """Public id and label of each value of the group's column."""
    if group_by == "status":
        return {value: (value, str(CallStatus(value).label)) for value in values}
    if group_by == "key":
        keys = ApiKey.objects.filter(pk__in=values).values_list("pk", "public_id", "name")
        return {pk: (public_id, name) for pk, public_id, name in keys}
    if group_by == "member":
        members = User.objects.filter(pk__in=values)
        return {user.pk: (user.public_id, str(user)) for user in members}
    names = ("provider__public_id", "provider__name")
    if group_by == "service":
        names = ("public_id", "handle")
    services = Service.objects.filter(pk__in=values).values_list("pk", *names)
    return {pk: (public_id, name) for pk, public_id, name in services}


def _add(target: UsageGroup | UsageReport, sums: Sums) -> None:
    target.calls += sums.calls
    target.failed_calls += sums.failed_calls
    target.prompt_tokens += sums.prompt_tokens
    target.cached_tokens += sums.cached_tokens
    target.completion_tokens += sums.completion_tokens
    target.cost_millitokens += sums.cost_millitokens
