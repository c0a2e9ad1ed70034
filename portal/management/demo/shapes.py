"""The shapes of the demo's data. Prices are millitokens per model token: 800 is 0.80 per 1M."""

from dataclasses import dataclass, field
from datetime import date

# Eight parameters that nearly every OpenAI-compatible server takes.
CHAT_PARAMETERS = (
    "frequency_penalty",
    "max_tokens",
    "presence_penalty",
    "response_format",
    "seed",
    "stop",
    "temperature",
    "top_p",
)
# What llama.cpp's server does beyond that.
CONNECTED_PARAMETERS = (
    *CHAT_PARAMETERS,
    "logit_bias",
    "logprobs",
    "min_p",
    "structured_outputs",
    "top_k",
    "top_logprobs",
)
TOOL_PARAMETERS = (*CHAT_PARAMETERS, "tool_choice", "tools")
EMBEDDING_PARAMETERS = ("encoding_format",)


@dataclass(frozen=True, kw_only=True)
class DemoModel:
    """Facts of published weights, as their authors state them."""

    handle: str
    name: str
    family: str
    author: str
    released_on: date
    licence_spdx: str
    context_length: int
    parameters_millions: int
    languages: tuple[str, ...]
    tasks: tuple[str, ...]
    industries: tuple[str, ...]
    summary_en: str
    summary_zh: str
    modality: str = "chat"
    input_modalities: tuple[str, ...] = ("text",)
    parameters: tuple[str, ...] = TOOL_PARAMETERS


@dataclass(frozen=True, kw_only=True)
class DemoProvider:
    """An invented company."""

    slug: str
    name: str
    country: str
    timezone: str
    summary_en: str
    summary_zh: str


@dataclass(frozen=True, kw_only=True)
class Prices:
    """Per model token; the cached price applies to input that the provider still remembers."""

    input: int
    output: int = 0
    cached_input: int | None = None


@dataclass(frozen=True, kw_only=True)
class DemoOffer:
    """One model at one provider. ``serves`` names the demo server behind it; None: a sample."""

    model: str
    provider: str
    region: str
    country: str
    quantisation: str
    price: Prices
    days_live: int
    serves: str | None = None
    test: bool = False
    context_length: int | None = None
    max_output_tokens: int = 8192
    retains_prompts_days: int = 0
    trains_on_data: bool = False
    cut_stream_billing: str = "delivered"
    summary_en: str = ""
    summary_zh: str = ""
    # What it cost before, until so many days ago; and what it will cost, in so many days.
    earlier_price: Prices | None = None
    changed_days_ago: int = 0
    coming_price: Prices | None = None
    coming_in_days: int = 0


@dataclass(frozen=True, kw_only=True)
class DemoPack:
    """A token pack; prices in minor units, tokens in whole tokens."""

    slug: str
    name_en: str
    name_zh: str
    summary_en: str
    summary_zh: str
    paid_tokens: int
    bonus_tokens: int = 0
    expires_after_days: int | None = 365
    prices: dict[str, int] = field(default_factory=dict)
