"""How views are described in the OpenAPI document, beyond what drf-spectacular infers.

A view may declare, besides its serializers:

- ``tags``: the group it is shown in;
- ``problems``: ``{"POST": (402, 409)}``, refusals of its own; those that every route has (400 for
  input, 401, 403, 404 for a path with ids, 413 and 415 for a body, 429) are added here;
- ``repeatable``: the methods that take an ``Idempotency-Key``.
"""

from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent

from portal.kernel.rest.fields import StrictSerializer
from portal.kernel.rest.idempotency import HEADER
from portal.kernel.rest.problems import PROBLEM_TYPE, TITLES

_ERROR_SCHEMA = {
    "type": "object",
    "required": ["detail", "code"],
    "properties": {
        "pointer": {"type": "string", "description": "Where in the body (RFC 6901)."},
        "parameter": {"type": "string", "description": "Which query parameter."},
        "header": {"type": "string", "description": "Which header."},
        "detail": {"type": "string"},
        "code": {"type": "string"},
    },
}
PROBLEM_SCHEMA = {
    "type": "object",
    "description": "RFC 9457. `code` is stable; `detail` is for people and may be translated.",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {"type": "array", "items": _ERROR_SCHEMA},
    },
    "additionalProperties": True,
}
_IDEMPOTENCY_PARAMETER = {
    "name": HEADER,
    "in": "header",
    "required": True,
    "description": (
        "A key of your own for this write. The same key with the same body repeats the first "
        "answer for 24 hours; with another body it is refused (422)."
    ),
    "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"},
    "example": "7f3f2a3e-2f0a-4a56-9f0f-0b6d5d8a9c11",
}
_WAIT_HEADER = {
    "Retry-After": {
        "description": "Seconds to wait.",
        "schema": {"type": "integer", "minimum": 1},
    }
}


class ProblemAutoSchema(AutoSchema):
    """Adds problems, the idempotency header, tags, and strictness of request bodies."""

    def get_tags(self) -> list[str]:
        return list(getattr(self.view, "tags", ())) or super().get_tags()

    def _is_repeatable(self) -> bool:
        return self.method in getattr(self.view, "repeatable", ())

    def _get_parameters(self) -> list[dict[str, Any]]:
        parameters: list[dict[str, Any]] = super()._get_parameters()
        return [*parameters, _IDEMPOTENCY_PARAMETER] if self._is_repeatable() else parameters

    def _get_response_bodies(self, direction: str = "response") -> dict[str, Any]:
        responses: dict[str, Any] = super()._get_response_bodies(direction)
        for status in sorted(self._problem_statuses()):
            responses.setdefault(str(status), self._describe_problem(status))
        return responses

    def _problem_statuses(self) -> set[int]:
        statuses = {429} | set(getattr(self.view, "problems", {}).get(self.method, ()))
        if self.view.get_authenticators():
            statuses |= {401, 403}
        parameters = self._get_parameters()
        has_body = self._get_request_body() is not None
        if has_body or any(parameter["in"] != "path" for parameter in parameters):
            statuses.add(400)
        if has_body:
            statuses |= {413, 415}
        if any(parameter["in"] == "path" for parameter in parameters):
            statuses.add(404)
        if self._is_repeatable():
            statuses |= {409, 422}
        return statuses

    def _describe_problem(self, status: int) -> dict[str, Any]:
        component = ResolvedComponent(
            name="Problem",
            type=ResolvedComponent.SCHEMA,
            object="Problem",
            schema=PROBLEM_SCHEMA,
        )
        self.registry.register_on_missing(component)
        described: dict[str, Any] = {
            "description": str(TITLES[status]),
            "content": {PROBLEM_TYPE: {"schema": component.ref}},
        }
        if status == 429:
            described["headers"] = _WAIT_HEADER
        return described

    def _postprocess_serializer_schema(
        self, schema: dict[str, Any], serializer: Any, direction: str
    ) -> dict[str, Any]:
        result: dict[str, Any] = super()._postprocess_serializer_schema(
            schema, serializer, direction
        )
        if direction == "request" and isinstance(serializer, StrictSerializer):
            result["additionalProperties"] = False
        return result
