"""Quantities as people read them: every rule of ux.md, in both languages, and what always holds."""

from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.kernel import quantities

LARGEST = 2**63 - 1  # what a ledger column can hold
millitokens = st.integers(min_value=-LARGEST, max_value=LARGEST)


@pytest.mark.parametrize(
    ("value", "english", "chinese"),
    [
        (0, "0", "0"),
        (1, "0.001", "0.001"),
        (800, "0.8", "0.8"),
        (12_345, "12.3", "12.3"),
        (999_000, "999", "999"),
        (999_499, "999", "999"),
        (999_500, "1K", "1,000"),
        (1_000_000, "1K", "1,000"),
        (1_234_000, "1.23K", "1,234"),
        (1_234_567, "1.23K", "1,235"),
        (9_999_499, "10K", "9,999"),
        (9_999_500, "10K", "1万"),
        (12_345_000, "12.3K", "1.23万"),
        (123_456_000, "123K", "12.3万"),
        (999_499_000, "999K", "99.9万"),
        (999_500_000, "1M", "100万"),
        (1_000_000_000, "1M", "100万"),
        (12_340_000_000, "12.3M", "1,234万"),
        (12_344_999_000, "12.3M", "1,234万"),
        (99_994_999_000, "100M", "9,999万"),
        (99_995_000_000, "100M", "1亿"),
        (123_000_000_000, "123M", "1.23亿"),
        (1_230_000_000_000, "1.23B", "12.3亿"),
        (123_400_000_000_000, "123B", "1,234亿"),
        (999_950_000_000_000, "1T", "1万亿"),
        (1_230_000_000_000_000, "1.23T", "1.23万亿"),
        (-12_345_000, "−12.3K", "−1.23万"),
    ],
)
def test_tokens_are_compact(value: int, english: str, chinese: str) -> None:
    assert quantities.format_tokens(value, "en") == english
    assert quantities.format_tokens(value, "zh-hans") == chinese


@given(millitokens)
def test_compact_english_is_within_half_a_unit_of_its_third_digit(value: int) -> None:
    text = quantities.format_tokens(value, "en")
    assert sum(c.isdigit() for c in text.lstrip("−0.").rstrip("KMBT")) <= 3 or "T" in text
    assert abs(_read(text) - Decimal(value) / 1000) <= max(
        abs(Decimal(value)) / 1000 / 200, Decimal("0.0005")
    )


@given(millitokens)
def test_compact_chinese_is_within_half_a_percent(value: int) -> None:
    exact = Decimal(value) / 1000
    error = abs(_read(quantities.format_tokens(value, "zh-hans")) - exact)
    assert error <= max(abs(exact) / 200, Decimal("0.0005"))


@given(millitokens.filter(bool), st.sampled_from(["en", "zh-hans"]))
def test_what_is_not_zero_is_not_shown_as_zero(value: int, language: str) -> None:
    assert _read(quantities.format_tokens(value, language)) != 0


@given(millitokens)
def test_exact_tokens_keep_every_digit(value: int) -> None:
    text = quantities.format_tokens_exact(value)
    assert Decimal(text.replace(",", "").replace("−", "-")) * 1000 == value


@given(st.integers(0, LARGEST), st.integers(0, LARGEST), st.sampled_from(["en", "zh-hans"]))
def test_more_is_never_shown_as_less(a: int, b: int, language: str) -> None:
    less, more = sorted((a, b))
    assert _read(quantities.format_tokens(less, language)) <= _read(
        quantities.format_tokens(more, language)
    )


@pytest.mark.parametrize(
    ("amount_minor", "currency", "english", "chinese"),
    [
        (5000, "USD", "$50.00", "US$50.00"),
        (123_456_789, "USD", "$1,234,567.89", "US$1,234,567.89"),
        (36_000, "CNY", "CN¥360.00", "¥360.00"),
        (5000, "JPY", "¥5,000", "JP¥5,000"),
        (1_234_567, "KWD", "KWD\u00a01,234.567", "KWD\u00a01,234.567"),
        (0, "EUR", "€0.00", "€0.00"),
        (-250, "GBP", "−£2.50", "−£2.50"),
    ],
)
def test_money_has_its_currencys_decimals(
    amount_minor: int, currency: str, english: str, chinese: str
) -> None:
    assert quantities.format_money(amount_minor, currency, "en") == english
    assert quantities.format_money(amount_minor, currency, "zh-hans") == chinese


