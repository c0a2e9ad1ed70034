"""What a request asks of a service beyond text, against what the service declares to support.

Only parameters of OpenAI's and OpenRouter's vocabulary are judged, and only at services that
declare any: an unknown field passes to the provider untouched, and an empty list says nothing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from django.utils.translation import gettext_lazy as _

from marketplace.catalog.selectors import CallableService
from marketplace.gateway.errors import GatewayRefusal, refuse_unsupported
from marketplace.gateway.requests import CallRequest

# Fields that say nothing without another one, and go with it.
_FOLLOWERS = {
    "tools": ("tool_choice", "parallel_tool_calls"),
    "functions": ("function_call",),
    "logprobs": ("top_logprobs",),
}
# Declared names of which each field needs one, where it is not the field's own name.
_NAMES: Mapping[str, tuple[str, ...]] = {
    "functions": ("tools",),
    "function_call": ("tool_choice",),
    "reasoning_effort": ("reasoning_effort", "reasoning"),
    "include_reasoning": ("include_reasoning", "reasoning"),
}
# A listing of OpenAI's words has one name for every format, one of OpenRouter's two.
_JSON_SCHEMA_NAMES = ("structured_outputs", "response_format")


def _is_given(value: object) -> bool:
    return value is not None and value is not False and value != [] and value != {}


def _differs_from(neutral: object) -> Callable[[object], bool]:
    """For fields with a value that asks for nothing: some clients always send it."""
    return lambda value: value is not None and value != neutral


def _is_format(value: object) -> bool:
    return isinstance(value, dict) and value.get("type") != "text"


_ASKED: Mapping[str, Callable[[Any], bool]] = {
    **dict.fromkeys(
        "temperature seed stop logit_bias tools functions structured_outputs "
        "reasoning reasoning_effort include_reasoning".split(),
        _is_given,
    ),
    # A legacy completion's number of logprobs may be 0: that of the chosen token alone.
    "logprobs": _is_given,
    **dict.fromkeys(
        "top_logprobs top_k min_p top_a frequency_penalty presence_penalty".split(),
        _differs_from(0),
    ),
    "top_p": _differs_from(1),
    "repetition_penalty": _differs_from(1),
    "tool_choice": _differs_from("auto"),
    "function_call": _differs_from("auto"),
    "response_format": _is_format,
}


def keep_supporting(
    services: Sequence[CallableService], request: CallRequest
) -> list[CallableService]:
    """The services that support all that is asked; raises GatewayRefusal when there is none.

    To a caller who wants it (``drop_unsupported``) those are given that need the least dropped;
    what a message shows or lets hear is never dropped.
    """
    able = [service for service in services if not _find_missing_medium(service, request)]
    if services and not able:
        raise _refuse_medium(services[0], request)
    missing = [find_unsupported(service, request) for service in able]
    fewest = min(map(len, missing), default=0)
    if fewest and not request.wishes.drop_unsupported:
        raise _refuse_parameter(min(missing, key=len)[0], request)
    return [service for service, fields in zip(able, missing, strict=True) if len(fields) == fewest]


def find_unsupported(service: CallableService, request: CallRequest) -> list[str]:
    """The fields that are asked for and that the service, if it declares any, does not declare."""
    return find_undeclared(service, request) if service.supported_parameters else []


def find_undeclared(service: CallableService, request: CallRequest) -> list[str]:
    """The same also of a service that declares nothing."""
    if request.operation == "embeddings":
        return []
    return [
        field
        for field in _list_asked(request.body)
        if not any(name in service.supported_parameters for name in _names_of(field, request.body))
    ]


def list_dropped(service: CallableService, request: CallRequest) -> list[str]:
    """The fields that are left away at this service, since the caller wished so."""
    if not request.wishes.drop_unsupported:
        return []
    dropped = find_unsupported(service, request)
    followers = [
        follower
        for field in dropped
        for follower in _FOLLOWERS.get(field, ())
        if follower in request.body and follower not in dropped
    ]
    return dropped + followers


def _list_asked(body: Mapping[str, Any]) -> Iterator[str]:
    for field, value in body.items():
        is_asked = _ASKED.get(field)
        if is_asked and is_asked(value) and (field != "tool_choice" or body.get("tools")):
            yield field


def _names_of(field: str, body: Mapping[str, Any]) -> tuple[str, ...]:
    if field == "response_format" and body[field].get("type") == "json_schema":
        return _JSON_SCHEMA_NAMES
    return _NAMES.get(field, (field,))


def _find_missing_medium(service: CallableService, request: CallRequest) -> str:
    """Where the first part stands that the model does not understand; empty for none."""
    known = service.input_modalities
    if known:
        for medium in request.media:
            if medium.kind not in known:
                return medium.param
    return ""


def _refuse_medium(service: CallableService, request: CallRequest) -> GatewayRefusal:
    return refuse_unsupported(
        _find_missing_medium(service, request),
        _("This model takes %(known)s, not the kind of content that is here. Nothing was charged."),
        known=", ".join(service.input_modalities),
    )


def _refuse_parameter(field: str, request: CallRequest) -> GatewayRefusal:
    return refuse_unsupported(
        request.field_names.get(field, field),
        _(
            "No service that this call may use declares to support %(name)s. Leave it out, choose "
            "another model, or send “tokenworks”: {“drop_unsupported”: true} to have it dropped. "
            "Nothing was charged."
        ),
        name=" / ".join(_names_of(field, request.body)),
    )
