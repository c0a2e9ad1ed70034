"""What callers ask of us, not of the model: ``tokenworks`` in the body, and its headers."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal, InvalidOperation
from typing import Any

from django.utils.translation import gettext_lazy as _

from marketplace.gateway.errors import refuse_value
from marketplace.gateway.fields import read_flag, read_object

MAX_COST_HEADER = b"x-tokenworks-max-cost"
_FIELDS = frozenset({"max_cost", "drop_unsupported"})
# More than any wallet has; keeps the arithmetic small.
_MOST_TOKENS = Decimal(10) ** 15
_LONGEST_NUMBER = 40


@dataclass(frozen=True, slots=True)
class Wishes:
    """``max_cost`` is in millitokens, None for no limit of the caller's.

    ``drop_unsupported``: leave away what no service of the model supports, instead of refusing.
    """

    max_cost: int | None = None
    drop_unsupported: bool = False


NO_WISHES = Wishes()


def read_wishes(body: Mapping[str, Any], headers: Mapping[bytes, bytes]) -> Wishes:
    """Raises GatewayRefusal. An unknown name is refused: a slip must not lift a limit."""
    header = headers.get(MAX_COST_HEADER)
    asked = read_object(body, "tokenworks")
    if not asked and header is None:
        return NO_WISHES
    for name in asked:
        if name not in _FIELDS:
            raise refuse_value(
                f"tokenworks.{name[:60]}",
                _("tokenworks has no such field. It knows: %(names)s."),
                names=", ".join(sorted(_FIELDS)),
            )
    limits = []
    if asked.get("max_cost") is not None:
        limits.append(_read_tokens(asked["max_cost"], "tokenworks.max_cost"))
    if header is not None:
        limits.append(_read_tokens(header.decode("latin-1"), MAX_COST_HEADER.decode()))
    return Wishes(
        max_cost=min(limits, default=None),
        drop_unsupported=read_flag(asked, "drop_unsupported", param="tokenworks.drop_unsupported"),
    )


def _read_tokens(value: object, param: str) -> int:
    """Wallet tokens as a number or a decimal string, in millitokens, rounded down."""
    number = None
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        # A float's shortest text is the number that stood in the JSON.
        text = str(value).strip()
        try:
            number = Decimal(text) if len(text) <= _LONGEST_NUMBER else None
        except InvalidOperation:
            number = None
    if number is None or not number.is_finite() or number < 0:
        raise refuse_value(
            param, _("%(name)s must be a number of tokens, not below 0."), name=param
        )
    return int((min(number, _MOST_TOKENS) * 1000).to_integral_value(ROUND_FLOOR))
