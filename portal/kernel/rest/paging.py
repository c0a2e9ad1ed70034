"""Paging by keyset: a page starts after the last row of the one before.

Rows that come or go meanwhile neither repeat nor hide others, and page 10,000 costs as much as
page 1. The cursor is encrypted and bound to its route, so it tells nothing and cannot be forged.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson
from cryptography.fernet import InvalidToken
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from portal.kernel.encryption import decrypt, encrypt
from portal.kernel.rest.problems import ParameterError

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
MAX_CURSOR_CHARACTERS = 2000


class KeysetPagination(BasePagination):
    """Answers ``{"data": [...], "next_cursor": "…" or null}``.

    The view names its order in ``keyset``: fields or annotations that are never null, as in
    ``order_by``, of which the last is unique.
    """

    def paginate_queryset(
        self, queryset: Any, request: Request, view: APIView | None = None
    ) -> list[Any]:
        """At most ``limit`` rows of a queryset after the cursor; notes whether there are more."""
        self.keyset: Sequence[str] = getattr(view, "keyset", ("-id",))
        self.route = request.path
        limit = _read_limit(request)
        queryset = queryset.order_by(*self.keyset)
        if cursor := request.query_params.get("cursor"):
            queryset = queryset.filter(_after(self.keyset, _read_cursor(cursor, self.route)))
        rows = list(queryset[: limit + 1])
        self.next_cursor = self._cursor_at(rows[limit - 1]) if len(rows) > limit else None
        return rows[:limit]

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"data": data, "next_cursor": self.next_cursor})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": "object",
            "required": ["data", "next_cursor"],
            "properties": {
                "data": schema,
                "next_cursor": {
                    "type": ["string", "null"],
                    "description": "Pass it as `cursor` for the next page; null on the last one.",
                    "example": "gAAAAABpH1c0…",
                },
            },
        }

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        return [
            {
                "name": "limit",
                "in": "query",
                "description": "How many items a page has.",
                "schema": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": MAX_LIMIT,
                    "default": DEFAULT_LIMIT,
                },
            },
            {
                "name": "cursor",
                "in": "query",
                "description": "The `next_cursor` of the page before, with the same filters.",
                "schema": {"type": "string", "maxLength": MAX_CURSOR_CHARACTERS},
            },
        ]

    def _cursor_at(self, row: Any) -> str:
        values = [_packed(getattr(row, name.lstrip("-"))) for name in self.keyset]
        return encrypt(orjson.dumps([self.route, values]).decode())


def _read_limit(request: Request) -> int:
    text = request.query_params.get("limit", str(DEFAULT_LIMIT))
    if text.isascii() and text.isdecimal() and len(text) <= 4 and 1 <= int(text) <= MAX_LIMIT:
        return int(text)
    message = _("Give a whole number from 1 to %(most)d.") % {"most": MAX_LIMIT}
    raise ParameterError({"limit": [message]}, code="out_of_range")


def _read_cursor(cursor: str, route: str) -> list[Any]:
    try:
        if len(cursor) > MAX_CURSOR_CHARACTERS:
            raise ValueError("longer than any cursor")
        made_for, values = orjson.loads(decrypt(cursor))
        if made_for != route:
            raise ValueError("a cursor of another list")
    except (InvalidToken, ValueError, TypeError) as error:
        message = _("This is not a cursor of this list. Start again without one.")
        raise ParameterError({"cursor": [message]}, code="unknown_cursor") from error
    return [_unpacked(value) for value in values]


def _after(keyset: Sequence[str], values: Sequence[Any]) -> Q:
    """Rows strictly after the one with these values; the first term lets an index be used."""
    after, equal = Q(), Q()
    for name, value in zip(keyset, values, strict=True):
        field, comparison = name.lstrip("-"), "lt" if name.startswith("-") else "gt"
        after |= equal & Q(**{f"{field}__{comparison}": value})
        equal &= Q(**{field: value})
    first, descending = keyset[0].lstrip("-"), keyset[0].startswith("-")
    return Q(**{f"{first}__{'lte' if descending else 'gte'}": values[0]}) & after


def _packed(value: Any) -> Any:
    return {"at": value.isoformat()} if isinstance(value, datetime) else value


def _unpacked(value: Any) -> Any:
    return datetime.fromisoformat(value["at"]) if isinstance(value, dict) else value
