"""The OpenAPI 3.1 document of everything: REST as drf-spectacular sees it, and the gateway."""

from functools import lru_cache
from typing import Any

from django.conf import settings
from django.utils import translation
from drf_spectacular.generators import SchemaGenerator

from portal.web import api_gateway, api_gateway_schemas

DESCRIPTION = """\
One key opens the OpenAI-compatible gateway (`/v1`) and the REST of your organisation
(`/api/v1`); providers have keys and routes of their own (`/api/provider/v1`).

**Amounts are strings.** Wallet tokens are decimals of at most three places ("12.345"), money is
in minor units ("5000" is $50.00). Counts of model tokens are integers.

**Writes that make something take an `Idempotency-Key`.** The same key with the same body repeats
the first answer for 24 hours, with another body it is refused (422). While the first request
runs, a second one is answered 409.

**Lists are paged by cursor.** Pass `next_cursor` back as `cursor`; rows that come meanwhile
neither repeat nor hide others.

**Errors are problem documents** (RFC 9457) with a stable `code`; the gateway's have OpenAI's
shape. **Rates** are counted per key, reads and writes apart; 429 says how long to wait.

**Changes.** Within a version, members and routes are only added. What will go is announced here
and answered with a `Deprecation` header for at least six months before.
"""
TAGS = {
    api_gateway.TAG: "What calls models. Any OpenAI client works with this base URL and a key.",
    "Organisation": "Who the key belongs to.",
    "Wallet": "Balances, lots in the order they burn, and the entries behind them.",
    "Calls and usage": "Every call with the arithmetic of its cost, and sums by day.",
    "Budgets": "What may be spent in a period, and how much of it is used.",
    "Packs and orders": "What is on sale, and ordering it; a person pays.",
    "Refunds": "What is unused goes back; staff decide.",
    "Invoices and statements": "Invoices, credit notes and monthly statements, also as PDF.",
    "Direct mode": "Grants for calling a provider's own endpoint.",
    "Provider: services": "A provider's own listings, prices and reviews.",
    "Provider: calls and earnings": "What was called and earned; callers under a pseudonym.",
    "Provider: direct mode": "Holds on a tenant's grant, and the usage that captures them.",
}


def add_gateway(result: dict[str, Any], **_context: Any) -> dict[str, Any]:
    """drf-spectacular's hook after drawing: the gateway's routes first, tags in reading order."""
    result["info"]["description"] = DESCRIPTION
    result["servers"] = [{"url": settings.SITE_URL}]
    result["tags"] = [{"name": name, "description": words} for name, words in TAGS.items()]
    result["paths"] = api_gateway.build_paths() | result["paths"]
    result["components"]["schemas"] |= api_gateway_schemas.SCHEMAS
    return result


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
