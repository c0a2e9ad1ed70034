"""Serializer fields for amounts, which travel as strings: no client's float ever rounds money."""

import re
from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

MAX_TOKENS_DIGITS = 15
MAX_COUNT = 1_000_000_000
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
