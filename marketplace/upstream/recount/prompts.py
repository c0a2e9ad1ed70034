"""The texts that a request's prompt is made of, where they are all of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

# Why a part of a call cannot be counted again.
Reason = Literal[
    "", "no_template", "tools", "media", "template_options", "unusual_chat", "token_input",
    "hidden_reasoning", "too_long", "no_vocabulary",
]  # fmt: skip

_TOOLS = ("tools", "functions", "documents")
_TEMPLATE_OPTIONS = (
    "chat_template_kwargs", "continue_final_message", "add_generation_prompt", "reasoning_effort",
    "reasoning", "enable_thinking", "thinking",
)  # fmt: skip
_ROLES = frozenset({"system", "user", "assistant"})


@dataclass(frozen=True, slots=True)
class Prompt:
    """Of a chat ``turns`` (role, text), else ``texts``, which are ``embedded`` or continued;
    neither where ``reason`` says why it cannot be counted."""

    turns: tuple[tuple[str, str], ...] = ()
    texts: tuple[str, ...] = ()
    embedded: bool = False
    reason: Reason = ""

    @property
    def characters(self) -> int:
        return sum(len(text) for _role, text in self.turns) + sum(map(len, self.texts))


def read_prompt(body: Mapping[str, Any], *, operation: str) -> Prompt:
    """What of a request's body, in the provider's words, a model reads; nothing is copied."""
    if operation == "embeddings":
        return _read_texts(body.get("input"), embedded=True)
    if operation == "completions":
        if body.get("suffix"):
            return Prompt(reason="template_options")
        return _read_texts(body.get("prompt"))
    return _read_chat(body)


def _read_texts(value: object, *, embedded: bool = False) -> Prompt:
    texts = [value] if isinstance(value, str) else value
    if isinstance(texts, list) and all(isinstance(text, str) for text in texts):
        return Prompt(texts=tuple(texts), embedded=embedded)
    return Prompt(reason="token_input")


def _read_chat(body: Mapping[str, Any]) -> Prompt:
    if any(body.get(name) for name in _TOOLS):
        return Prompt(reason="tools")
    if any(body.get(name) is not None for name in _TEMPLATE_OPTIONS):
        return Prompt(reason="template_options")
    turns = []
    for message in body["messages"]:
        if message.get("tool_calls") or message["role"] == "tool":
            return Prompt(reason="tools")
        text = _read_text(message.get("content"))
        if text is None:
            return Prompt(reason="media")
        turns.append((message["role"], text))
    if any(role not in _ROLES for role, _text in turns) or turns[-1][0] != "user":
        return Prompt(reason="unusual_chat")
    if any(role == "system" for role, _text in turns[1:]):
        return Prompt(reason="unusual_chat")
    return Prompt(turns=tuple(turns))


def _read_text(content: object) -> str | None:
    """Plain text, also as a single part; engines differ in how they join several."""
    if isinstance(content, list) and len(content) == 1 and content[0].get("type") == "text":
        content = content[0].get("text")
    return content if isinstance(content, str) else None
