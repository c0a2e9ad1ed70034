"""How much a provider wishes to hold for a direct call: counted in quantities, or an amount."""

import hashlib
import json
from dataclasses import dataclass

from django.utils.translation import gettext_lazy as _

from marketplace.catalog.pricing import PriceSnapshot, upper_bound
from marketplace.partners.quantities import Quantities, most_for
from marketplace.partners.services.hold_refusals import HoldRejected


@dataclass(frozen=True)
class Wish:
    """How much to hold: the most of each kind of model tokens, or an amount (rounded down)."""

    quantities: Quantities | None = None
    amount_millitokens: int | None = None


def bound_wish(wish: Wish, price: PriceSnapshot) -> Quantities:
    """The most that is wished for, in model tokens. Raises HoldRejected."""
    if wish.amount_millitokens is None:
        return wish.quantities or Quantities()
    quantities = most_for(price, amount_millitokens=wish.amount_millitokens)
    if _cost_at_most(quantities, price) > wish.amount_millitokens:
        raise HoldRejected(_("The amount is less than one request costs."))
    return quantities


def price_extension(wish: Wish, price: PriceSnapshot) -> int:
    """How many millitokens more are wished for: the request itself is held already.

    Raises HoldRejected when it is nothing.
    """
    extra = wish.amount_millitokens
    if extra is None:
        extra = _cost_at_most(wish.quantities or Quantities(), price) - price.request_millitokens
    if extra <= 0:
        raise HoldRejected(_("Say how much more to hold."))
    return extra


def hash_wish(wish: Wish, *, grant_id: str) -> str:
    """Of the words, not of what they come to: a repeat is one at another price too."""
    content: list[object] = [grant_id, wish.amount_millitokens]
    if wish.amount_millitokens is None:
        wanted = wish.quantities or Quantities()
        content = [grant_id, wanted.prompt_tokens, wanted.completion_tokens]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _cost_at_most(quantities: Quantities, price: PriceSnapshot) -> int:
    return upper_bound(
        price,
        prompt_tokens=quantities.prompt_tokens,
        completion_tokens=quantities.completion_tokens,
    )
