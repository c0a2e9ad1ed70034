"""Refusals as RFC 9457 problem documents: one shape for every status of every route.

``{"type", "title", "status", "detail", "code"}`` always; ``errors`` lists what is wrong with the
input, each with a ``pointer`` into the body (RFC 6901) or the name of a query ``parameter`` or
``header``. ``type`` leads to the explanation of the code on the API's docs page.
"""

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import structlog
from django.conf import settings
from django.core.exceptions import (
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
    ValidationError,
)
from django.core.signals import got_request_exception
from django.db import OperationalError
from django.http import Http404, UnreadablePostError
from django.utils.translation import gettext_lazy as _
from rest_framework import exceptions
from rest_framework.fields import get_error_detail
from rest_framework.response import Response

from portal.kernel.errors import DomainError

PROBLEM_TYPE = "application/problem+json"
DOCS_PATH = "/docs/api/"
BUSY_SECONDS = 2
logger = logging.getLogger(__name__)

STATUS_OF_KIND = {
    "not_found": 404,
    "forbidden": 403,
    "conflict": 409,
    "rejected": 400,
    "unpaid": 402,
    "limited": 429,
    "unavailable": 503,
}
TITLES = {
    400: _("The request cannot be accepted"),
    401: _("No usable key"),
    402: _("Not enough tokens"),
    403: _("Not allowed"),
    404: _("Not found"),
    405: _("Method not allowed"),
    406: _("Not acceptable"),
    409: _("Conflict with the present state"),
    413: _("Body too large"),
    415: _("Unsupported media type"),
    422: _("The key was used for another request"),
    429: _("Too many requests"),
    500: _("Something went wrong here"),
    503: _("Not available now"),
}
_RESERVED = frozenset({"type", "title", "status", "detail", "code", "errors", "request_id"})


class BodyTooLarge(exceptions.APIException):
    """The body is larger than this route reads."""

    status_code = 413
    default_code = "body_too_large"
    default_detail = _("The body is larger than this route accepts; nothing was read or changed.")


class ParameterError(exceptions.ValidationError):
    """What is wrong with query parameters, by name."""

    located_by = "parameter"


class HeaderError(exceptions.ValidationError):
    """What is wrong with request headers, by name."""

    located_by = "header"


def problem_response(exc: Exception, context: Mapping[str, Any]) -> Response:
    """DRF's exception handler: every exception of an API view becomes a problem document."""
    if isinstance(exc, DomainError):
        return _domain_problem(exc)
    exc = _translated(exc)
    if isinstance(exc, exceptions.APIException):
        return _framework_problem(exc)
    if isinstance(exc, OperationalError):
        logger.exception("the database did not answer in time")
        return problem(
            503,
            "busy",
            _("The database is busy. Nothing was changed by this request; please repeat it."),
            headers={"Retry-After": str(BUSY_SECONDS)},
        )
    # As Django does for its own views: logged in full, told to whoever listens, shown to nobody.
    request = context.get("request")
    logger.error("unhandled error in an API view", exc_info=exc)
    got_request_exception.send(sender=None, request=getattr(request, "_request", request))
    return problem(
        500,
        "internal_error",
        _("This is our fault and has been logged. Please quote the request id if you write to us."),
    )


def problem(
    status: int,
    code: str,
    detail: object,
    *,
    title: object = "",
    errors: list[dict[str, str]] | None = None,
    data: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A response that says what happened; ``data`` becomes further members of the document."""
    body: dict[str, Any] = {
        "type": f"{settings.SITE_URL}{DOCS_PATH}#{code}",
        "title": str(title or TITLES.get(status, TITLES[400])),
        "status": status,
        "detail": str(detail),
        "code": code,
    }
    if request_id := structlog.contextvars.get_contextvars().get("request_id"):
        body["request_id"] = str(request_id)
    if errors:
        body["errors"] = errors
    body |= {name: value for name, value in (data or {}).items() if name not in _RESERVED}
    return Response(body, status=status, headers=dict(headers or {}), content_type=PROBLEM_TYPE)


def _domain_problem(exc: DomainError) -> Response:
    """``data["fields"]`` (reasons by field) or ``data["field"]`` become located errors."""
    data = dict(exc.data)
    fields = data.pop("fields", None) or {}
    if field := data.pop("field", None):
        fields = {field: [exc.message]}
    errors = [
        {"pointer": f"/{name}", "detail": str(reason), "code": exc.code}
        for name, reasons in fields.items()
        for reason in reasons
    ]
    wait = data.get("retry_after")
    return problem(
        STATUS_OF_KIND.get(exc.kind, 400),
        exc.code,
        exc.message,
        errors=errors,
        data=data,
        headers={"Retry-After": str(wait)} if wait else {},
    )


def _translated(exc: Exception) -> Exception:
    """Django's own refusals as those of the framework that the rest of this file speaks."""
    if isinstance(exc, Http404):
        return exceptions.NotFound()
    if isinstance(exc, PermissionDenied):
        return exceptions.PermissionDenied()
    if isinstance(exc, RequestDataTooBig):
        return BodyTooLarge()
    if isinstance(exc, SuspiciousOperation | UnreadablePostError):
        return exceptions.ParseError()
    if isinstance(exc, ValidationError):
        return exceptions.ValidationError(get_error_detail(exc))
    return exc


def _framework_problem(exc: exceptions.APIException) -> Response:
    headers = {}
    if auth_header := getattr(exc, "auth_header", None):
        headers["WWW-Authenticate"] = auth_header
    if (wait := getattr(exc, "wait", None)) is not None:
        headers["Retry-After"] = str(max(1, int(wait)))
    if isinstance(exc, exceptions.ValidationError):
        located_by = getattr(exc, "located_by", "pointer")
        return problem(
            exc.status_code,
            "invalid_input",
            _("Some of the input cannot be accepted; nothing was changed. See errors."),
            errors=list(_located_errors(exc.detail, located_by)),
        )
    detail = exc.detail
    return problem(
        exc.status_code, getattr(detail, "code", exc.default_code), detail, headers=headers
    )


def _located_errors(detail: Any, located_by: str, path: str = "") -> Iterator[dict[str, str]]:
    """Flatten DRF's nested errors; errors of a whole object point to the object."""
    if isinstance(detail, Mapping):
        for name, inner in detail.items():
            own = name in {"non_field_errors", "__all__"}
            step = str(name).replace("~", "~0").replace("/", "~1")
            yield from _located_errors(inner, located_by, path if own else f"{path}/{step}")
    elif isinstance(detail, list):
        for position, inner in enumerate(detail):
            nested = isinstance(inner, Mapping | list)
            yield from _located_errors(inner, located_by, f"{path}/{position}" if nested else path)
    else:
        where = path if located_by == "pointer" else path.strip("/")
        yield {
            located_by: where,
            "detail": str(detail),
            "code": getattr(detail, "code", "") or "invalid",
        }
