"""``POST /v1/completions``: text to be continued, as before there was chat."""

from typing import Any

from django.utils.translation import gettext_lazy as _

from marketplace.gateway.errors import refuse_value
from marketplace.gateway.fields import (
    count_texts,
    read_count,
    read_flag,
    read_model,
    read_object,
)
from marketplace.gateway.requests import MOST_ANSWERS, MOST_INPUTS, CallRequest
from marketplace.upstream import shaping

# What OpenAI documents for callers who name none; a text to be continued has no end of its own.
DEFAULT_LENGTH = 16


def parse_completions(body: dict[str, Any], *, body_bytes: int) -> CallRequest:
    """Raises GatewayRefusal naming the first field that cannot be accepted."""
    prompts = count_texts(body, "prompt", most=MOST_INPUTS)
    stream = read_flag(body, "stream")
    options = read_object(body, "stream_options")
    # With ``echo`` nothing need be generated: the prompt's own probabilities are the answer.
    least = 0 if read_flag(body, "echo") else 1
    length = read_count(body, "max_tokens", least=least)
    answers = read_count(body, "n") or 1
    most = min(MOST_ANSWERS, MOST_INPUTS // prompts)
    if answers > most:
        raise refuse_value("n", _("n can be %(most)s at most."), most=most)
    return CallRequest(
        operation="completions",
        body=body,
        model=read_model(body),
        prompt_bytes=shaping.count_bytes(body["prompt"]),
        prompt_bound=shaping.bound_texts(prompts, body_bytes=body_bytes),
        inputs=prompts,
        answers=answers * prompts,
        named_length=DEFAULT_LENGTH if length is None else length,
        stream=stream,
        include_usage=stream and read_flag(options, "include_usage"),
    )
