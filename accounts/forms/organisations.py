"""A company and its settings; a person and theirs."""

from typing import Any

from babel import Locale
from django import forms
from django.conf import settings
from django.utils.translation import get_language, to_locale
from django.utils.translation import gettext_lazy as _

from accounts.models import Organisation, User
from accounts.time_zones import TIME_ZONES


class NewOrganisationForm(forms.Form):
    """Another organisation of the same person."""

    name = forms.CharField(
        label=_("Company"),
        max_length=120,
        widget=forms.TextInput(attrs={"autocomplete": "organization"}),
    )


class OrganisationForm(forms.ModelForm):
    """What owners may change; the service writes it."""

    class Meta:
        model = Organisation
        fields = (
            "name",
            "legal_name",
            "address",
            "tax_id",
            "country",
            "timezone",
            "billing_email",
            "two_factor_required",
        )
        widgets = {
            "address": forms.Textarea(attrs={"rows": 3, "autocomplete": "street-address"}),
        }
        help_texts = {
            "legal_name": _("As it stands in the register; for invoices."),
            "address": _("Street, postcode and city, as they should stand on invoices."),
            "tax_id": _("In the European Union the VAT number, in China the credit code."),
            "timezone": _("Days, months and caps are counted in it."),
            "billing_email": _("Invoices go there. Who is told of what else, each member chooses."),
            "two_factor_required": _(
                "Members without an authenticator app or passkey are asked to set one up before "
                "they can go on."
            ),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        zones = sorted({*TIME_ZONES, self.instance.timezone})
        self.fields["timezone"] = forms.ChoiceField(
            label=_("Time zone"),
            choices=[(zone, zone.replace("_", " ")) for zone in zones],
            help_text=self.fields["timezone"].help_text,
        )
        self.fields["country"] = forms.ChoiceField(
            label=_("Country or region"),
            choices=[("", "—"), *_countries()],
            required=False,
            widget=forms.Select(attrs={"autocomplete": "country"}),
        )


class ProfileForm(forms.ModelForm):
    """How a person is called, and in which language the portal and its mails speak to them."""

    language = forms.ChoiceField(label=_("Language"), choices=settings.LANGUAGES)

    class Meta:
        model = User
        fields = ("name", "language")
        help_texts = {"name": _("Colleagues see it beside what you do.")}


def _countries() -> list[tuple[str, str]]:
    """ISO 3166 codes with their names in the present language, by name."""
    names = Locale.parse(to_locale(get_language() or "en")).territories
    countries = [
        (code, name)
        for code, name in names.items()
        if len(code) == 2 and code.isalpha() and code not in _NO_COUNTRIES
    ]
    # GB 18030 keeps the common Chinese characters in the order of their pinyin; ASCII stays ASCII.
    return sorted(countries, key=lambda pair: pair[1].encode("gb18030"))


# Codes in Unicode's data that are groups, outlying parts or placeholders.
_NO_COUNTRIES = frozenset("AC CP CQ DG EA EU EZ IC QO TA UN XA XB ZZ".split())
