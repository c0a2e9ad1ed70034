"""Numbers in templates (built in: no ``{% load %}``). A missing value is "—", never 0.

Amounts of tokens come as integer millitokens, money as minor units, prices as wallet millitokens
per model token (as a price version keeps them).
The language is the active one; the timezone is the organisation's and always given.
"""

from datetime import date, datetime
from decimal import Decimal
from typing import Protocol
from zoneinfo import ZoneInfo

from django import template
from django.conf import settings
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language, gettext, ngettext

from portal.kernel import quantities

register = template.Library()

DASH = "—"
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


def _language() -> str:
    return get_language() or settings.LANGUAGE_CODE


@register.filter
def tokens(millitokens: int | None) -> str:
    """``{{ lot.remaining_millitokens|tokens }}`` → ``12.3K``."""
    return DASH if millitokens is None else quantities.format_tokens(millitokens, _language())


@register.filter
def tokens_exact(millitokens: int | None) -> str:
    """``12,345.678``."""
    return DASH if millitokens is None else quantities.format_tokens_exact(millitokens)


@register.simple_tag
def token_amount(millitokens: int | None, *, unit: bool = False) -> SafeString | str:
    """``12.3K`` (with ``unit=True``: ``12.3K tokens``), the exact value in its title."""
    if millitokens is None:
        return DASH
    exact = quantities.format_tokens_exact(millitokens)
    text = quantities.format_tokens(millitokens, _language())
    return format_html(
        '<data class="number" value="{}" title="{}">{}</data>',
        exact.replace(",", "").replace(quantities.MINUS, "-"),
        gettext("%(amount)s tokens") % {"amount": exact},
        gettext("%(amount)s tokens") % {"amount": text} if unit else text,
    )


@register.filter
def count(number: int | None) -> str:
    """A number of things, compact: ``1.2M``."""
    return DASH if number is None else quantities.format_count(number, _language())


@register.filter
def count_exact(number: int | None) -> str:
    """A number of things, every digit: ``1,204``."""
    return DASH if number is None else quantities.format_count_exact(number)


@register.simple_tag
def count_amount(number: int | None) -> SafeString | str:
    """The compact number with every digit in its title."""
    if number is None:
        return DASH
    return format_html(
        '<data class="number" value="{}" title="{}">{}</data>',
        number,
        quantities.format_count_exact(number),
        quantities.format_count(number, _language()),
    )


@register.filter
def money(amount_minor: int | None, currency: str = "") -> str:
    """``{{ order.amount_minor|money:order.currency }}`` → ``$50.00``."""
    if amount_minor is None:
        return DASH
    currency = currency or settings.TARIFF_CURRENCY
    return quantities.format_money(amount_minor, currency, _language())


@register.filter
def tokens_as_money(millitokens: int | None) -> str:
    """What tokens are worth in the tariff currency: ``$12.35``; not zero is never ``$0.00``."""
    if millitokens is None:
        return DASH
    amount = quantities.money_from_millitokens(millitokens)
    return quantities.format_amount(amount, settings.TARIFF_CURRENCY, _language())


@register.filter
def call_cost(millitokens: int | None) -> str:
    """One call's charge in the tariff currency, up to six decimals: ``$0.00042``, ``$0.00``."""
    if millitokens is None:
        return DASH
    amount = quantities.money_from_millitokens(millitokens)
    return quantities.format_amount(
        amount, settings.TARIFF_CURRENCY, _language(), most_digits=6
    )


@register.filter
def price(millitokens_per_token: int | None) -> str:
    """``$0.80``, for columns whose header says "per 1M tokens".

    A price version keeps wallet millitokens per model token; 800 of them are 0.80 per 1M.
    """
    if millitokens_per_token is None:
        return DASH
    per_million = Decimal(millitokens_per_token).scaleb(-3)
    return quantities.format_price(per_million, settings.TARIFF_CURRENCY, _language())


@register.filter
def price_per_million(millitokens_per_token: int | None) -> str:
    """``$0.80 / 1M tokens``."""
    if millitokens_per_token is None:
        return DASH
    return gettext("%(price)s / 1M tokens") % {"price": price(millitokens_per_token)}


@register.filter
def latency(milliseconds: int | None) -> str:
    """``240 ms``, ``1.2 s``."""
    return DASH if milliseconds is None else quantities.format_latency(milliseconds)


@register.filter
def percent(basis_points: int | None) -> str:
    """Hundredths of a percent: 9995 → ``99.95%``."""
    return DASH if basis_points is None else quantities.format_percent(basis_points)


@register.filter
def local_time(moment: datetime | None, timezone: str | ZoneInfo = "UTC") -> SafeString | str:
    """``{{ call.started_at|local_time:organisation.timezone }}`` → ``2026-10-01 14:05 UTC+8``."""
    if moment is None:
        return DASH
    text = quantities.format_time(moment, _zone(timezone))
    return format_html('<time datetime="{}">{}</time>', moment.isoformat(), text)


@register.filter
def local_date(moment: datetime | date | None, timezone: str | ZoneInfo = "UTC") -> SafeString | str:
    """The day in the organisation's timezone: ``2026-10-01``."""
    if moment is None:
        return DASH
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
