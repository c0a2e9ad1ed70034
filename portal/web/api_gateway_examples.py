"""Answers of the gateway, as the OpenAPI document shows them."""

_USAGE = {
    "prompt_tokens": 27,
    "completion_tokens": 9,
    "total_tokens": 36,
    "prompt_tokens_details": {"cached_tokens": 0},
    "cost": 0.0000126,
    "cost_tokens": "12.6",
}
COMPLETION = {
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
TEXT_COMPLETION = {
    "id": "call_01kb7zc3d4e5f6g7h8j9k0m1n3",
    "object": "text_completion",
    "created": 1793701230,
    "model": "qwen/qwen3-8b",
    "choices": [{"index": 0, "text": " there was a mill.", "finish_reason": "stop"}],
    "usage": _USAGE,
}
RESPONSE = {
    "id": "call_01kb7zc3d4e5f6g7h8j9k0m1n4",
    "object": "response",
    "created_at": 1793701230,
    "status": "completed",
    "model": "qwen/qwen3-8b",
    "store": False,
    "output": [
        {
            "id": "msg_01kb7zc3d4e5f6g7h8j9k0m1n40",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Guten Tag!", "annotations": []}],
        }
    ],
    "usage": {
        "input_tokens": 27,
        "output_tokens": 9,
        "total_tokens": 36,
        "input_tokens_details": {"cached_tokens": 0},
        "cost": 0.0000126,
        "cost_tokens": "12.6",
    },
}
EMBEDDINGS = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.0123, -0.0456, 0.0789]}],
    "model": "intfloat/multilingual-e5-small",
    "usage": {"prompt_tokens": 7, "total_tokens": 7, "cost": 0.00000014, "cost_tokens": "0.14"},
}
MODEL = {
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
CREDITS = {
    "data": {
        "unit": "live",
        "posted": "104999812",
        "held": "1204.8",
        "spendable": "104998607.2",
        "paid": "100000000",
        "granted": "4999812",
    }
}
KEY = {
    "data": {
        "label": "Production",
        "limit": 0.005,
        "limit_remaining": 0.0049936,
        "limit_reset": "daily",
        "usage": 0.0000064,
        "usage_daily": 0.0000064,
        "usage_weekly": 0.0000064,
        "usage_monthly": 0.0000064,
        "expires_at": None,
        "is_free_tier": False,
        "unit": "live",
        "tokens": {"limit": "5000", "limit_remaining": "4993.6", "usage": "6.4"},
    }
}
GENERATION = {
    "data": {
        "id": "call_01k7p9x4m2q8r5t6v7w8y9z0ab",
        "model": "qwen/qwen3-8b",
        "provider_name": "Rhine Compute",
        "created_at": "2026-11-24T12:00:00Z",
        "streamed": False,
        "cancelled": False,
        "finish_reason": "stop",
        "latency": 420,
        "tokens_prompt": 12,
        "tokens_completion": 5,
        "usage": 0.0000064,
        "total_cost": 0.0000064,
        "cost_tokens": "6.4",
        "service": "qwen/qwen3-8b@rhine",
    }
}
