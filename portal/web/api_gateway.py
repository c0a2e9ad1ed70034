"""The gateway's part of the OpenAPI document, by hand: it is plain ASGI, which nobody inspects.

Only what callers of this market must know; the fields that pass through to providers unseen are
those of OpenAI's reference.
"""

from typing import Any

from portal.web.api_gateway_examples import (
    COMPLETION,
    CREDITS,
    EMBEDDINGS,
    GENERATION,
    KEY,
    MODEL,
    RESPONSE,
    TEXT_COMPLETION,
)

TAG = "Gateway (OpenAI-compatible)"

_ERRORS = {
    400: "The body cannot be read, or a field cannot be accepted (`param` names it).",
    401: "No usable key.",
    402: "Not enough tokens, or the key's cap would be broken. Nothing was charged.",
    403: "The key may not call this service, or lacks the right `inference`.",
    404: "No such model or service for this key.",
    409: "A request with this `Idempotency-Key` still runs, or its answer is not kept any more.",
    413: "The body is larger than 4 MB.",
    422: "Another request had this `Idempotency-Key`.",
    429: "Too many requests; wait for `Retry-After`.",
    502: "The provider failed before the first token. Nothing was charged.",
    503: "The service is not connected, or the market is busy.",
    504: "The provider did not answer in time. Nothing was charged.",
}
_CALL_ERRORS = (400, 401, 402, 403, 404, 409, 413, 422, 429, 502, 503, 504)
_CHAT_HEADERS = {
    "x-request-id": "Names this call in your request list.",
    "x-tokenworks-cost": "What the call cost, in wallet tokens (not when streaming).",
    "x-tokenworks-service": "The service that answered.",
    "x-tokenworks-balance": "What you can still spend, in wallet tokens.",
    "x-tokenworks-dropped": "What was left away, if you allowed it (`drop_unsupported`).",
}


_WISHES = [
    {
        "name": "x-tokenworks-max-cost",
        "in": "header",
        "description": "As `tokenworks.max_cost`; the smaller of the two counts.",
        "schema": {"type": "string"},
        "example": "2.5",
    },
    {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "Sent again within an hour, the request gets the same answer and costs "
        "nothing. Not for streams.",
        "schema": {"type": "string", "maxLength": 255},
    },
]


def build_paths() -> dict[str, Any]:
    """The paths below /v1, each with examples and its errors."""
    return {
        "/v1/chat/completions": {
            "post": _operation(
                "create_chat_completion",
                "Chat with a model",
                "Streams server-sent events with `stream: true`. A failed call costs 0.",
                answers=_CALL_ERRORS,
                body=_body(
                    "ChatRequest",
                    {
                        "model": "qwen/qwen3-8b",
                        "messages": [{"role": "user", "content": "Say hello in German."}],
                        "max_tokens": 64,
                    },
                ),
                example=COMPLETION,
                headers=_CHAT_HEADERS,
                parameters=_WISHES,
                streams=True,
            )
        },
        "/v1/completions": {
            "post": _operation(
                "create_completion",
                "Continue a text",
                "Asked of the provider as such: `suffix`, `echo` and `logprobs` pass through.",
                answers=_CALL_ERRORS,
                body=_body(
                    "CompletionRequest",
                    {"model": "qwen/qwen3-8b", "prompt": "Once upon a time", "max_tokens": 32},
                ),
                example=TEXT_COMPLETION,
                headers=_CHAT_HEADERS,
                parameters=_WISHES,
                streams=True,
            )
        },
        "/v1/responses": {
            "post": _operation(
                "create_response",
                "Get a response",
                "Stateless, asked of the provider as chat. Streams OpenAI's numbered events.",
                answers=_CALL_ERRORS,
                body=_body(
                    "ResponseRequest",
                    {
                        "model": "qwen/qwen3-8b",
                        "instructions": "Answer in German.",
                        "input": "Say hello.",
                    },
                ),
                example=RESPONSE,
                headers=_CHAT_HEADERS,
                parameters=_WISHES,
                streams=True,
            )
        },
        "/v1/embeddings": {
            "post": _operation(
                "create_embeddings",
                "Turn texts into vectors",
                "",
                answers=_CALL_ERRORS,
                body=_body(
                    "EmbeddingsRequest",
                    {"model": "intfloat/multilingual-e5-small", "input": "query: invoices"},
                ),
                example=EMBEDDINGS,
                headers=_CHAT_HEADERS,
                parameters=_WISHES,
            )
        },
        "/v1/models": {
            "get": _operation(
                "list_models",
                "List the models that this key may call",
                "`pricing` is in the tariff currency per model token, `pricing_tokens` in wallet "
                "tokens per model token, both of the cheapest service.",
                answers=(401,),
                example={"object": "list", "data": [MODEL]},
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
                example=MODEL,
            )
        },
        "/v1/credits": {
            "get": _operation(
                "get_credits",
                "Get what is left",
                "In wallet tokens, of the key's unit.",
                answers=(401,),
                example=CREDITS,
            )
        },
        "/v1/key": {
            "get": _operation(
                "get_key",
                "Get this key's cap and use",
                "In the tariff currency, and under `tokens` in wallet tokens.",
                answers=(401,),
                example=KEY,
            )
        },
        "/v1/generation": {
            "get": _operation(
                "get_generation",
                "Get what one call cost and who served it",
                "Calls of the key's holder only.",
                answers=(401, 404),
                parameters=[
                    {
                        "name": "id",
                        "in": "query",
                        "required": True,
                        "description": "The `id` of an answer.",
                        "schema": {"type": "string"},
                        "example": "call_01k7p9x4m2q8r5t6v7w8y9z0ab",
                    }
                ],
                example=GENERATION,
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
