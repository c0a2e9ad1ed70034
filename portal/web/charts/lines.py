"""Latency as p50, p95 and p99, with gaps where there is no data; sparklines; meters."""

from collections.abc import Sequence
from dataclasses import dataclass

from portal.kernel.quantities import format_latency
from portal.web.charts.data import LatencyLines
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
from portal.web.charts.words import finding_of_latency

SPARK_WIDTH = 100
SPARK_HEIGHT = 24
PATH_WIDTH = 1000  # of the stretched coordinate system that the lines are drawn in


@dataclass(frozen=True)
class Dot:
    """A day alone between two gaps: a line would not show it."""

    x: str
    y: str


@dataclass(frozen=True)
class Line:
    """One percentile: its colour and dash by ``slot``, its path, its lonely points."""

    slot: str
    label: str
    path: str
    dots: list[Dot]


@dataclass(frozen=True)
class DrawnLines:
    """Everything the template places."""

    chart: LatencyLines
    lines: list[Line]
    ticks: list[Tick]
    day_labels: list[DayLabel]
    sentence: str
    rows: list[tuple[str, list[tuple[str, str]]]]
    is_empty: bool


def draw_lines(chart: LatencyLines) -> DrawnLines:
    """The geometry, the finding and the table of one chart."""
    percentiles = (("1", "p50", chart.p50), ("2", "p95", chart.p95), ("3", "p99", chart.p99))
    known = [value for _, _, values in percentiles for value in values if value is not None]
    tick_values = round_ticks(max(known, default=0))
    top = tick_values[-1]
    lines = []
    for slot, label, values in percentiles:
        points = [
            ((index + 0.5) / len(values), PLOT_BOTTOM - height_of(value, top))
            if value is not None
            else None
            for index, value in enumerate(values)
        ]
        path, alone = trace(points, width=PATH_WIDTH)
        dots = [Dot(percent(x), number(y)) for x, y in alone]
        lines.append(Line(slot, label, path, dots))
    return DrawnLines(
        chart=chart,
        lines=lines,
        ticks=[
            Tick(value, number(PLOT_BOTTOM - height_of(value, top)), format_latency(value))
            for value in tick_values
        ],
        day_labels=day_labels(chart.days),
        sentence=chart.sentence or finding_of_latency(chart),
        rows=[
            (
                day.isoformat(),
                [(label, _latency_or_dash(values[index])) for _, label, values in percentiles],
            )
            for index, day in enumerate(chart.days)
        ],
        is_empty=not known,
    )


def trace(
    points: Sequence[tuple[float, float] | None], *, width: float
) -> tuple[str, list[tuple[float, float]]]:
    """An SVG path through the points, broken at ``None``; and the points that stand alone."""
    runs: list[list[tuple[float, float]]] = [[]]
    for point in points:
        if point is None:
            runs.append([])
        else:
            runs[-1].append(point)
    parts = [
        "M" + "L".join(f"{number(x * width)} {number(y)}" for x, y in run)
        for run in runs
        if len(run) > 1
    ]
    return "".join(parts), [run[0] for run in runs if len(run) == 1]


@dataclass(frozen=True)
class Spark:
    """A sparkline: the line, and the area below it down to zero."""

    line: str
    area: str


def draw_spark(values: Sequence[int | None]) -> Spark:
    """A line from zero without axes; gaps stay gaps, and only a line without gaps has an area."""
    largest = max((v for v in values if v is not None), default=0) or 1
    steps = max(len(values) - 1, 1)
    points = [
        (index / steps, 2 + (SPARK_HEIGHT - 3) * (1 - value / largest))
        if value is not None
        else None
        for index, value in enumerate(values)
    ]
    line, _ = trace(points, width=SPARK_WIDTH)
    complete = line and None not in values
    area = f"{line}L{SPARK_WIDTH} {SPARK_HEIGHT}L0 {SPARK_HEIGHT}Z" if complete else ""
    return Spark(line, area)


def share(value: int, maximum: int) -> str:
    """How full a meter is, as a width between 0% and 100%."""
    return percent(min(max(value / maximum, 0), 1)) if maximum > 0 else "0%"


def _latency_or_dash(value: int | None) -> str:
    return "—" if value is None else format_latency(value)
