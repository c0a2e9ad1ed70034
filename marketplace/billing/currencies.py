"""The currencies that packs may be sold in: an allow-list, their minor units from the kernel.

A currency is added here on purpose, after somebody has checked that the payment provider
charges it in the same minor unit as ISO 4217 (some don't, for ISK or UGX). Nothing multiplies
by 100: amounts are integers in the minor unit from the price list to the payment.
"""

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

SALE_CURRENCIES = (
    "USD", "EUR", "GBP", "CNY", "JPY", "AUD", "CAD", "CHF", "HKD", "INR", "KRW", "NZD", "SGD",
)  # fmt: skip


def validate_sale_currency(code: str) -> None:
    """For model and form fields: refuses what is not on the list, in whatever case."""
    if code not in SALE_CURRENCIES:
        raise ValidationError(
            _("Packs cannot be sold in %(code)s. Choose one of: %(known)s."),
            code="unknown_currency",
            params={"code": code, "known": ", ".join(SALE_CURRENCIES)},
        )
