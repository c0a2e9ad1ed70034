"""The gateway's part of the OpenAPI document, by hand: it is plain ASGI, which nobody inspects.

Only what callers of this market must know; the fields that pass through to providers unseen are
those of OpenAI's reference.
"""

from typing import Any

TAG = "Gateway (OpenAI-compatible)"

_ERRORS = {
    400: "The body cannot be read, or a field cannot be accepted (`param` names it).",
    401: "No usable key.",
    402: "Not enough tokens, or the key's cap would be broken. Nothing was charged.",
    403: "The key may not call this service, or lacks the right `inference`.",
    404: "No such model or service for this key.",
    413: "The body is larger than 4 MB.",
    429: "Too many requests; wait for `Retry-After`.",
    502: "The provider failed before the first token. Nothing was charged.",
    503: "The service is not connected, or the market is busy.",
    504: "The provider did not answer in time. Nothing was charged.",
}
_USAGE = {
    "prompt_tokens": 27,
    "completion_tokens": 9,
    "total_tokens": 36,
    "prompt_tokens_details": {"cached_tokens": 0},
    "cost": 0.0000126,
    "cost_tokens": "12.6",
}
_COMPLETION = {
    "id": "chatcmpl-01kb7zc3d4e5f6g7h8j9k0m1n2",
    "object": "chat.completion",
    "created": 1793701230,
    "model": "qwen/qwen3-8b",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Guten Tag! Wie kann ich helfen?"},
            "finish_reason": "stop",
        }
    ],
    "usage": _USAGE,
}
_EMBEDDINGS = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.0123, -0.0456, 0.0789]}],
    "model": "intfloat/multilingual-e5-small",
    "usage": {"prompt_tokens": 7, "total_tokens": 7, "cost": 0.00000014, "cost_tokens": "0.14"},
}
_MODEL = {
    "id": "qwen/qwen3-8b",
    "object": "model",
    "created": 0,
    "owned_by": "qwen",
    "name": "Qwen3 8B",
    "context_length": 32768,
    "pricing": {"prompt": "0.0000002", "completion": "0.0000008"},
    "pricing_tokens": {"prompt": "0.2", "completion": "0.8"},
    "supported_parameters": ["temperature", "top_p", "tools"],
}
_CREDITS = {
    "data": {
        "unit": "live",
        "posted": "104999812",
        "held": "1204.8",
        "spendable": "104998607.2",
        "paid": "100000000",
        "granted": "4999812",
    }
}
_CHAT_HEADERS = {
    "x-request-id": "Names this call in your request list.",
    "x-tokenworks-cost": "What the call cost, in wallet tokens (not when streaming).",
    "x-tokenworks-service": "The service that answered.",
    "x-tokenworks-balance": "What you can still spend, in wallet tokens.",
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
    "ChatRequest": {
        "type": "object",
        "description": "OpenAI's chat completion; what is not listed here passes through.",
        "required": ["model", "messages"],
        "additionalProperties": True,
        "properties": {
            "model": {
                "type": "string",
                "maxLength": 200,
                "description": "A model (`qwen/qwen3-8b`: its cheapest service) or a service "
                "(`qwen/qwen3-8b@provider`: that one).",
            },
            "messages": {"type": "array", "minItems": 1, "items": {"type": "object"}},
            "max_tokens": {
                "type": "integer",
                "minimum": 1,
                "description": "Bounds what is held for the call, and the answer.",
            },
            "stream": {"type": "boolean", "default": False},
            "stream_options": {
                "type": "object",
                "properties": {"include_usage": {"type": "boolean"}},
            },
            "n": {"type": "integer", "minimum": 1, "maximum": 128},
        },
    },
    "EmbeddingsRequest": {
        "type": "object",
        "required": ["model", "input"],
        "additionalProperties": True,
        "properties": {
            "model": {"type": "string", "maxLength": 200},
            "input": {
                "description": "A text, or up to 1,000 of them.",
                "oneOf": [
                    {"type": "string", "minLength": 1},
                    {"type": "array", "minItems": 1, "maxItems": 1000, "items": {}},
                ],
            },
        },
    },
}


def build_paths() -> dict[str, Any]:
    """The paths below /v1, each with examples and its errors."""
    return {
        "/v1/chat/completions": {
            "post": _operation(
                "create_chat_completion",
                "Chat with a model",
                "Streams server-sent events with `stream: true`. A failed call costs 0.",
                answers=(400, 401, 402, 403, 404, 413, 429, 502, 503, 504),
                body=_body(
                    "ChatRequest",
                    {
                        "model": "qwen/qwen3-8b",
                        "messages": [{"role": "user", "content": "Say hello in German."}],
                        "max_tokens": 64,
                    },
                ),
                example=_COMPLETION,
                headers=_CHAT_HEADERS,
                streams=True,
            )
        },
        "/v1/embeddings": {
            "post": _operation(
                "create_embeddings",
                "Turn texts into vectors",
                "",
                answers=(400, 401, 402, 403, 404, 413, 429, 502, 503, 504),
                body=_body(
                    "EmbeddingsRequest",
                    {"model": "intfloat/multilingual-e5-small", "input": "query: invoices"},
                ),
                example=_EMBEDDINGS,
                headers=_CHAT_HEADERS,
            )
        },
        "/v1/models": {
            "get": _operation(
                "list_models",
                "List the models that this key may call",
                "`pricing` is in the tariff currency per model token, `pricing_tokens` in wallet "
                "tokens per model token, both of the cheapest service.",
                answers=(401,),
                example={"object": "list", "data": [_MODEL]},
            )
        },
        "/v1/models/{model}": {
            "get": _operation(
                "get_model",
                "Get one model",
                "",
                answers=(401, 404),
                parameters=[
                    {
                        "name": "model",
                        "in": "path",
                        "required": True,
                        "description": "A model or service; slashes are allowed.",
                        "schema": {"type": "string"},
                        "example": "qwen/qwen3-8b",
                    }
                ],
                example=_MODEL,
            )
        },
        "/v1/credits": {
            "get": _operation(
                "get_credits",
                "Get what is left",
                "In wallet tokens, of the key's unit.",
                answers=(401,),
                example=_CREDITS,
            )
        },
    }


def _operation(
    operation_id: str,
    summary: str,
    description: str,
    *,
    answers: tuple[int, ...],
    example: Any,
    body: dict[str, Any] | None = None,
    parameters: list[dict[str, Any]] | None = None,
    headers: dict[str, str] | None = None,
    streams: bool = False,
) -> dict[str, Any]:
    content: dict[str, Any] = {
        "application/json": {"schema": {"type": "object"}, "example": example}
    }
    if streams:
        content["text/event-stream"] = {"schema": {"type": "string"}}
    good: dict[str, Any] = {"description": "The answer.", "content": content}
    if headers:
        good["headers"] = {
            name: {"description": words, "schema": {"type": "string"}}
            for name, words in headers.items()
        }
    operation: dict[str, Any] = {
        "operationId": operation_id,
        "summary": summary,
        "tags": [TAG],
        "security": [{"apiKey": []}],
        "responses": {"200": good, **{str(status): _error(status) for status in answers}},
    }
    if description:
        operation["description"] = description
    if parameters:
        operation["parameters"] = parameters
    if body:
        operation["requestBody"] = body
    return operation


def _body(schema: str, example: Any) -> dict[str, Any]:
    content = {"schema": {"$ref": f"#/components/schemas/{schema}"}, "example": example}
    return {"required": True, "content": {"application/json": content}}


def _error(status: int) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/OpenAIError"}
    return {"description": _ERRORS[status], "content": {"application/json": {"schema": schema}}}
