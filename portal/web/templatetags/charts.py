"""Charts in templates: ``{% load charts %}``. The data are dataclasses of ``portal.web.charts``."""

from collections.abc import Sequence
from typing import Any

from django import template

from portal.web.charts.bars import draw_bars
from portal.web.charts.data import DailyBars, LatencyLines
from portal.web.charts.lines import draw_lines, draw_spark, share
from portal.web.charts.scale import CHART_HEIGHT, PLOT_BOTTOM, PLOT_TOP

register = template.Library()

_FRAME = {"height": CHART_HEIGHT, "plot_top": PLOT_TOP, "plot_bottom": PLOT_BOTTOM}


@register.inclusion_tag("components/charts/daily_bars.html")
def daily_bars(chart: DailyBars) -> dict[str, Any]:
    """Stacked bars by day, the finding, the legend and the table."""
    return {"drawn": draw_bars(chart), **_FRAME}


@register.inclusion_tag("components/charts/latency_lines.html")
def latency_lines(chart: LatencyLines) -> dict[str, Any]:
    """p50, p95, p99 by day with gaps, the finding and the table."""
    return {"drawn": draw_lines(chart), **_FRAME}


@register.inclusion_tag("components/charts/sparkline.html")
def sparkline(values: Sequence[int | None]) -> dict[str, Any]:
    """A decorative line beside a number that says the same in words; ``None`` is a gap."""
    return {"spark": draw_spark(values)}


@register.inclusion_tag("components/charts/meter.html")
def meter(
    value: int, maximum: int, *, label: str, words: object, level: str = "none"
) -> dict[str, Any]:
    """How much of ``maximum`` is used; ``words`` say it: "62% of $50.00"."""
    return {
        "width": share(value, maximum),
        "label": label,
        "words": words,
        "level": level,
    }
