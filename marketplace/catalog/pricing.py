"""What a call costs: exact integer arithmetic on millitokens, nothing rounds.

A price is millitokens of the wallet per token of the model, so Σ quantity × price is the charge.
"""

from dataclasses import dataclass

# The mix by which services are compared when nothing is known of the buyer's work: a call of a
# thousand model tokens, three quarters of them input.
TYPICAL_INPUT_TOKENS = 750
TYPICAL_OUTPUT_TOKENS = 250
TYPICAL_TOKENS = TYPICAL_INPUT_TOKENS + TYPICAL_OUTPUT_TOKENS


@dataclass(frozen=True, slots=True)
class PriceSnapshot:
    """One price version, as a call remembers it. All amounts are millitokens."""

    price_version_pk: int
    public_id: str
    input_millitokens: int
    cached_input_millitokens: int
    output_millitokens: int
    request_millitokens: int


def charge(
    price: PriceSnapshot, *, prompt_tokens: int, cached_tokens: int, completion_tokens: int
) -> int:
    """The exact charge in millitokens.

    ``cached_tokens`` are those of ``prompt_tokens`` that the provider took from its cache; they
    are charged at the cached price and never also as input. Raises ``ValueError`` for quantities
    that cannot be (negative, or more cached than prompted).
    """
    if min(prompt_tokens, cached_tokens, completion_tokens) < 0:
        raise ValueError("quantities are not negative")
    if cached_tokens > prompt_tokens:
        raise ValueError("no more of the prompt can come from the cache than there is")
    return (
        price.input_millitokens * (prompt_tokens - cached_tokens)
        + price.cached_input_millitokens * cached_tokens
        + price.output_millitokens * completion_tokens
        + price.request_millitokens
    )


def upper_bound(price: PriceSnapshot, *, prompt_tokens: int, completion_tokens: int) -> int:
    """The most that a call of these bounds can cost in millitokens, whatever the cache does."""
    if min(prompt_tokens, completion_tokens) < 0:
        raise ValueError("quantities are not negative")
    dearest_input = max(price.input_millitokens, price.cached_input_millitokens)
    return (
        dearest_input * prompt_tokens
        + price.output_millitokens * completion_tokens
        + price.request_millitokens
    )


def typical_cost(price: PriceSnapshot) -> int:
    """Millitokens for a thousand model tokens, 750 in and 250 out: the order of "cheapest first"
    among a model's services (embeddings have no output price, so input alone decides)."""
    return (
        TYPICAL_INPUT_TOKENS * price.input_millitokens
        + TYPICAL_OUTPUT_TOKENS * price.output_millitokens
        + price.request_millitokens
    )