@pytest.mark.parametrize(
    ("amount", "most_digits", "shown"),
    [
        ("0", 6, "$0.00"),
        ("0.00042", 6, "$0.00042"),
        ("0.1", 6, "$0.10"),
        ("0.1234567", 6, "$0.123457"),
        ("0.000001", 6, "$0.000001"),
        ("0.0000004", 6, "<$0.000001"),
        ("-0.0000004", 6, ">−$0.000001"),
        ("12.345", None, "$12.35"),
        ("0.004", None, "<$0.01"),
        ("0.995", None, "$1.00"),
    ],
)
def test_small_amounts_are_never_shown_as_zero(
    amount: str, most_digits: int | None, shown: str
) -> None:
    assert quantities.format_amount(Decimal(amount), "USD", "en", most_digits=most_digits) == shown


@given(st.integers(1, LARGEST), st.sampled_from(["USD", "JPY", "KWD"]), st.none() | st.just(6))
def test_no_amount_reads_as_zero(value: int, currency: str, most_digits: int | None) -> None:
    amount = quantities.money_from_millitokens(value)
    text = quantities.format_amount(amount, currency, "en", most_digits=most_digits)
    assert any(digit in text for digit in "123456789")


@pytest.mark.parametrize(
    ("per_million", "shown"),
    [("0.8", "$0.80"), ("0.125", "$0.125"), ("12", "$12.00"), ("0", "$0.00"), ("0.001", "$0.001")],
)
def test_prices_have_two_or_three_decimals(per_million: str, shown: str) -> None:
    assert quantities.format_price(Decimal(per_million), "USD", "en") == shown


@pytest.mark.parametrize(
    ("milliseconds", "shown"),
    [
        (0, "0 ms"),
        (240, "240 ms"),
        (999, "999 ms"),
        (1000, "1.0 s"),
        (1249, "1.2 s"),
        (1250, "1.3 s"),
        (99_949, "99.9 s"),
        (99_950, "100 s"),
        (3_600_000, "3,600 s"),
    ],
)
def test_latency(milliseconds: int, shown: str) -> None:
    assert quantities.format_latency(milliseconds).replace("\u00a0", " ") == shown


@pytest.mark.parametrize(
    ("basis_points", "shown"),
    [
        (9995, "99.95%"),
        (10_000, "100%"),
        (1000, "10%"),
        (1050, "10.5%"),
        (0, "0%"),
        (-25, "−0.25%"),
    ],
)
def test_percent(basis_points: int, shown: str) -> None:
    assert quantities.format_percent(basis_points) == shown


@pytest.mark.parametrize(
    ("zone", "shown"),
    [
        ("Asia/Shanghai", "2026-10-01 14:05 UTC+8"),
        ("Asia/Kolkata", "2026-10-01 11:35 UTC+5:30"),
        ("America/St_Johns", "2026-10-01 03:35 UTC−2:30"),
        ("UTC", "2026-10-01 06:05 UTC"),
        ("Europe/London", "2026-10-01 07:05 UTC+1"),
    ],
)
def test_time_is_the_organisations(zone: str, shown: str) -> None:
    moment = datetime(2026, 10, 1, 6, 5, 59, tzinfo=UTC)
    assert quantities.format_time(moment, ZoneInfo(zone)).replace("\u00a0", " ") == shown


def test_the_offset_follows_the_changing_clock() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    before = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    after = datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    assert quantities.format_time(before, berlin).replace("\u00a0", " ") == "2026-10-25 02:30 UTC+2"
    assert quantities.format_time(after, berlin).replace("\u00a0", " ") == "2026-10-25 02:30 UTC+1"


def test_a_day_is_the_organisations_day() -> None:
    late = datetime(2026, 9, 30, 20, 0, tzinfo=UTC)
    assert quantities.format_date(late, ZoneInfo("Asia/Shanghai")) == "2026-10-01"
    assert quantities.format_date(date(2026, 9, 30), ZoneInfo("Asia/Shanghai")) == "2026-09-30"


def test_a_naive_datetime_is_refused() -> None:
    with pytest.raises(ValueError, match="naive"):
        quantities.format_utc_offset(datetime(2026, 10, 1, tzinfo=UTC).replace(tzinfo=None))


def _read(text: str) -> Decimal:
    """A compact number back as a number."""
    units = {"K": 3, "M": 6, "B": 9, "T": 12, "万亿": 12, "亿": 8, "万": 4}
    text = text.replace(",", "").replace("−", "-")
    for unit, exponent in units.items():
        if text.endswith(unit):
            return Decimal(text.removesuffix(unit)).scaleb(exponent)
    return Decimal(text)
