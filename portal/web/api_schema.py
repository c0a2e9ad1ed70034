"""The OpenAPI 3.1 document of everything: REST as drf-spectacular sees it, and the gateway."""

from functools import lru_cache
from typing import Any

from django.utils import translation
from drf_spectacular.generators import SchemaGenerator


def get_document() -> dict[str, Any]:
    """The document in the reader's language; drawn once per process and language."""
    return _draw(translation.get_language() or "en")


@lru_cache(maxsize=4)
def _draw(language: str) -> dict[str, Any]:
    with translation.override(language):
        document: dict[str, Any] = SchemaGenerator(urlconf="portal.web.api_urls").get_schema(
            request=None, public=True
        )
    return document
