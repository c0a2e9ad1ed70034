"""Numbers in templates (built in: no ``{% load %}``). A missing value is "—", never 0.

Amounts of tokens come as integer millitokens, money as minor units, prices as wallet millitokens
per model token (as a price version keeps them).
The language is the active one; the timezone is the organisation's and always given.
"""

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from functools import update_wrapper
from typing import Any, Concatenate, ParamSpec, Protocol
from zoneinfo import ZoneInfo

from django import template
from django.conf import settings
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language, gettext, ngettext

from portal.kernel import quantities

register = template.Library()
P = ParamSpec("P")

DASH = "—"
FAR_OFF_DAYS = 365
GREEN_OVER_DAYS = 7
RED_UNDER_DAYS = 3


class RunOut(Protocol):
    """When the spendable balance ends at the mean burn of the last seven days, in whole days."""

    @property
    def days(self) -> int: ...
    @property
    def low(self) -> int: ...
    @property
    def high(self) -> int: ...


def _dashed(write: Callable[Concatenate[Any, P], str]) -> Callable[Concatenate[Any, P], str]:
    """A missing value is "—": None, or the empty text that templates make of unknown names."""

    def write_or_dash(value: Any, /, *args: P.args, **kwargs: P.kwargs) -> str:
        return DASH if value is None or value == "" else write(value, *args, **kwargs)

    update_wrapper(write_or_dash, write)
    return write_or_dash


def _language() -> str:
    return get_language() or settings.LANGUAGE_CODE


@register.filter
@_dashed
def tokens(millitokens: int) -> str:
    """``{{ lot.remaining_millitokens|tokens }}`` → ``12.3K``."""
    return quantities.format_tokens(millitokens, _language())


@register.filter
@_dashed
def tokens_exact(millitokens: int) -> str:
    """``12,345.678``."""
    return quantities.format_tokens_exact(millitokens)


@register.simple_tag
@_dashed
def token_amount(millitokens: int, *, unit: bool = False) -> SafeString:
    """``12.3K`` (with ``unit=True``: ``12.3K tokens``), the exact value in its title."""
    exact = quantities.format_tokens_exact(millitokens)
    text = quantities.format_tokens(millitokens, _language())
    return format_html(
        '<data class="number" value="{}" title="{}">{}</data>',
        exact.replace(",", "").replace(quantities.MINUS, "-"),
        gettext("%(amount)s tokens") % {"amount": exact},
        gettext("%(amount)s tokens") % {"amount": text} if unit else text,
    )


@register.filter
@_dashed
def count(number: int) -> str:
    """A number of things, compact: ``1.2M``."""
    return quantities.format_count(number, _language())


@register.filter
@_dashed
def count_exact(number: int) -> str:
    """A number of things, every digit: ``1,204``."""
    return quantities.format_count_exact(number)


@register.simple_tag
@_dashed
def count_amount(number: int) -> SafeString:
    """The compact number with every digit in its title."""
    return format_html(
        '<data class="number" value="{}" title="{}">{}</data>',
        number,
        quantities.format_count_exact(number),
        quantities.format_count(number, _language()),
    )


@register.filter
@_dashed
def money(amount_minor: int, currency: str = "") -> str:
    """``{{ order.amount_minor|money:order.currency }}`` → ``$50.00``."""
    currency = currency or settings.TARIFF_CURRENCY
    return quantities.format_money(amount_minor, currency, _language())


@register.filter
@_dashed
def tokens_as_money(millitokens: int) -> str:
    """What tokens are worth in the tariff currency: ``$12.35``; not zero is never ``$0.00``."""
    amount = quantities.money_from_millitokens(millitokens)
    return quantities.format_amount(amount, settings.TARIFF_CURRENCY, _language())


@register.filter
@_dashed
def call_cost(millitokens: int) -> str:
    """One call's charge in the tariff currency, up to six decimals: ``$0.00042``, ``$0.00``."""
    amount = quantities.money_from_millitokens(millitokens)
    return quantities.format_amount(amount, settings.TARIFF_CURRENCY, _language(), most_digits=6)


@register.filter
@_dashed
def price(millitokens_per_token: int) -> str:
    """``$0.80``, for columns whose header says "per 1M tokens".

    A price version keeps wallet millitokens per model token; 800 of them are 0.80 per 1M.
    """
    per_million = Decimal(millitokens_per_token).scaleb(-3)
    return quantities.format_price(per_million, settings.TARIFF_CURRENCY, _language())


@register.filter
@_dashed
def price_per_million(millitokens_per_token: int) -> str:
    """``$0.80 / 1M tokens``."""
    return gettext("%(price)s / 1M tokens") % {"price": price(millitokens_per_token)}


@register.filter
@_dashed
def latency(milliseconds: int) -> str:
    """``240 ms``, ``1.2 s``."""
    return quantities.format_latency(milliseconds)


@register.filter
@_dashed
def percent(basis_points: int) -> str:
    """Hundredths of a percent: 9995 → ``99.95%``."""
    return quantities.format_percent(basis_points)


@register.filter
@_dashed
def local_time(moment: datetime, timezone: str | ZoneInfo = "UTC") -> SafeString:
    """``{{ call.started_at|local_time:organisation.timezone }}`` → ``2026-10-01 14:05 UTC+8``."""
    text = quantities.format_time(moment, _zone(timezone))
    return format_html('<time datetime="{}">{}</time>', moment.isoformat(), text)


@register.filter
@_dashed
def local_date(moment: datetime | date, timezone: str | ZoneInfo = "UTC") -> SafeString:
    """The day in the organisation's timezone: ``2026-10-01``."""
    text = quantities.format_date(moment, _zone(timezone))
    return format_html('<time datetime="{}">{}</time>', text, text)


@register.filter
def or_dash(value: object) -> object:
    """The value; "—" where it is missing or empty. Zero is a value."""
    return DASH if value is None or value == "" else value


@register.filter
def days_left(run_out: RunOut | None) -> str:
    """``≈ 12 days (8–17)``; ``Not enough usage yet`` before three active days."""
    if not run_out:
        return gettext("Not enough usage yet")
    if run_out.days > FAR_OFF_DAYS:
        return gettext("More than a year")
    return ngettext(
        "≈ %(days)s day (%(low)s–%(high)s)", "≈ %(days)s days (%(low)s–%(high)s)", run_out.days
    ) % {
        "days": quantities.format_count_exact(run_out.days),
        "low": quantities.format_count_exact(run_out.low),
        "high": quantities.format_count_exact(run_out.high),
    }


@register.filter
def run_out_level(run_out: RunOut | None) -> str:
    """``ok`` over 7 days, ``warn`` from 3 to 7, ``bad`` under 3, ``none`` without a forecast."""
    if not run_out:
        return "none"
    if run_out.days > GREEN_OVER_DAYS:
        return "ok"
    return "bad" if run_out.days < RED_UNDER_DAYS else "warn"


def _zone(timezone: str | ZoneInfo) -> ZoneInfo:
    return timezone if isinstance(timezone, ZoneInfo) else ZoneInfo(timezone or "UTC")
