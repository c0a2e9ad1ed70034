"""Figures that pages of other rooms need too: the refund rule's, and what a tenant owes."""

from django import template
from django.conf import settings

from accounts.models import Organisation
from marketplace.billing.services.crediting import PURCHASE_UNIT
from marketplace.ledger import selectors as ledger

register = template.Library()


@register.simple_tag
def refund_days() -> int | None:
    """``{% refund_days as days %}``: 0 for never, None for as long as the tokens live."""
    days: int | None = settings.REFUND_DAYS
    return days


@register.simple_tag
def debt_of(organisation: Organisation) -> int:
    """``{% debt_of organisation as debt %}``: millitokens that it owes, mostly 0."""
    return ledger.get_debt(owner_key=organisation.public_id, unit=PURCHASE_UNIT)
