"""Path converters: what is not shaped like a public id or month never reaches a query."""

from django.urls import register_converter

PUBLIC_ID_PATTERN = "[a-z]{3,4}_[0-9a-z]{26}"
MONTH_PATTERN = "20[0-9]{2}-(0[1-9]|1[0-2])"


class PublicIdConverter:
    """``<public_id:call>`` matches ``call_01jc…``; other texts are 404 before any view."""

    regex = PUBLIC_ID_PATTERN

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


class MonthConverter(PublicIdConverter):
    """``<month:month>`` matches ``2026-11``."""

    regex = MONTH_PATTERN


register_converter(MonthConverter, "month")
register_converter(PublicIdConverter, "public_id")
