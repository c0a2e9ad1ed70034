"""What a pack costs and gives, times a quantity: arithmetic shown before anything is bought."""

import hashlib
import json
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from marketplace.billing.models import Pack
from portal.kernel.errors import Rejected
from portal.kernel.quantities import MILLITOKENS_PER_TARIFF_UNIT, money_from_minor

MAX_QUANTITY = 100
_MAX_BIGINT = 2**63 - 1


class PackUnavailable(Rejected):
    """Not on sale, or not in this currency."""

    code = "pack_unavailable"
    sentence = _("This pack is not on sale in this currency. Nothing was ordered.")


class QuantityRejected(Rejected):
    """Not a whole number within MAX_QUANTITY."""

    code = "quantity_rejected"
    sentence = _("The quantity must be a whole number between 1 and 100. Nothing was ordered.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A pack at a price, all figures over the quantity. ``amount_minor`` includes ``tax_minor``."""

    pack: Pack
    quantity: int
    currency: str
    amount_minor: int
    tax_minor: int
    tax_name: str
    tax_basis_points: int
    paid_millitokens: int
    bonus_millitokens: int
    tariff_millitokens: int
    expires_after_days: int | None
    scope: str

    @property
    def name(self) -> str:
        return self.pack.name

    @property
    def summary(self) -> str:
        return self.pack.summary

    @property
    def unit_minor(self) -> int:
        """The price of one pack; exact, since the amount is a multiple of it."""
        return self.amount_minor // self.quantity

    @property
    def total_millitokens(self) -> int:
        return self.paid_millitokens + self.bonus_millitokens

    @property
    def price_per_million(self) -> Decimal:
        """Money per 1M tokens, bonus included, in the sale currency; rounded for display."""
        money = money_from_minor(self.amount_minor, self.currency)
        per_million = money * MILLITOKENS_PER_TARIFF_UNIT / self.total_millitokens
        return per_million.quantize(Decimal("0.001"), rounding=ROUND_HALF_UP)

    @property
    def saving_basis_points(self) -> int:
        """How much cheaper than list price, over all tokens that it gives; rounded down."""
        return 10_000 - -(-self.tariff_millitokens * 10_000 // self.total_millitokens)

    @property
    def terms(self) -> str:
        """A digest of all that the buyer agreed to; another price or expiry is another digest."""
        agreed = [
            self.pack.public_id,
            self.quantity,
            self.currency,
            self.amount_minor,
            self.tax_minor,
            self.tax_name,
            self.tax_basis_points,
            self.paid_millitokens,
            self.bonus_millitokens,
            self.expires_after_days,
            self.scope,
        ]
        return hashlib.sha256(json.dumps(agreed).encode()).hexdigest()


def make_offer(*, pack: Pack, currency: str, quantity: int = 1) -> Offer:
    """The pack's price in ``currency``; no currency is ever converted into another.

    Raises PackUnavailable and QuantityRejected.
    """
    if not 1 <= quantity <= MAX_QUANTITY:
        raise QuantityRejected
    price = next((price for price in pack.prices.all() if price.currency == currency), None)
    if not pack.on_sale or price is None:
        raise PackUnavailable
    amount_minor = price.amount_minor * quantity
    offer = Offer(
        pack=pack,
        quantity=quantity,
        currency=currency,
        amount_minor=amount_minor,
        tax_minor=included_tax(amount_minor, settings.TAX_BASIS_POINTS),
        tax_name=settings.TAX_NAME,
        tax_basis_points=settings.TAX_BASIS_POINTS,
        paid_millitokens=pack.paid_millitokens * quantity,
        bonus_millitokens=pack.bonus_millitokens * quantity,
        tariff_millitokens=pack.tariff_millitokens * quantity,
        expires_after_days=pack.expires_after_days,
        scope=pack.scope,
    )
    if max(offer.total_millitokens, offer.amount_minor) > _MAX_BIGINT:
        raise QuantityRejected(_("That is more than one order can hold. Nothing was ordered."))
    return offer


def included_tax(amount_minor: int, basis_points: int) -> int:
    """The tax that a price contains, in minor units, half up: 19 % of $119.00 is $19.00."""
    whole = 10_000 + basis_points
    return (2 * amount_minor * basis_points + whole) // (2 * whole)
