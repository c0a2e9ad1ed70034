"""Examples in the API's description, written once."""

from drf_spectacular.utils import OpenApiExample

PRICES = {"input": "0.2", "cached_input": "0.05", "output": "0.8", "request": "0"}
LISTING = {
    "id": "svc_01kb7z5d3fgh8j9k2m4n6p7q8r",
    "handle": "qwen/qwen3-8b@rhine-compute",
    "model": "qwen/qwen3-8b",
    "status": "live",
    "test": False,
    "region": "eu-central",
    "country": "DE",
    "quantisation": "fp8",
    "context_length": 32768,
    "max_output_tokens": 8192,
    "endpoint_url": "https://inference.rhine.example/v1",
    "upstream_model": "Qwen/Qwen3-8B",
    "has_credential": True,
    "supported_parameters": ["temperature", "top_p", "tools"],
    "cut_stream_billing": "delivered",
    "requests_per_minute": 600,
    "tokens_per_minute": None,
    "retains_prompts_days": 0,
    "trains_on_data": False,
    "summary_en": "Qwen3 8B in Frankfurt, no prompt is kept.",
    "summary_zh": "",
    "prices": {
        "id": "prc_01kb7z5d3fgh8j9k2m4n6p7q8s",
        "number": 1,
        "effective_at": "2026-11-03T09:00:00Z",
        "prices": PRICES,
        "created_at": "2026-11-03T09:00:00Z",
    },
    "review": None,
    "created_at": "2026-11-03T08:55:00Z",
    "went_live_at": "2026-11-03T12:30:00Z",
}
TERMS = {
    "region": "eu-central",
    "country": "DE",
    "quantisation": "fp8",
    "endpoint_url": "https://inference.rhine.example/v1",
    "credential": "sk-your-own-secret",
    "upstream_model": "Qwen/Qwen3-8B",
    "supported_parameters": ["temperature", "top_p", "tools"],
}
NEW_LISTING = {"model": "qwen/qwen3-8b", **TERMS, "prices": PRICES}


def example(
    name: str, value: object, *, request: bool = False, media_type: str = "application/json"
) -> OpenApiExample:
    """An example of a body that is sent or answered."""
    return OpenApiExample(
        name,
        value=value,
        request_only=request,
        response_only=not request,
        media_type=media_type,
    )
