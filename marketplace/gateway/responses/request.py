"""A request for a response, in the words of chat.

What needs state, or a tool that the provider would have to run, is refused by name."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson
from django.utils.translation import gettext_lazy as _

from marketplace.gateway.errors import refuse_unsupported, refuse_value
from marketplace.gateway.fields import read_count, read_flag, read_list, read_object
from marketplace.gateway.requests import CallRequest, parse_chat
from marketplace.gateway.responses.items import read_transcript
from marketplace.gateway.responses.tools import read_tools

_NEEDS_STATE = ("previous_response_id", "conversation", "prompt")
# Fields of responses that chat does not have, and chat's own that responses do not.
_NOT_CHAT = frozenset(
    "input instructions max_output_tokens text reasoning store previous_response_id conversation "
    "background include truncation prompt max_tool_calls metadata top_logprobs tools tool_choice "
    "messages max_tokens max_completion_tokens n stream_options logprobs context_management".split()
)
# How callers know the fields of the chat request that is made of theirs.
_FIELD_NAMES: Mapping[str, str] = {
    "response_format": "text.format",
    "reasoning_effort": "reasoning.effort",
    "logprobs": "include",
}
_LOGPROBS = "message.output_text.logprobs"


def parse_responses(body: dict[str, Any], *, body_bytes: int) -> CallRequest:
    """Raises GatewayRefusal naming the first field that cannot be accepted."""
    _refuse_state(body)
    messages, media = read_transcript(body.get("input"), _read_instructions(body))
    chat = {name: value for name, value in body.items() if name not in _NOT_CHAT}
    chat["messages"] = messages
    if (length := read_count(body, "max_output_tokens")) is not None:
        chat["max_tokens"] = length
    chat |= read_tools(body)
    chat |= _read_format(read_object(body, "text"))
    if (effort := read_object(body, "reasoning").get("effort")) is not None:
        chat["reasoning_effort"] = effort
    if _LOGPROBS in read_list(body, "include"):
        chat["logprobs"] = True
        if (count := read_count(body, "top_logprobs", least=0)) is not None:
            chat["top_logprobs"] = count
    read_object(body, "metadata")
    # The chat request is what the provider reads: its bytes bound the prompt.
    request = parse_chat(chat, body_bytes=len(orjson.dumps(chat)))
    return replace(
        request, operation="responses", media=media, original=body, field_names=_FIELD_NAMES
    )


def _refuse_state(body: Mapping[str, Any]) -> None:
    for name in _NEEDS_STATE:
        if body.get(name) is not None:
            raise refuse_unsupported(
                name,
                _(
                    "%(name)s is not supported: answers are not kept here, so send all of the "
                    "input with each request. Nothing was charged."
                ),
                name=name,
            )
    for name in ("store", "background"):
        if read_flag(body, name):
            raise refuse_unsupported(
                name,
                _("%(name)s can only be false: answers are not kept here. Nothing was charged."),
                name=name,
            )
    for name, shortens in (
        ("truncation", body.get("truncation") not in (None, "disabled")),
        ("context_management", bool(body.get("context_management"))),
    ):
        if shortens:
            raise refuse_unsupported(
                name,
                _("%(name)s is not supported: input is never shortened here. Nothing was charged."),
                name=name,
            )


def _read_instructions(body: Mapping[str, Any]) -> str:
    instructions = body.get("instructions")
    if instructions is not None and not isinstance(instructions, str):
        raise refuse_value("instructions", _("%(name)s must be a text."), name="instructions")
    return instructions or ""


def _read_format(text: Mapping[str, Any]) -> dict[str, Any]:
    """``text`` as chat's ``response_format`` and ``verbosity``."""
    chat: dict[str, Any] = {}
    if text.get("verbosity") is not None:
        chat["verbosity"] = text["verbosity"]
    form = text.get("format")
    if form is None:
        return chat
    if not isinstance(form, dict) or form.get("type") not in ("text", "json_object", "json_schema"):
        raise refuse_value(
            "text.format", _("text.format must be of type text, json_object or json_schema.")
        )
    if form["type"] == "json_schema":
        schema = {name: value for name, value in form.items() if name != "type"}
        chat["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif form["type"] == "json_object":
        chat["response_format"] = {"type": "json_object"}
    return chat
