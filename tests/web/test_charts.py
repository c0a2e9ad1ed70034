"""Charts: what is drawn, said and tabled is the same; colours are stable; gaps stay gaps."""

import re
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from django.template import Context, Template
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from portal.web.charts import DailyBars, LatencyLines, Quantity, Series
from portal.web.charts.bars import OTHER, colour_slots, draw_bars, largest_and_other
from portal.web.charts.lines import draw_lines, draw_spark, share
from portal.web.charts.scale import PLOT_BOTTOM, PLOT_TOP, round_ticks

FIRST = date(2026, 10, 1)
SIZES = st.integers(min_value=0, max_value=10**15)


def days(count: int) -> list[date]:
    return [FIRST + timedelta(days=offset) for offset in range(count)]


def bars(
    *values: list[int], quantity: Quantity = Quantity.TOKENS, partial: bool = False
) -> DailyBars:
    series = [Series(f"svc_{i}", f"Service {i}", list(v)) for i, v in enumerate(values)]
    return DailyBars("usage", "Tokens by day", days(len(values[0])), series, quantity, partial)


def render(tag: str, **context: object) -> str:
    return Template("{% load charts %}" + tag).render(Context(context))


@st.composite
def any_bars(draw: st.DrawFn) -> DailyBars:
    length = draw(st.integers(1, 12))
    column = st.lists(SIZES, min_size=length, max_size=length)
    return bars(*draw(st.lists(column, min_size=1, max_size=8)))


@given(any_bars())
def test_the_table_adds_up_to_what_was_given(chart: DailyBars) -> None:
    drawn = draw_bars(chart)
    given_total = sum(series.total for series in chart.series)
    assert _exact(drawn.total) == given_total
    assert sum(_exact(cell) for _, cell in drawn.totals) == given_total
    assert sum(_exact(row.total) for row in drawn.rows) == given_total
    for row in drawn.rows:
        assert sum(_exact(cell) for _, cell in row.cells) == _exact(row.total)


@given(any_bars())
def test_bars_start_at_zero_and_stay_inside_the_plot(chart: DailyBars) -> None:
    for bar in draw_bars(chart).bars:
        for segment in bar.segments:
            assert float(segment.y) >= PLOT_TOP - 0.01
        if bar.segments:
            first = bar.segments[0]
            assert float(first.y) + float(first.height) == pytest.approx(PLOT_BOTTOM, abs=0.51)


@given(st.integers(0, 10**18))
def test_ticks_are_round_few_and_reach_the_largest(largest: int) -> None:
    ticks = round_ticks(largest)
    assert ticks[0] == 0
    assert ticks[-1] >= largest
    assert 2 <= len(ticks) <= 5
    steps = {after - before for before, after in pairwise(ticks)}
    assert len(steps) == 1
    assert re.fullmatch("[125]0*", str(steps.pop()))


def test_at_most_five_series_and_the_rest_is_other() -> None:
    drawn = draw_bars(bars(*[[value, value] for value in (70, 60, 50, 40, 30, 20, 10)]))
    assert [entry.label for entry in drawn.legend] == [
        "Service 0",
        "Service 1",
        "Service 2",
        "Service 3",
        "Service 4",
        "Other",
    ]
    assert drawn.legend[-1].slot == OTHER
    assert drawn.totals[-1] == ("Other", "0.06")


def test_five_series_need_no_other_and_empty_ones_are_left_out() -> None:
    kept = largest_and_other([Series(str(n), str(n), [n]) for n in (5, 4, 3, 2, 1, 0)])
    assert [series.key for series in kept] == ["5", "4", "3", "2", "1"]


def test_a_service_keeps_its_colour_when_its_rank_changes() -> None:
    keys = ["svc_01jc8", "svc_01jd2", "svc_01jq7", "svc_01jr1"]
    first = colour_slots([Series(key, key, [n]) for n, key in enumerate(keys, 1)])
    later = colour_slots([Series(key, key, [n]) for n, key in enumerate(reversed(keys), 1)])
    assert first == later
    assert len({first[key] for key in keys}) == len(keys)


@given(st.sets(st.text(min_size=1), max_size=5))
def test_no_two_series_share_a_colour(keys: set[str]) -> None:
    keys.discard(OTHER)
    slots = colour_slots([Series(key, key, [1]) for key in keys])
    assert len({slots[key] for key in keys}) == len(keys)


def test_the_finding_is_said_in_one_sentence() -> None:
    one = draw_bars(bars([1_000_000, 3_000_000]))
    assert one.sentence == "4K tokens in all; the most, 3K, on 2026-10-02."
    several = draw_bars(bars([1_000_000, 3_000_000], [0, 1_000_000]))
    assert several.sentence == (
        "5K tokens in all, 80% of it Service 0; the most, 4K, on 2026-10-02."
    )


