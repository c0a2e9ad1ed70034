"""Quantities as people read them, in English and Chinese: pure, integers and Decimal only.

Tokens come in as millitokens (1/1000 token), money as minor units (cents) or as a ``Decimal`` of
the currency, time as milliseconds or aware datetimes. Rounding is half up and for display only:
whoever needs the exact value asks for ``format_tokens_exact``. ``language`` is a Django language
code; everything that does not begin with ``zh`` reads as English.
"""

from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal, localcontext
from zoneinfo import ZoneInfo

MILLITOKENS_PER_TOKEN = 1000
# One unit of the tariff currency is worth a million tokens, so a millitoken is 10⁻⁹ of it.
MILLITOKENS_PER_TARIFF_UNIT = 1_000_000_000
MINUS = "\u2212"
NO_BREAK_SPACE = "\u00a0"

ZERO_DECIMAL_CURRENCIES = frozenset(
    "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF UGX VND VUV XAF XOF XPF".split()
)
THREE_DECIMAL_CURRENCIES = frozenset("BHD IQD JOD KWD LYD OMR TND".split())

_SYMBOLS = {
    "AUD": "A$",
    "BRL": "R$",
    "CAD": "CA$",
    "CNY": "CN¥",
    "EUR": "€",
    "GBP": "£",
    "HKD": "HK$",
    "INR": "₹",
    "JPY": "¥",
    "KRW": "₩",
    "NZD": "NZ$",
    "SGD": "S$",
    "TWD": "NT$",
    "USD": "$",
    "VND": "₫",
}
_CHINESE_SYMBOLS = {**_SYMBOLS, "AUD": "AU$", "CNY": "¥", "JPY": "JP¥", "USD": "US$"}

_ENGLISH_STEPS = ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "K"), (1, ""))
_CHINESE_STEPS = ((10**12, "万亿"), (10**8, "亿"), (10**4, "万"), (1, ""))


def format_tokens(millitokens: int, language: str) -> str:
    """Three significant digits: ``999``, ``12.3K``, ``1.23B``; Chinese ``1.23万``, ``1,234万``."""
    return _compact(_divided(Decimal(millitokens), MILLITOKENS_PER_TOKEN), language)


def format_tokens_exact(millitokens: int) -> str:
    """Every digit, grouped: ``12,345.678`` (no trailing zeros)."""
    sign = MINUS if millitokens < 0 else ""
    whole, rest = divmod(abs(millitokens), MILLITOKENS_PER_TOKEN)
    return f"{sign}{whole:,}" + (f".{rest:03d}".rstrip("0") if rest else "")


def format_count(count: int, language: str) -> str:
    """A number of things (calls, model tokens), written as ``format_tokens`` writes tokens."""
    return _compact(Decimal(count), language)


def format_count_exact(count: int) -> str:
    """Every digit of a whole number, grouped: ``12,345``."""
    return f"{MINUS if count < 0 else ''}{abs(count):,}"


def minor_digits(currency: str) -> int:
    """How many decimals the currency's minor unit has (ISO 4217): USD 2, JPY 0, KWD 3."""
    if currency in ZERO_DECIMAL_CURRENCIES:
        return 0
    return 3 if currency in THREE_DECIMAL_CURRENCIES else 2


def money_from_minor(amount_minor: int, currency: str) -> Decimal:
    """Minor units as a decimal of the currency: 5000 USD is ``Decimal("50.00")``."""
    return Decimal(amount_minor).scaleb(-minor_digits(currency))


def money_from_millitokens(millitokens: int) -> Decimal:
    """What tokens are worth in the tariff currency at list price; exact, nine decimals."""
    return Decimal(millitokens).scaleb(-9)


def format_money(amount_minor: int, currency: str, language: str) -> str:
    """``$50.00``, ``CN¥360.00`` (Chinese ``¥360.00``), ``¥5,000`` where there are no cents."""
    return format_amount(money_from_minor(amount_minor, currency), currency, language)


def format_amount(
    amount: Decimal, currency: str, language: str, *, most_digits: int | None = None
) -> str:
    """An amount of the currency with its own decimals, or with more, up to ``most_digits``.

    An amount that is not zero never reads as zero: a tenth of a cent is ``<$0.01``.
    """
    least = minor_digits(currency)
    most = max(least, most_digits or least)
    smallest = Decimal(1).scaleb(-most)
    size = abs(amount)
    if amount and size < smallest:
        text = _with_symbol(f"{smallest:.{most}f}", currency, language)
        return f"<{text}" if amount > 0 else f">{MINUS}{text}"
    digits = f"{_rounded(size, -most):,.{most}f}"
    if most > least:
        kept = digits.rstrip("0")
        shortest = len(digits) - most + least
        digits = digits[: max(len(kept), shortest)].rstrip(".")
    return (MINUS if amount < 0 else "") + _with_symbol(digits, currency, language)


