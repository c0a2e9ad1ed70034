"""The path converter of public ids: what is not shaped like one never reaches a query."""

from django.urls import register_converter

PUBLIC_ID_PATTERN = "[a-z]{3,4}_[0-9a-z]{26}"


class PublicIdConverter:
    """``<public_id:call>`` matches ``call_01jc…``; other texts are 404 before any view."""

    regex = PUBLIC_ID_PATTERN

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(PublicIdConverter, "public_id")