def test_nothing_used_is_a_sentence_without_a_drawing() -> None:
    html = render("{% daily_bars chart %}", chart=bars([0, 0]))
    assert "Nothing was used in these days." in html
    assert "<svg" not in html


def test_the_running_day_is_hatched_and_said() -> None:
    html = render("{% daily_bars chart %}", chart=bars([10, 10], partial=True))
    assert html.count('fill="url(#usage-hatch)"') == 1
    assert "The hatched day is not over yet." in html
    assert "url(#usage-hatch)" not in render("{% daily_bars chart %}", chart=bars([10, 10]))


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_the_drawing_is_well_formed_named_and_free_of_inline_style(language: str) -> None:
    chart = bars([1_500_000, 2_000_000], [5, 7], partial=True)
    latency = LatencyLines("lat", "Latency", days(3), [200, None, 300], [1, 2, 3], [4, 5, 6])
    with translation.override(language):
        html = render("{% daily_bars a %}{% latency_lines b %}", a=chart, b=latency)
    assert "style=" not in html
    tree = ElementTree.fromstring(f"<div>{html}</div>")  # noqa: S314 - our own output
    for drawing in tree.iter("svg"):
        if drawing.get("role") == "img":
            named = (drawing.get("aria-labelledby") or "").split()
            assert [drawing.find("title").get("id"), drawing.find("desc").get("id")] == named  # type: ignore[union-attr]
    numbers = re.findall(r' (?:x|y|x1|x2|y1|y2|cx|cy|width|height)="([^"]+)"', html)
    assert numbers
    assert all(re.fullmatch(r"-?\d+(\.\d+)?%?", number) for number in numbers)


def test_money_has_a_panel_of_its_own_unit() -> None:
    drawn = draw_bars(bars([1_500_000_000], quantity=Quantity.MONEY))
    assert [tick.label for tick in drawn.ticks][-1] == "$1.50"
    assert drawn.total == "$1.50"
    assert drawn.sentence == "$1.50 in all; the most, $1.50, on 2026-10-01."


def test_a_chart_refuses_what_it_cannot_draw() -> None:
    with pytest.raises(ValueError, match="not one per day"):
        DailyBars("x", "x", days(2), [Series("a", "A", [1])])
    with pytest.raises(ValueError, match="cannot go below"):
        bars([1, -1])
    with pytest.raises(ValueError, match="per day"):
        LatencyLines("x", "x", days(2), [1], [1, 2], [1, 2])


def test_latency_lines_break_where_there_is_no_data() -> None:
    chart = LatencyLines(
        "lat",
        "Latency",
        days(6),
        [100, 110, None, 120, None, 130],
        [None] * 6,
        [400, 400, 400, 400, 400, 400],
    )
    p50, p95, p99 = draw_lines(chart).lines
    assert p50.path.count("M") == 1
    assert len(p50.dots) == 2
    assert (p95.path, p95.dots) == ("", [])
    assert p99.path.count("M") == 1
    assert p99.path.count("L") == 5


def test_latency_says_what_the_last_known_day_was_like() -> None:
    chart = LatencyLines("lat", "L", days(2), [240, None], [1210, None], [2000, None])
    assert draw_lines(chart).sentence.replace("\u00a0", " ") == (
        "On 2026-10-01 half of the calls took less than 240 ms and 95% less than 1.2 s."
    )
    empty = LatencyLines("lat", "L", days(1), [None], [None], [None])
    assert draw_lines(empty).sentence == "Not enough data"
    assert "<svg" not in render("{% latency_lines chart %}", chart=empty)


def test_a_sparkline_starts_at_zero_and_keeps_its_gaps() -> None:
    assert draw_spark([1, None, 1, 2]).line.count("M") == 1
    assert draw_spark([1, None, 1, 2]).area == ""
    whole = draw_spark([0, 5, 10])
    assert whole.line.startswith("M0 23L")
    assert whole.area.endswith("Z")
    assert draw_spark([]).line == ""


@pytest.mark.parametrize(
    ("value", "maximum", "width"),
    [(0, 100, "0%"), (62, 100, "62%"), (150, 100, "100%"), (1, 3, "33.333%"), (5, 0, "0%")],
)
def test_a_meter_is_never_fuller_than_full(value: int, maximum: int, width: str) -> None:
    assert share(value, maximum) == width
    html = render("{% meter v m label='Budget' words='62% of $50' %}", v=value, m=maximum)
    assert f'width="{width}"' in html
    assert 'aria-label="Budget: 62% of $50"' in html


def test_many_days_have_few_labels_and_the_last_is_one_of_them() -> None:
    labels = draw_bars(bars([1] * 92)).day_labels
    assert len(labels) <= 7
    assert labels[-1].text == f"{days(92)[-1]:%m-%d}"
    assert not labels[-1].minor


def _exact(text: str) -> int:
    return int(Decimal(text.replace(",", "")) * 1000)
