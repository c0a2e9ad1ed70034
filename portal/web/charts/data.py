"""What a page gives to a chart: names, days and integers; no geometry, no colours."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum


class Quantity(Enum):
    """What the integers of a chart count, and so how they are written."""

    TOKENS = "tokens"  # millitokens, shown as tokens
    MONEY = "money"  # millitokens, shown in the tariff currency
    COUNT = "count"  # things: calls, model tokens


@dataclass(frozen=True)
class Series:
    """One colour of a stack. ``key`` keeps its colour stable: a public id, not a name.

    An empty key is for a total that is no part of anything; it has the first colour.
    """

    key: str
    label: str
    values: Sequence[int]

    @property
    def total(self) -> int:
        return sum(self.values)


@dataclass(frozen=True)
class DailyBars:
    """Stacked bars, one per day in the organisation's timezone, days without gaps.

    Every series has one value ≥ 0 per day. More than five series are drawn as the five largest
    and "Other". ``partial_last_day``: the last day is still running and is hatched. ``sentence``
    replaces the finding that is otherwise written from the numbers. ``id`` is unique in the page.
    """

    id: str
    title: str
    days: Sequence[date]
    series: Sequence[Series]
    quantity: Quantity = Quantity.TOKENS
    partial_last_day: bool = False
    sentence: str = ""

    def __post_init__(self) -> None:
        for series in self.series:
            if len(series.values) != len(self.days):
                raise ValueError(f"{series.key}: {len(series.values)} values, not one per day")
            if any(value < 0 for value in series.values):
                raise ValueError(f"{series.key}: bars start at zero and cannot go below it")


@dataclass(frozen=True)
class LatencyLines:
    """Three lines of milliseconds per day; ``None`` is a day without enough data: a gap."""

    id: str
    title: str
    days: Sequence[date]
    p50: Sequence[int | None]
    p95: Sequence[int | None]
    p99: Sequence[int | None]
    sentence: str = ""

    def __post_init__(self) -> None:
        if not len(self.days) == len(self.p50) == len(self.p95) == len(self.p99):
            raise ValueError("each percentile has one value, or None, per day")
