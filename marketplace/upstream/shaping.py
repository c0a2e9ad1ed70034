"""What goes to a provider, and the most that it can cost in model tokens.

The bounds need no tokenizer: tokenizers of open models fall back to bytes, so a text never has
more tokens than bytes, and JSON never writes a text shorter than its bytes.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import orjson

from marketplace.catalog.selectors import CallableService

# Beyond the bytes: what chat templates add of their own (default system prompt, tool preamble)
# and per message (role and turn markers).
TEMPLATE_TOKENS = 512
TOKENS_PER_MESSAGE = 16
TOKENS_PER_INPUT = 16
# An image or sound named by address says nothing by its bytes.
TOKENS_PER_MEDIUM = 8192
# About what a token has in the usual languages: for guesses, never for money.
USUAL_BYTES_PER_TOKEN = 4

# Never passed on: other names by which engines take the length or number of answers (they would
# undo what was held), and a template of the caller's own, which could multiply the prompt.
WITHHELD_FIELDS = frozenset(
    "n_predict num_predict max_new_tokens max_length best_of n_cmpl use_beam_search "
    "chat_template".split()
)
# Said to us, not to the provider.
OWN_FIELDS = frozenset("tokenworks provider models route usage plugins transforms".split())
# Rendered into the prompt by templates that indent JSON.
_RENDERED_FIELDS = ("tools", "functions", "response_format", "documents")


def bound_chat_prompt(body: Mapping[str, Any], *, body_bytes: int) -> int:
    """The most prompt tokens that a chat request of ``body_bytes`` bytes of JSON can have."""
    messages = body["messages"]
    media = sum(
        1
        for message in messages
        if isinstance(message.get("content"), list)
        for part in message["content"]
        if isinstance(part, dict) and part.get("type") not in ("text", "refusal")
    )
    rendered = sum(len(orjson.dumps(body[name])) for name in _RENDERED_FIELDS if body.get(name))
    return (
        body_bytes
        + rendered
        + TEMPLATE_TOKENS
        + TOKENS_PER_MESSAGE * len(messages)
        + TOKENS_PER_MEDIUM * media
    )


def bound_texts(texts: int, *, body_bytes: int) -> int:
    """The most prompt tokens that a request with so many plain texts (or lists of tokens) can
    have: to be embedded, or to be continued."""
    return body_bytes + TOKENS_PER_INPUT * texts


def guess_tokens(text_bytes: int) -> int:
    """About how many tokens a text has, to leave it room in the context. Not for money."""
    return text_bytes // USUAL_BYTES_PER_TOKEN


def count_prompt_bytes(body: Mapping[str, Any]) -> int:
    """UTF-8 bytes of a chat request's messages, however the JSON was written."""
    return sum(count_bytes(message.get("content")) for message in body["messages"])


def shape_generation(
    body: Mapping[str, Any],
    *,
    service: CallableService,
    max_tokens: int,
    dropped: Collection[str] = (),
) -> bytes:
    """A request for text as the provider gets it: its own model name, the clamped length, usage
    asked, without the ``dropped`` fields. ``max_tokens`` replaces whatever length was named.
    """
    shaped = {
        name: value
        for name, value in body.items()
        if name not in WITHHELD_FIELDS and name not in OWN_FIELDS and name not in dropped
    }
    shaped["model"] = service.upstream_model
    shaped["max_tokens"] = max_tokens
    if shaped.get("max_completion_tokens") is not None:
        shaped["max_completion_tokens"] = max_tokens
    if shaped.get("stream"):
        options = shaped.get("stream_options")
        shaped["stream_options"] = {**(options or {}), "include_usage": True}
    else:
        shaped.pop("stream_options", None)
    return orjson.dumps(shaped)


def shape_embeddings(body: Mapping[str, Any], *, service: CallableService) -> bytes:
    """The request as the provider gets it, under its own model name."""
    shaped = {name: value for name, value in body.items() if name not in OWN_FIELDS}
    shaped["model"] = service.upstream_model
    return orjson.dumps(shaped)


def count_text_bytes(choices: Sequence[Any]) -> int:
    """UTF-8 bytes of generated text in a chunk's choices: content, reasoning, tool arguments;
    of a completion its ``text``."""
    total = 0
    for choice in choices:
        if not isinstance(choice, dict):
            continue
        delta = choice.get("delta")
        if isinstance(delta, dict):
            total += sum(count_bytes(value) for name, value in delta.items() if name != "role")
        elif isinstance(text := choice.get("text"), str):
            total += count_bytes(text)
    return total


def count_bytes(value: object) -> int:
    """UTF-8 bytes of all texts in a JSON value."""
    if isinstance(value, str):
        return len(value) if value.isascii() else len(value.encode("utf-8", "surrogatepass"))
    if isinstance(value, list):
        return sum(count_bytes(item) for item in value)
    if isinstance(value, dict):
        return sum(count_bytes(item) for item in value.values())
    return 0
