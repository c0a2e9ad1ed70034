"""Stacked bars by day: at most five series and Other, each key always the same colour."""

from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

from django.utils.translation import gettext

from portal.web.charts.data import DailyBars, Series
from portal.web.charts.scale import (
    PLOT_BOTTOM,
    DayLabel,
    Tick,
    day_labels,
    height_of,
    number,
    percent,
    round_ticks,
)
from portal.web.charts.words import exact, finding_of_bars, written

COLOURS = 5
OTHER = "other"
GAP = 0.24  # of a day's width, between two bars


@dataclass(frozen=True)
class Segment:
    """One series on one day."""

    slot: str
    y: str
    height: str


@dataclass(frozen=True)
class Bar:
    """One day: its segments from the axis up, and what the pointer reads."""

    x: str
    width: str
    hit_x: str
    hit_width: str
    partial: bool
    top: str
    height: str
    segments: list[Segment]
    title: str


@dataclass(frozen=True)
class LegendEntry:
    slot: str
    label: str
    total: str


@dataclass(frozen=True)
class TableRow:
    day: str
    cells: list[tuple[str, str]]
    total: str


@dataclass(frozen=True)
class DrawnBars:
    """Everything the template places; strings only, so that no language changes a coordinate."""

    chart: DailyBars
    bars: list[Bar]
    ticks: list[Tick]
    day_labels: list[DayLabel]
    legend: list[LegendEntry]
    sentence: str
    headers: list[str]
    rows: list[TableRow]
    totals: list[tuple[str, str]]
    total: str
    is_empty: bool


def draw_bars(chart: DailyBars) -> DrawnBars:
    """The geometry, the legend, the finding and the table of one chart."""
    series = largest_and_other(chart.series)
    slots = colour_slots(series)
    day_totals = [sum(s.values[i] for s in series) for i in range(len(chart.days))]
    tick_values = round_ticks(max(day_totals, default=0))
    top = tick_values[-1]
    total = sum(day_totals)
    return DrawnBars(
        chart=chart,
        bars=[_bar(chart, series, slots, index, top) for index in range(len(chart.days))],
        ticks=[
            Tick(value, number(PLOT_BOTTOM - height_of(value, top)), written(value, chart.quantity))
            for value in tick_values
        ],
        day_labels=day_labels(chart.days),
        legend=[
            LegendEntry(slots[s.key], s.label, written(s.total, chart.quantity)) for s in series
        ],
        sentence=chart.sentence or finding_of_bars(chart, series, day_totals),
        headers=[s.label for s in series],
        rows=[
            TableRow(
                day=day.isoformat(),
                cells=[(s.label, exact(s.values[index], chart.quantity)) for s in series],
                total=exact(day_totals[index], chart.quantity),
            )
            for index, day in enumerate(chart.days)
        ],
        totals=[(s.label, exact(s.total, chart.quantity)) for s in series],
        total=exact(total, chart.quantity),
        is_empty=total == 0,
    )


def largest_and_other(series: Sequence[Series]) -> list[Series]:
    """The five largest, largest first, and the rest summed as Other. Empty ones are left out."""
    ranked = sorted((s for s in series if s.total), key=lambda s: (-s.total, s.key))
    if len(ranked) <= COLOURS:
        return ranked
    rest = ranked[COLOURS:]
    values = [sum(day) for day in zip(*(s.values for s in rest), strict=True)]
    return [*ranked[:COLOURS], Series(OTHER, gettext("Other"), values)]


def colour_slots(series: Sequence[Series]) -> dict[str, str]:
    """Key → colour: from the key itself; where two want one, the later key takes the next free.

    The order of the values plays no part, so a service keeps its colour when its rank changes.
    """
    slots: dict[str, str] = {}
    free = [True] * COLOURS
    for key in sorted(s.key for s in series if s.key != OTHER):
        slot = crc32(key.encode()) % COLOURS if key else 0
        while not free[slot]:
            slot = (slot + 1) % COLOURS
        free[slot] = False
        slots[key] = str(slot + 1)
    slots[OTHER] = OTHER
    return slots


def _bar(
    chart: DailyBars, series: Sequence[Series], slots: dict[str, str], index: int, top: int
) -> Bar:
    width = 1 / len(chart.days)
    segments: list[Segment] = []
    floor = 0
    for one in series:
        value = one.values[index]
        if value:
            upper = PLOT_BOTTOM - height_of(floor + value, top)
            height = height_of(value, top)
            segments.append(Segment(slots[one.key], number(upper), number(max(height, 0.5))))
            floor += value
    height = height_of(floor, top)
    day = chart.days[index]
    lines = [f"{day.isoformat()}: {written(floor, chart.quantity)}"]
    lines += [
        f"{one.label}: {written(one.values[index], chart.quantity)}"
        for one in series
        if one.values[index] and len(series) > 1
    ]
    return Bar(
        x=percent((index + GAP / 2) * width),
        width=percent(width * (1 - GAP)),
        hit_x=percent(index * width),
        hit_width=percent(width),
        partial=chart.partial_last_day and index == len(chart.days) - 1,
        top=number(PLOT_BOTTOM - height),
        height=number(height),
        segments=segments,
        title="\n".join(lines),
    )
