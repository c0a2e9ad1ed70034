"""Request bodies: read, bounded, and checked as far as money or routing depends on them.

Everything else passes through to the provider unseen.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import orjson
from django.utils.translation import gettext_lazy as _

from marketplace.gateway.errors import GatewayRefusal, refuse_value
from marketplace.upstream import shaping
from marketplace.upstream.nesting import is_deeper

MOST_ANSWERS = 128
MOST_MESSAGES = 10_000
MOST_INPUTS = 1_000
_LONGEST_MODEL = 200

Operation = Literal["chat", "embeddings"]


@dataclass(frozen=True, slots=True)
class CallRequest:
    """A call as the caller asks for it. Tokens are model tokens.

    ``prompt_bytes`` are those of its text, ``prompt_bound`` is the most that the prompt can have.
    ``named_length`` is the caller's ``max_tokens`` (or ``max_completion_tokens``) for each of
    ``answers``; None when none was named.
    """

    operation: Operation
    body: Mapping[str, Any]
    model: str
    prompt_bytes: int
    prompt_bound: int
    inputs: int = 1
    answers: int = 1
    named_length: int | None = None
    stream: bool = False
    include_usage: bool = False

    @property
    def modality(self) -> str:
        return "chat" if self.operation == "chat" else "embedding"


def read_json(text: bytes, *, most_depth: int) -> dict[str, Any]:
    """The body as a JSON object. Raises GatewayRefusal for anything else, or deeper than that."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise GatewayRefusal(
            400,
            "invalid_json",
            _("The body is no JSON that can be read (line %(line)s, column %(column)s)."),
            values={"line": error.lineno, "column": error.colno},
        ) from error
    if is_deeper(text, value, most_depth):
        raise GatewayRefusal(
            400,
            "invalid_json",
            _("The body is nested more than %(depth)s levels deep."),
            values={"depth": most_depth},
        )
    if not isinstance(value, dict):
        raise GatewayRefusal(400, "invalid_json", _("The body must be a JSON object."))
    return value


def parse_chat(body: dict[str, Any], *, body_bytes: int) -> CallRequest:
    """Raises GatewayRefusal naming the first field that cannot be accepted."""
    _check_messages(body.get("messages"))
    stream = _read_flag(body, "stream")
    options = body.get("stream_options")
    if options is not None and not isinstance(options, dict):
        raise refuse_value("stream_options", _("stream_options must be an object."))
    lengths = [
        length
        for name in ("max_completion_tokens", "max_tokens")
        if (length := _read_count(body, name)) is not None
    ]
    answers = _read_count(body, "n") or 1
    if answers > MOST_ANSWERS:
        raise refuse_value("n", _("n can be %(most)s at most."), most=MOST_ANSWERS)
    return CallRequest(
        operation="chat",
        body=body,
        model=_read_model(body),
        prompt_bytes=shaping.count_prompt_bytes(body),
        prompt_bound=shaping.bound_chat_prompt(body, body_bytes=body_bytes),
        answers=answers,
        named_length=min(lengths, default=None),
        stream=stream,
        include_usage=stream and _read_flag(options or {}, "include_usage"),
    )


def parse_embeddings(body: dict[str, Any], *, body_bytes: int) -> CallRequest:
    """Raises GatewayRefusal naming the first field that cannot be accepted."""
    inputs = _count_inputs(body.get("input"))
    if _read_flag(body, "stream"):
        raise refuse_value("stream", _("Embeddings cannot be streamed."))
    return CallRequest(
        operation="embeddings",
        body=body,
        model=_read_model(body),
        prompt_bytes=body_bytes,
        prompt_bound=shaping.bound_embedding_prompt(inputs, body_bytes=body_bytes),
        inputs=inputs,
    )


def _read_model(body: dict[str, Any]) -> str:
    model = body.get("model")
    if not isinstance(model, str) or not 0 < len(model) <= _LONGEST_MODEL:
        raise refuse_value("model", _("model must name a model or a service."))
    return model


def _check_messages(messages: object) -> None:
    if not isinstance(messages, list) or not messages:
        raise refuse_value("messages", _("messages must be a list of at least one message."))
    if len(messages) > MOST_MESSAGES:
        raise refuse_value("messages", _("There are too many messages."))
    for number, message in enumerate(messages):
        param = f"messages[{number}]"
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise refuse_value(param, _("Each message must be an object with a role."))
        content = message.get("content")
        parts = content if isinstance(content, list) else []
        if not (content is None or isinstance(content, str | list)) or not all(
            isinstance(part, dict) for part in parts
        ):
            raise refuse_value(
                f"{param}.content", _("content must be a text or a list of content parts.")
            )


def _count_inputs(value: object) -> int:
    """How many texts are to be embedded: a text, tokens, or a list of either."""
    if isinstance(value, str) and value:
        return 1
    if isinstance(value, list) and value:
        if all(type(item) is int for item in value):
            return 1
        fits = all(isinstance(item, str) and item for item in value) or all(
            isinstance(item, list) and item and all(type(token) is int for token in item)
            for item in value
        )
        if fits and len(value) <= MOST_INPUTS:
            return len(value)
        if fits:
            raise refuse_value("input", _("At most %(most)s inputs in one call."), most=MOST_INPUTS)
    raise refuse_value("input", _("input must be a text, a list of texts, or tokens; not empty."))


def _read_flag(body: Mapping[str, Any], name: str) -> bool:
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise refuse_value(name, _("%(name)s must be true or false."), name=name)
    return bool(value)


def _read_count(body: Mapping[str, Any], name: str) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if type(value) is not int or value < 1:
        raise refuse_value(name, _("%(name)s must be a whole number of at least 1."), name=name)
    return value