def format_price(per_million: Decimal, currency: str, language: str) -> str:
    """A price per 1M tokens without its unit: ``$0.80``, ``$0.125`` (at most three decimals)."""
    return format_amount(per_million, currency, language, most_digits=3)


def format_latency(milliseconds: int) -> str:
    """``240 ms``, ``1.2 s``, from 100 s on without decimals; the space does not break."""
    if milliseconds < 1000:
        return f"{milliseconds}{NO_BREAK_SPACE}ms"
    seconds = _rounded(Decimal(milliseconds) / 1000, -1 if milliseconds < 99_950 else 0)
    return f"{seconds:,f}{NO_BREAK_SPACE}s"


def format_percent(basis_points: int) -> str:
    """Hundredths of a percent as ``99.95%``, ``10%``; never rounded up to 100."""
    sign = MINUS if basis_points < 0 else ""
    whole, rest = divmod(abs(basis_points), 100)
    return f"{sign}{whole}" + (f".{rest:02d}".rstrip("0") if rest else "") + "%"


def format_time(moment: datetime, zone: ZoneInfo) -> str:
    """In the organisation's timezone: ``2026-10-01 14:05 UTC+8``, ``… UTC+5:30``, ``… UTC``."""
    local = moment.astimezone(zone)
    return f"{local:%Y-%m-%d %H:%M}{NO_BREAK_SPACE}{format_utc_offset(local)}"


def format_date(moment: datetime | date, zone: ZoneInfo) -> str:
    """The day in the organisation's timezone: ``2026-10-01``. A plain date stays as it is."""
    if isinstance(moment, datetime):
        moment = moment.astimezone(zone).date()
    return moment.isoformat()


def format_utc_offset(moment: datetime) -> str:
    """The offset of an aware datetime: ``UTC``, ``UTC+8``, ``UTC−3:30``."""
    offset = moment.utcoffset()
    if offset is None:
        raise ValueError("a naive datetime has no offset")
    minutes = int(offset.total_seconds()) // 60
    if not minutes:
        return "UTC"
    hours, rest = divmod(abs(minutes), 60)
    return f"UTC{'+' if minutes > 0 else MINUS}{hours}" + (f":{rest:02d}" if rest else "")


def _compact(value: Decimal, language: str) -> str:
    sign = MINUS if value < 0 else ""
    chinese = language.startswith("zh")
    return sign + (_compact_chinese(abs(value)) if chinese else _compact_english(abs(value)))


def _compact_english(value: Decimal) -> str:
    rounded = _significant(value)
    step, letter = next((s for s in _ENGLISH_STEPS if rounded >= s[0]), (1, ""))
    return _plain(_divided(rounded, step)) + letter


def _compact_chinese(value: Decimal) -> str:
    """In full below 1万; above, up to four whole digits of the unit (``1,234万``)."""
    for position, (step, unit) in enumerate(_CHINESE_STEPS):
        if value < step and unit:
            continue
        parts = _divided(value, step)
        shown = _rounded(parts, 0) if parts >= 100 else _significant(parts)
        if shown >= 10_000 and position:  # rounding reached the next unit: 9,999.6万 is 1亿
            shown, unit = _divided(shown, 10_000), _CHINESE_STEPS[position - 1][1]
        return _plain(shown) + unit
    raise AssertionError("the last step has no unit and always returns")


def _significant(value: Decimal) -> Decimal:
    """Three significant digits, and never more than three decimals."""
    return _rounded(value, max(value.adjusted() - 2, -3)) if value else value


def _rounded(value: Decimal, exponent: int) -> Decimal:
    with localcontext(prec=80):
        return value.quantize(Decimal(1).scaleb(exponent), rounding=ROUND_HALF_UP)


def _divided(value: Decimal, step: int) -> Decimal:
    with localcontext(prec=80):
        return value / step


def _plain(value: Decimal) -> str:
    with localcontext(prec=80):
        text = f"{value:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _with_symbol(digits: str, currency: str, language: str) -> str:
    symbols = _CHINESE_SYMBOLS if language.startswith("zh") else _SYMBOLS
    return symbols.get(currency, f"{currency}{NO_BREAK_SPACE}") + digits
