"""Request bodies: read, bounded, and checked as far as money or routing depends on them.

Everything else passes through to the provider unseen.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson
from django.utils.translation import gettext_lazy as _

from marketplace.gateway.errors import GatewayRefusal, refuse_value
from marketplace.gateway.fields import count_texts, read_count, read_flag, read_model, read_object
from marketplace.gateway.media import Medium, find_media
from marketplace.gateway.preferences import NO_ROUTING, Routing, WantedModel
from marketplace.gateway.wishes import NO_WISHES, Wishes
from marketplace.upstream import shaping
from marketplace.upstream.nesting import is_deeper

MOST_ANSWERS = 128
MOST_MESSAGES = 10_000
MOST_INPUTS = 1_000

Operation = Literal["chat", "completions", "responses", "embeddings"]


@dataclass(frozen=True, slots=True)
class CallRequest:
    """A call as the caller asks for it. Tokens are model tokens.

    ``prompt_bytes`` are those of its text, ``prompt_bound`` is the most that the prompt can have.
    ``named_length`` is the caller's ``max_tokens`` (or ``max_completion_tokens``) for each of
    ``answers``; None when none was named. ``body`` is in the provider's words: where the caller
    used others (responses), ``original`` has them, and ``field_names`` theirs for the body's.
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
    media: tuple[Medium, ...] = ()
    wishes: Wishes = NO_WISHES
    original: Mapping[str, Any] = field(default_factory=dict)
    field_names: Mapping[str, str] = field(default_factory=dict)
    routing: Routing = NO_ROUTING

    @property
    def models(self) -> tuple[WantedModel, ...]:
        """To be tried in this order; ``model`` is the first."""
        return self.routing.models or (WantedModel(self.model),)

    @property
    def modality(self) -> str:
        return "embedding" if self.operation == "embeddings" else "chat"


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
    stream = read_flag(body, "stream")
    options = read_object(body, "stream_options")
    lengths = [
        length
        for name in ("max_completion_tokens", "max_tokens")
        if (length := read_count(body, name)) is not None
    ]
    answers = read_count(body, "n") or 1
    if answers > MOST_ANSWERS:
        raise refuse_value("n", _("n can be %(most)s at most."), most=MOST_ANSWERS)
    return CallRequest(
        operation="chat",
        body=body,
        model=read_model(body),
        prompt_bytes=shaping.count_prompt_bytes(body),
        prompt_bound=shaping.bound_chat_prompt(body, body_bytes=body_bytes),
        answers=answers,
        named_length=min(lengths, default=None),
        stream=stream,
        include_usage=stream and read_flag(options, "include_usage"),
        media=tuple(find_media(body["messages"])),
    )


def parse_embeddings(body: dict[str, Any], *, body_bytes: int) -> CallRequest:
    """Raises GatewayRefusal naming the first field that cannot be accepted."""
    inputs = count_texts(body, "input", most=MOST_INPUTS)
    if read_flag(body, "stream"):
        raise refuse_value("stream", _("Embeddings cannot be streamed."))
    return CallRequest(
        operation="embeddings",
        body=body,
        model=read_model(body),
        prompt_bytes=body_bytes,
        prompt_bound=shaping.bound_texts(inputs, body_bytes=body_bytes),
        inputs=inputs,
    )


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
