"""Axes: round ticks from zero, days that are labelled, numbers as SVG attributes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

PLOT_TOP = 8
PLOT_HEIGHT = 180
PLOT_BOTTOM = PLOT_TOP + PLOT_HEIGHT
CHART_HEIGHT = PLOT_BOTTOM + 28
MOST_DAY_LABELS = 7
_ROUND_STEPS = (1, 2, 5, 10)


@dataclass(frozen=True)
class Tick:
    """A horizontal line with its value."""

    value: int
    y: str
    label: str


@dataclass(frozen=True)
class DayLabel:
    """A date below the axis; on phones only those that are not ``minor`` are shown."""

    x: str
    text: str
    minor: bool
    place: str


def number(value: float) -> str:
    """A coordinate: at most two decimals, a point whatever the language."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def percent(value: float) -> str:
    """A position or width along the time axis, as a share of the plot."""
    return f"{value * 100:.3f}".rstrip("0").rstrip(".") + "%"


def round_ticks(largest: int, at_most: int = 4) -> list[int]:
    """Zero and up to ``at_most`` round values, the last not below ``largest``."""
    if largest <= 0:
        return [0, 1]
    magnitude = 1
    while True:
        for factor in _ROUND_STEPS:
            step = factor * magnitude
            if step * at_most >= largest:
                steps = -(-largest // step)
                return [step * i for i in range(steps + 1)]
        magnitude *= 10


def height_of(value: int, top: int) -> float:
    """The pixels of a value on an axis from zero to ``top``."""
    return PLOT_HEIGHT * value / top


def day_labels(days: Sequence[date]) -> list[DayLabel]:
    """At most seven dates at equal distances, counted back from the last day."""
    if not days:
        return []
    every = -(-len(days) // MOST_DAY_LABELS)
    labels = []
    for order, index in enumerate(range(len(days) - 1, -1, -every)):
        centre = (index + 0.5) / len(days)
        labels.append(
            DayLabel(
                x=percent(centre),
                text=f"{days[index]:%m-%d}",
                minor=order % 3 != 0,
                place="middle",
            )
        )
    return labels[::-1]
