"""What callers send to the gateway, for the OpenAPI document: only what this market must know.

Fields that pass through to providers unseen are those of OpenAI's reference.
"""

from typing import Any

_MODEL = {
    "type": "string",
    "maxLength": 200,
    "description": "A model (`qwen/qwen3-8b`: its cheapest service) or a service "
    "(`qwen/qwen3-8b@provider`: that one).",
}
_LENGTH = {
    "type": "integer",
    "minimum": 1,
    "description": "Bounds what is held for the call, and the answer.",
}
_STREAM = {"type": "boolean", "default": False}
_STREAM_OPTIONS = {"type": "object", "properties": {"include_usage": {"type": "boolean"}}}
_ANSWERS = {"type": "integer", "minimum": 1, "maximum": 128}
_WISHES = {
    "type": "object",
    "description": "What is asked of this market, not of the model. Unknown names are refused.",
    "additionalProperties": False,
    "properties": {
        "max_cost": {
            "description": "In wallet tokens: the call neither holds nor costs more.",
            "oneOf": [{"type": "number", "minimum": 0}, {"type": "string"}],
        },
        "drop_unsupported": {
            "type": "boolean",
            "default": False,
            "description": "Leave away what no service of the model supports, instead of "
            "refusing; `x-tokenworks-dropped` names it.",
        },
    },
}


def _request(description: str, required: list[str], **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "description": description,
        "required": ["model", *required],
        "additionalProperties": True,
        "properties": {"model": _MODEL, **properties, "tokenworks": _WISHES},
    }


SCHEMAS: dict[str, Any] = {
    "OpenAIError": {
        "type": "object",
        "description": "OpenAI's error shape; `code` is stable.",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["message", "type", "param", "code"],
                "properties": {
                    "message": {"type": "string"},
                    "type": {"type": "string"},
                    "param": {"type": ["string", "null"]},
                    "code": {"type": "string"},
                },
            }
        },
    },
    "ChatRequest": _request(
        "OpenAI's chat completion; what is not listed here passes through.",
        ["messages"],
        messages={"type": "array", "minItems": 1, "items": {"type": "object"}},
        max_tokens=_LENGTH,
        stream=_STREAM,
        stream_options=_STREAM_OPTIONS,
        n=_ANSWERS,
    ),
    "CompletionRequest": _request(
        "OpenAI's legacy completion; what is not listed here passes through.",
        ["prompt"],
        prompt={
            "description": "A text, up to 1,000 of them, or tokens.",
            "oneOf": [
                {"type": "string", "minLength": 1},
                {"type": "array", "minItems": 1, "maxItems": 1000, "items": {}},
            ],
        },
        max_tokens={**_LENGTH, "default": 16},
        stream=_STREAM,
        stream_options=_STREAM_OPTIONS,
        n=_ANSWERS,
    ),
    "ResponseRequest": _request(
        "OpenAI's response, without state: what needs it (`previous_response_id`, `store: true` …) "
        "and built-in tools are refused by name.",
        ["input"],
        input={
            "description": "A text, or items: messages, function calls and their outputs.",
            "oneOf": [
                {"type": "string", "minLength": 1},
                {"type": "array", "minItems": 1, "items": {"type": "object"}},
            ],
        },
        instructions={"type": ["string", "null"]},
        max_output_tokens=_LENGTH,
        tools={"type": "array", "items": {"type": "object"}},
        text={"type": "object"},
        stream=_STREAM,
    ),
    "EmbeddingsRequest": _request(
        "OpenAI's embeddings; what is not listed here passes through.",
        ["input"],
        input={
            "description": "A text, or up to 1,000 of them.",
            "oneOf": [
                {"type": "string", "minLength": 1},
                {"type": "array", "minItems": 1, "maxItems": 1000, "items": {}},
            ],
        },
    ),
}
