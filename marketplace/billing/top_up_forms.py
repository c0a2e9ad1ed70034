"""The form of an automatic top-up: what is bought, when, and how much at most."""

from decimal import Decimal
from typing import Any

from django import forms
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_lazy as _

from accounts.models import Organisation
from marketplace.billing import top_up_state
from marketplace.billing.currencies import SALE_CURRENCIES
from marketplace.billing.models import SavedCard, TopUpRule
from marketplace.billing.offers import (
    MAX_QUANTITY,
    Offer,
    PackUnavailable,
    QuantityRejected,
    make_offer,
)
from marketplace.billing.services import TopUpTerms, TopUpTermsRejected, refuse_terms
from portal.kernel import quantities
from portal.kernel.quantities import MILLITOKENS_PER_TOKEN, minor_digits

_MOST_TOKENS = 10**15


class TopUpForm(forms.Form):
    """Sent twice: by GET to read what it means, and by POST, with the digest of that, to agree."""

    pack = forms.ChoiceField(label=_("Buy"))
    quantity = forms.IntegerField(
        label=_("Quantity"), min_value=1, max_value=MAX_QUANTITY, initial=1
    )
    threshold = forms.IntegerField(
        label=_("When fewer tokens than this are free"),
        help_text=_("Tokens that are good for everything and not set aside by running calls."),
        min_value=1,
        max_value=_MOST_TOKENS,
    )
    cap = forms.DecimalField(
        label=_("At most in one calendar month"),
        help_text=_("In the currency of the price. Beyond it nothing is charged."),
        min_value=Decimal("0.01"),
        max_digits=14,
        decimal_places=2,
    )

    def __init__(self, *args: Any, organisation: Organisation, card: SavedCard, **more: Any):
        super().__init__(*args, **more)
        self._organisation, self._card = organisation, card
        self._offers = {f"{one.pack.slug}:{one.currency}": one for one in list_top_up_offers()}
        field = self.fields["pack"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [(value, _label(offer)) for value, offer in self._offers.items()]
        for name in ("quantity", "threshold"):
            self.fields[name].widget.attrs["inputmode"] = "numeric"
        self.fields["cap"].widget.attrs["inputmode"] = "decimal"
        self.terms: TopUpTerms | None = None

    def clean(self) -> dict[str, Any]:
        said = super().clean() or {}
        if not self.errors:
            self._read_terms(said)
        return said

    def _read_terms(self, said: dict[str, Any]) -> None:
        shown = self._offers[said["pack"]]
        cap_minor = said["cap"].scaleb(minor_digits(shown.currency))
        if cap_minor != cap_minor.to_integral_value():
            self.add_error("cap", gettext("This currency has no smaller coins: no decimals."))
            return
        try:
            offer = make_offer(pack=shown.pack, currency=shown.currency, quantity=said["quantity"])
            terms = TopUpTerms(
                organisation=self._organisation,
                card=self._card,
                offer=offer,
                threshold_millitokens=said["threshold"] * MILLITOKENS_PER_TOKEN,
                cap_minor=int(cap_minor),
            )
            refuse_terms(terms)
        except TopUpTermsRejected as refusal:
            self.add_error(refusal.data["field"], str(refusal))
            return
        except (PackUnavailable, QuantityRejected) as refusal:
            self.add_error("quantity", str(refusal))
            return
        self.terms = terms


def list_top_up_offers() -> list[Offer]:
    """Packs that are good for everything, in every currency that they are sold in."""
    packs = top_up_state.list_packs()
    return [
        make_offer(pack=pack, currency=currency)
        for currency in SALE_CURRENCIES
        for pack in packs
        if any(price.currency == currency for price in pack.prices.all())
    ]


def describe_rule(rule: TopUpRule) -> dict[str, Any]:
    """What its form says of a rule."""
    return {
        "pack": f"{rule.pack.slug}:{rule.currency}",
        "quantity": rule.quantity,
        "threshold": rule.threshold_millitokens // MILLITOKENS_PER_TOKEN,
        "cap": quantities.money_from_minor(rule.cap_minor, rule.currency),
    }


def _label(offer: Offer) -> str:
    language = get_language() or "en"
    return gettext("%(pack)s: %(tokens)s tokens for %(amount)s") % {
        "pack": offer.name,
        "tokens": quantities.format_tokens(offer.total_millitokens, language),
        "amount": quantities.format_money(offer.amount_minor, offer.currency, language),
    }
