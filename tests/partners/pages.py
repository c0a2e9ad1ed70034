"""Providers' pages by hand: their addresses, and what their forms are filled with."""

from typing import Any

from django.urls import reverse

from marketplace.catalog.models import Provider

FORM = {
    "region": "eu-central",
    "country": "de",
    "quantisation": "fp8",
    "max_output_tokens": "4096",
    "endpoint_url": "https://inference.rhine.example/v1",
    "credential": "sk-upstream",
    "supported_parameters": "temperature, top_p",
    "cut_stream_billing": "delivered",
    "retains_prompts_days": "0",
    "summary_en": "Fast <b>and</b> near.",
}
PRICES = {"input": "0.2", "cached_input": "0.05", "output": "0.8", "request": "0"}


def page(name: str, provider: Provider, **more: str) -> str:
    return reverse(f"partners:{name}", kwargs={"provider": provider.slug, **more})


def errors_of(response: Any) -> dict[str, list[str]]:
    return dict(response.context["form"].errors)
