"""Prices of packs in their sale currency, which need not be the tariff currency; countries."""

from django import template
from django.conf import settings
from django.utils.translation import get_language, gettext

from marketplace.billing.offers import Offer
from marketplace.catalog import vocabulary
from portal.kernel import quantities

register = template.Library()


@register.filter
def per_million(offer: Offer) -> str:
    """``{{ offer|per_million }}`` → ``€0.86 / 1M tokens``, bonus tokens included."""
    language = get_language() or settings.LANGUAGE_CODE
    price = quantities.format_price(offer.price_per_million, offer.currency, language)
    return gettext("%(price)s / 1M tokens") % {"price": price}


@register.filter
def country(code: str) -> str:
    """``{{ party.country|country }}``: its name; a text that is no code reads as itself."""
    return vocabulary.country_label(code)
