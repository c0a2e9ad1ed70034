"""Reading a body: bounded, UTF-8, JSON as the standard has it; and always answering in JSON."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ParseError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from portal.kernel.rest.problems import BodyTooLarge

MAX_BODY_BYTES = 1024 * 1024
MAX_DEPTH = 32


class BoundedJSONParser(BaseParser):
    """``application/json`` up to 1 MB and 32 levels deep; without NaN, Infinity or NUL."""

    media_type = "application/json"

    def parse(
        self,
        stream: Any,
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """The document; raises ``ParseError`` (400) or ``BodyTooLarge`` (413)."""
        raw = stream.read(MAX_BODY_BYTES + 1)
        if len(raw) > MAX_BODY_BYTES:
            raise BodyTooLarge()
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ParseError(_("The body is not UTF-8.")) from error
        if _depth(text) > MAX_DEPTH:
            raise ParseError(_("The body is nested too deeply."))
        try:
            document = json.loads(text, parse_constant=_refuse_constant)
        except ValueError as error:
            raise ParseError(_("The body is not JSON.")) from error
        _refuse_unstorable_text(document)
        return document


class AlwaysJson(BaseContentNegotiation):
    """There is one format, so nobody has to ask for it."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        kind = (request.content_type or "").partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == kind), None)

    def select_renderer(
        self,
        request: Request,
        renderers: Iterable[BaseRenderer],
        format_suffix: str | None = None,
    ) -> tuple[BaseRenderer, str]:
        renderer = next(iter(renderers))
        return renderer, renderer.media_type or ""


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _depth(text: str) -> int:
    """The greatest depth of brackets outside strings, without recursion."""
    depth = deepest = 0
    inside = escaped = False
    for character in text:
        if inside:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                inside = False
        elif character == '"':
            inside = True
        elif character in "[{":
            depth += 1
            deepest = max(deepest, depth)
            if deepest > MAX_DEPTH:
                return deepest
        elif character in "]}":
            depth -= 1
    return deepest


def _refuse_unstorable_text(value: Any) -> None:
    """NUL cannot be stored by PostgreSQL, a lone surrogate by nobody."""
    if isinstance(value, str):
        if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
            raise ParseError(_("A text in the body has a character that is not text."))
    elif isinstance(value, dict):
        for name, inner in value.items():
            _refuse_unstorable_text(name)
            _refuse_unstorable_text(inner)
    elif isinstance(value, list):
        for inner in value:
            _refuse_unstorable_text(inner)
