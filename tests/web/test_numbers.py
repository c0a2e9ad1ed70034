"""Numbers in templates: the active language, the tariff currency, and "—" for what is missing."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from django.template import Context, Template
from django.utils import translation


@dataclass(frozen=True)
class Forecast:
    days: int
    low: int
    high: int


def render(source: str, **context: Any) -> str:
    return Template(source).render(Context(context)).replace("\u00a0", " ")


@pytest.mark.parametrize(
    ("source", "value", "english", "chinese"),
    [
        ("{{ x|tokens }}", 12_345_678, "12.3K", "1.23万"),
        ("{{ x|tokens_exact }}", 12_345_678, "12,345.678", "12,345.678"),
        ("{{ x|count }}", 1_204_000, "1.2M", "120万"),
        ("{{ x|count_exact }}", 1204, "1,204", "1,204"),
        ("{{ x|money:'CNY' }}", 36_000, "CN¥360.00", "¥360.00"),
        ("{{ x|money }}", 5000, "$50.00", "US$50.00"),
        ("{{ x|tokens_as_money }}", 12_345_678_901, "$12.35", "US$12.35"),
        ("{{ x|tokens_as_money }}", 1000, "&lt;$0.01", "&lt;US$0.01"),
        ("{{ x|call_cost }}", 420_000, "$0.00042", "US$0.00042"),
        ("{{ x|call_cost }}", 0, "$0.00", "US$0.00"),
        ("{{ x|price }}", 800, "$0.80", "US$0.80"),
        ("{{ x|price }}", 125, "$0.125", "US$0.125"),
        ("{{ x|latency }}", 1210, "1.2 s", "1.2 s"),
        ("{{ x|percent }}", 9995, "99.95%", "99.95%"),
    ],
)
def test_filters_write_in_the_active_language(
    source: str, value: int, english: str, chinese: str
) -> None:
    with translation.override("en"):
        assert render(source, x=value) == english
    with translation.override("zh-hans"):
        assert render(source, x=value) == chinese


@pytest.mark.parametrize(
    "source",
    [
        "{{ x|tokens }}",
        "{{ x|tokens_exact }}",
        "{% token_amount x %}",
        "{% token_amount x unit=True %}",
        "{{ x|count }}",
        "{{ x|count_exact }}",
        "{% count_amount x %}",
        "{{ x|money:'USD' }}",
        "{{ x|tokens_as_money }}",
        "{{ x|call_cost }}",
        "{{ x|price }}",
        "{{ x|price_per_million }}",
        "{{ x|latency }}",
        "{{ x|percent }}",
        "{{ x|local_time:'UTC' }}",
        "{{ x|local_date:'UTC' }}",
        "{{ x|or_dash }}",
    ],
)
def test_what_is_missing_is_a_dash_and_never_zero(source: str) -> None:
    assert render(source, x=None) == "—"
    assert render(source) == "—"


def test_a_token_amount_carries_its_exact_value() -> None:
    html = render("{% token_amount x unit=True %}", x=-12_345_678)
    assert html == (
        '<data class="number" value="-12345.678" title="−12,345.678 tokens">−12.3K tokens</data>'
    )
    assert 'title="1,204"' in render("{% count_amount x %}", x=1204)


def test_a_price_says_its_unit() -> None:
    assert render("{{ x|price_per_million }}", x=800) == "$0.80 / 1M tokens"


def test_zero_is_a_value() -> None:
    assert render("{{ x|or_dash }}", x=0) == "0"
    assert render("{{ x|tokens }}", x=0) == "0"


def test_times_are_machine_readable_too() -> None:
    moment = datetime(2026, 10, 1, 6, 5, tzinfo=UTC)
    assert render("{{ x|local_time:'Asia/Shanghai' }}", x=moment) == (
        '<time datetime="2026-10-01T06:05:00+00:00">2026-10-01 14:05 UTC+8</time>'
    )
    late = datetime(2026, 9, 30, 20, 0, tzinfo=UTC)
    assert render("{{ x|local_date:'Asia/Shanghai' }}", x=late) == (
        '<time datetime="2026-10-01">2026-10-01</time>'
    )


@pytest.mark.parametrize(
    ("forecast", "words", "level"),
    [
        (Forecast(12, 8, 17), "≈ 12 days (8–17)", "ok"),
        (Forecast(8, 8, 8), "≈ 8 days (8–8)", "ok"),
        (Forecast(7, 5, 9), "≈ 7 days (5–9)", "warn"),
        (Forecast(3, 2, 4), "≈ 3 days (2–4)", "warn"),
        (Forecast(1, 0, 2), "≈ 1 day (0–2)", "bad"),
        (Forecast(0, 0, 1), "≈ 0 days (0–1)", "bad"),
        (Forecast(365, 300, 400), "≈ 365 days (300–400)", "ok"),
        (Forecast(366, 300, 9999), "More than a year", "ok"),
        (None, "Not enough usage yet", "none"),
    ],
)
def test_run_out_in_words_and_colour(forecast: Forecast | None, words: str, level: str) -> None:
    assert render("{{ x|days_left }}", x=forecast) == words
    assert render("{{ x|run_out_level }}", x=forecast) == level
