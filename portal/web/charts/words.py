"""Charts in words: values as people read them and the one sentence that says the finding."""

from collections.abc import Sequence

from django.conf import settings
from django.utils.translation import get_language, gettext

from portal.kernel import quantities
from portal.web.charts.data import DailyBars, LatencyLines, Quantity, Series


def written(value: int, quantity: Quantity) -> str:
    """Compact, for axes and legends."""
    language = get_language() or settings.LANGUAGE_CODE
    if quantity is Quantity.TOKENS:
        return quantities.format_tokens(value, language)
    if quantity is Quantity.COUNT:
        return quantities.format_count(value, language)
    amount = quantities.money_from_millitokens(value)
    return quantities.format_amount(amount, settings.TARIFF_CURRENCY, language)


def exact(value: int, quantity: Quantity) -> str:
    """Every digit, for tables whose totals must add up."""
    if quantity is Quantity.TOKENS:
        return quantities.format_tokens_exact(value)
    if quantity is Quantity.COUNT:
        return quantities.format_count_exact(value)
    language = get_language() or settings.LANGUAGE_CODE
    amount = quantities.money_from_millitokens(value)
    return quantities.format_amount(amount, settings.TARIFF_CURRENCY, language, most_digits=9)


def finding_of_bars(chart: DailyBars, series: Sequence[Series], day_totals: Sequence[int]) -> str:
    """The total, the busiest day, and the largest part where there are several."""
    total = sum(day_totals)
    if not total:
        return gettext("Nothing was used in these days.")
    busiest = max(range(len(day_totals)), key=day_totals.__getitem__)
    facts = {
        "total": _with_unit(total, chart.quantity),
        "day": chart.days[busiest].isoformat(),
        "most": written(day_totals[busiest], chart.quantity),
    }
    if len(series) < 2:
        return gettext("%(total)s in all; the most, %(most)s, on %(day)s.") % facts
    largest = max(series, key=lambda s: s.total)
    facts |= {
        "label": largest.label,
        "share": quantities.format_percent(largest.total * 100 // total * 100),
    }
    return (
        gettext("%(total)s in all, %(share)s of it %(label)s; the most, %(most)s, on %(day)s.")
        % facts
    )


def finding_of_latency(chart: LatencyLines) -> str:
    """The latest day with data: what half and what nearly all calls took."""
    for index in range(len(chart.days) - 1, -1, -1):
        half, most = chart.p50[index], chart.p95[index]
        if half is not None and most is not None:
            return gettext(
                "On %(day)s half of the calls took less than %(half)s and 95%% less than %(most)s."
            ) % {
                "day": chart.days[index].isoformat(),
                "half": quantities.format_latency(half),
                "most": quantities.format_latency(most),
            }
    return gettext("Not enough data")


def _with_unit(value: int, quantity: Quantity) -> str:
    text = written(value, quantity)
    if quantity is Quantity.TOKENS:
        return gettext("%(amount)s tokens") % {"amount": text}
    return text
