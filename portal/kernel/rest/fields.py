"""Serializer fields for amounts, which travel as strings: no client's float ever rounds money."""

import re
from datetime import date, datetime
from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

MAX_TOKENS_DIGITS = 15
MAX_COUNT = 1_000_000_000
_MOMENT = re.compile(
    r"20[0-9]{2}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})",
    re.ASCII,
)
_DAY = re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}", re.ASCII)
_TOKENS = re.compile(rf"(0|[1-9][0-9]{{0,{MAX_TOKENS_DIGITS - 1}}})(\.[0-9]{{1,3}})?", re.ASCII)


def format_decimal_tokens(millitokens: int) -> str:
    """Wallet tokens as a decimal string without trailing zeros: ``"12.345"``, ``"-3"``."""
    sign = "-" if millitokens < 0 else ""
    whole, rest = divmod(abs(millitokens), 1000)
    return f"{sign}{whole}" + (f".{rest:03d}".rstrip("0") if rest else "")


@extend_schema_field(
    {
        "type": "string",
        "pattern": r"^-?(0|[1-9][0-9]{0,15})(\.[0-9]{1,3})?$",
        "examples": ["12.345"],
    }
)
class TokensField(serializers.Field):
    """Wallet tokens as a decimal string of at most three places; in Python millitokens."""

    default_error_messages = {
        "not_text": _('Write tokens as a string, such as "12.5".'),
        "not_tokens": _('Write tokens as digits with at most three decimals, such as "12.5".'),
    }

    def to_internal_value(self, data: Any) -> int:
        if not isinstance(data, str):
            self.fail("not_text")
        if not _TOKENS.fullmatch(data):
            self.fail("not_tokens")
        whole, _dot, rest = data.partition(".")
        return int(whole) * 1000 + int(rest.ljust(3, "0") or 0)

    def to_representation(self, value: int) -> str:
        return format_decimal_tokens(value)


@extend_schema_field({"type": "string", "pattern": "^-?[0-9]{1,19}$", "examples": ["5000"]})
class IntegerTextField(serializers.Field):
    """A whole amount (minor units of a currency) as a string; read only."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "read_only": True})

    def to_representation(self, value: int) -> str:
        return str(value)


class CountField(serializers.IntegerField):
    """A number of things, such as model tokens: a JSON integer from 0 to a thousand million."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"min_value": 0, "max_value": MAX_COUNT, **kwargs})

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("invalid")
        return data


class TextField(serializers.CharField):
    """A text that must be a JSON string: numbers are not quietly turned into text."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class MomentField(serializers.DateTimeField):
    """RFC 3339 with its offset, in years that every database can turn into UTC."""

    default_error_messages = {
        "not_moment": _("Write the time as 2026-10-01T14:05:00Z, with seconds and offset."),
    }

    def to_internal_value(self, data: Any) -> datetime:
        moment = read_moment(data)
        if moment is None:
            self.fail("not_moment")
        return moment


def read_moment(text: Any) -> datetime | None:
    """The aware time that an RFC 3339 text names, else None."""
    if not isinstance(text, str) or not _MOMENT.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text.upper())
    except ValueError:
        return None


def read_day(text: Any) -> date | None:
    """The day that ``2026-10-01`` names, else None."""
    if not isinstance(text, str) or not _DAY.fullmatch(text):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


class DayField(serializers.DateField):
    """A calendar day as ``2026-10-01``."""

    default_error_messages = {"not_day": _("Write the day as 2026-10-01.")}

    def to_internal_value(self, value: Any) -> date:
        day = read_day(value)
        if day is None:
            self.fail("not_day")
        return day


class BooleanField(serializers.BooleanField):
    """true or false, not "yes" or 1."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class StrictSerializer(serializers.Serializer):
    """Refuses members that it does not know, since a misspelt one would be ignored in silence."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict):
            unknown = [name for name in data if name not in self.fields]
            if unknown:
                message = _("There is no such member here.")
                raise serializers.ValidationError(
                    {name: [message] for name in unknown}, code="unknown_member"
                )
        return super().to_internal_value(data)
