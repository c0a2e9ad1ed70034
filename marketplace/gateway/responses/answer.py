"""The Response object and its output items, from what a chat model said."""

from collections.abc import Mapping, Sequence
from typing import Any

from marketplace.gateway import answers
from marketplace.gateway.calls import Closed, RunningCall
from marketplace.upstream.usage import Usage
from portal.kernel.clock import utc_now

# Said back as the caller said it, else with the value that stands for its absence.
_SAID_BACK: Mapping[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "reasoning": {"effort": None, "summary": None},
    "temperature": None,
    "tool_choice": "auto",
    "top_logprobs": None,
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


def render_response(
    call: RunningCall,
    *,
    status: str,
    output: Sequence[Mapping[str, Any]] = (),
    finish_reason: str = "",
    error: Mapping[str, Any] | None = None,
    limited_by: str = "",
) -> dict[str, Any]:
    """A Response but for its usage, which stays null until it is charged."""
    asked = call.request.original
    said_back = {
        name: absent if asked.get(name) is None else asked[name]
        for name, absent in _SAID_BACK.items()
    }
    reason = _INCOMPLETE.get(finish_reason) if status == "incomplete" else None
    return {
        "id": call.opened.public_id,
        "object": "response",
        "created_at": int(call.opened.started_at.timestamp()),
        "completed_at": int(utc_now().timestamp()) if status == "completed" else None,
        "status": status,
        "background": False,
        "error": error,
        "incomplete_details": {"reason": reason} if reason else None,
        "model": call.model,
        "output": list(output),
        "previous_response_id": None,
        "store": False,
        "usage": None,
        "text": {"format": {"type": "text"}, **(asked.get("text") or {})},
        "tools": [
            {"parameters": None, "strict": None, **tool} for tool in asked.get("tools") or ()
        ],
        **said_back,
        **answers.render_limit(limited_by),
    }


def render_usage(usage: Usage, closed: Closed) -> dict[str, Any]:
    return {
        "input_tokens": usage.prompt_tokens,
        # Nobody here charges for what is written to a cache.
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        **answers.render_cost(closed),
    }


def read_status(finish_reason: str) -> str:
    """ "completed", or "incomplete" where something cut the answer's length or content."""
    return "incomplete" if finish_reason in _INCOMPLETE else "completed"


def list_items(choice: Mapping[str, Any], call: RunningCall) -> list[dict[str, Any]]:
    """What a whole answer's choice says, as output items: reasoning, message, function calls."""
    status = read_status(answers.read_finish_reason([choice]))
    message = choice.get("message")
    said = message if isinstance(message, dict) else {}
    items: list[dict[str, Any]] = []
    if thought := read_reasoning(said):
        items.append(reasoning_item(item_id("rs", call, len(items)), thought, status))
    parts = []
    if text := read_text(said.get("content")):
        parts.append(text_part(text, read_logprobs(choice)))
    if refusal := read_text(said.get("refusal")):
        parts.append(refusal_part(refusal))
    functions = read_tool_calls(said)
    # An answer without a word is still a message.
    if parts or not functions:
        parts = parts or [text_part("", [])]
        items.append(message_item(item_id("msg", call, len(items)), parts, status))
    for number, called in enumerate(functions):
        function = called.get("function")
        function = function if isinstance(function, dict) else {}
        items.append(
            function_item(
                item_id("fc", call, len(items)),
                call_id=read_text(called.get("id")) or item_id("call", call, number),
                name=read_text(function.get("name")),
                arguments=read_text(function.get("arguments")),
                status=status,
            )
        )
    return items


def read_reasoning(said: Mapping[str, Any]) -> str:
    """Engines name it differently, some in both ways at once."""
    return read_text(said.get("reasoning_content")) or read_text(said.get("reasoning"))


def read_text(value: object) -> str:
    """A text, or the texts of a list of parts; empty for anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        texts = (part.get("text") for part in value if isinstance(part, dict))
        return "".join(text for text in texts if isinstance(text, str))
    return ""


def read_tool_calls(said: Mapping[str, Any]) -> list[dict[str, Any]]:
    calls = said.get("tool_calls")
    return [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []


def read_logprobs(choice: Mapping[str, Any]) -> list[Any]:
    logprobs = choice.get("logprobs")
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    return content if isinstance(content, list) else []


def item_id(prefix: str, call: RunningCall, number: int) -> str:
    """Unique within the market, as the call's id is."""
    return f"{prefix}_{call.opened.public_id.partition('_')[2]}{number}"


def message_item(item_id: str, parts: list[dict[str, Any]], status: str) -> dict[str, Any]:
    return {
        "id": item_id,
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": parts,
    }


def reasoning_item(item_id: str, text: str, status: str) -> dict[str, Any]:
    content = [reasoning_part(text)] if text else []
    return {"id": item_id, "type": "reasoning", "summary": [], "content": content, "status": status}


def function_item(
    item_id: str, *, call_id: str, name: str, arguments: str, status: str
) -> dict[str, Any]:
    return {
        "id": item_id,
        "type": "function_call",
        "call_id": call_id,
        "name": name,
        "arguments": arguments,
        "status": status,
    }


def text_part(text: str, logprobs: list[Any]) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": logprobs}


def refusal_part(text: str) -> dict[str, Any]:
    return {"type": "refusal", "refusal": text}


def reasoning_part(text: str) -> dict[str, Any]:
    return {"type": "reasoning_text", "text": text}
