"""Prices of packs in their sale currency, which need not be the tariff currency."""

from django import template
from django.conf import settings
from django.utils.translation import get_language, gettext

from marketplace.billing.offers import Offer
from portal.kernel import quantities

register = template.Library()


@register.filter
def per_million(offer: Offer) -> str:
    """``{{ offer|per_million }}`` → ``€0.86 / 1M tokens``, bonus tokens included."""
    language = get_language() or settings.LANGUAGE_CODE
    price = quantities.format_price(offer.price_per_million, offer.currency, language)
    return gettext("%(price)s / 1M tokens") % {"price": price}
