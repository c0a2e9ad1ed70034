"""Bounds of prompts, and bodies as providers get them."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from marketplace.upstream import shaping

TEXTS = st.text(max_size=200)


@given(st.lists(TEXTS, min_size=1, max_size=5))
def test_no_prompt_has_more_tokens_than_its_bound(texts: list[str]) -> None:
    """A token has at least one byte, and JSON never writes a text shorter than its bytes."""
    body: dict[str, Any] = {"messages": [{"role": "user", "content": text} for text in texts]}
    for ascii_only in (True, False):
        size = len(json.dumps(body, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass"))
        text_bytes = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
        bound = shaping.bound_chat_prompt(body, body_bytes=size)
        assert bound >= text_bytes + 16 * len(texts) + 512


def test_what_is_not_in_the_bytes_is_added() -> None:
    plain = {"messages": [{"role": "user", "content": "x"}]}
    bound = shaping.bound_chat_prompt(plain, body_bytes=100)
    picture = {"type": "image_url", "image_url": {"url": "https://example.com/x.png"}}
    pictured = {"messages": [{"role": "user", "content": [picture, {"type": "text", "text": "x"}]}]}
    assert shaping.bound_chat_prompt(pictured, body_bytes=100) == bound + 8192
    tools = {**plain, "tools": [{"type": "function", "function": {"name": "f"}}]}
    assert shaping.bound_chat_prompt(tools, body_bytes=100) > bound + 40


def test_generated_text_is_counted_in_bytes() -> None:
    choices = [
        {"index": 0, "delta": {"role": "assistant", "content": "né"}},
        {"index": 1, "delta": {"reasoning_content": "hmm", "content": None}},
        {"delta": {"tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}},
        {"delta": None}, "nonsense", {},
    ]  # fmt: skip
    assert shaping.count_text_bytes(choices) == 3 + 3 + 3
    assert shaping.count_text_bytes([{"delta": {"role": "assistant"}}]) == 0


def test_generated_text_of_completions_is_counted() -> None:
    choices = [{"index": 0, "text": "né", "logprobs": None}, {"text": None}]
    assert shaping.count_text_bytes(choices) == 3
