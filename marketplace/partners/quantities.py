"""Model tokens of a call, what they cost, and how much of them a hold pays for. Pure."""

from dataclasses import dataclass

from marketplace.catalog.pricing import PriceSnapshot, charge


@dataclass(frozen=True, kw_only=True)
class Quantities:
    """``cached_tokens`` are a part of ``prompt_tokens``."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0

    def cost(self, price: PriceSnapshot) -> int:
        """Millitokens; raises ValueError when more is cached than prompted."""
        return charge(
            price,
            prompt_tokens=self.prompt_tokens,
            cached_tokens=self.cached_tokens,
            completion_tokens=self.completion_tokens,
        )


def fit(wanted: Quantities, price: PriceSnapshot, *, held_millitokens: int) -> Quantities:
    """What a hold pays for of ``wanted``: the prompt first, then as much answer as is left.

    A charge is always quantities times price, so that it can be recalculated from its record;
    hence quantities are cut and not the amount.
    """
    if wanted.cost(price) <= held_millitokens:
        return wanted
    left = max(held_millitokens - price.request_millitokens, 0)
    cached, left = _affordable(wanted.cached_tokens, price.cached_input_millitokens, left)
    fresh, left = _affordable(
        wanted.prompt_tokens - wanted.cached_tokens, price.input_millitokens, left
    )
    answer, left = _affordable(wanted.completion_tokens, price.output_millitokens, left)
    return Quantities(prompt_tokens=cached + fresh, cached_tokens=cached, completion_tokens=answer)


def most_for(price: PriceSnapshot, *, amount_millitokens: int) -> Quantities:
    """The most of the dearest kind of tokens that an amount pays for: a hold for an amount."""
    left = max(amount_millitokens - price.request_millitokens, 0)
    if price.output_millitokens >= price.input_millitokens and price.output_millitokens:
        return Quantities(completion_tokens=left // price.output_millitokens)
    return Quantities(
        prompt_tokens=left // price.input_millitokens if price.input_millitokens else 0
    )


def _affordable(count: int, price: int, left: int) -> tuple[int, int]:
    taken = min(count, left // price) if price else count
    return taken, left - taken * price
