"""A service's terms and prices."""

from collections.abc import Mapping
from datetime import datetime, time
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.utils.translation import gettext_lazy as _

from marketplace.catalog.models import (
    MOST_PER_MINUTE,
    AIModel,
    CutStreamBilling,
    PriceVersion,
    Service,
)
from marketplace.catalog.vocabulary import QUANTISATIONS, REGIONS, Term

PRICE_MEMBERS = ("input", "cached_input", "output", "request")
MOST_PER_MILLION = Decimal(1000)


def _choices(terms: Mapping[str, Term]) -> list[tuple[str, Any]]:
    return [(term.code, term.label) for term in terms.values()]


def _price_field(label: object, **kwargs: Any) -> forms.DecimalField:
    """At most three decimals, so that it is a whole number of millitokens."""
    return forms.DecimalField(
        label=label,  # type: ignore[arg-type]
        min_value=0,
        max_value=MOST_PER_MILLION,
        decimal_places=3,
        max_digits=7,
        widget=forms.NumberInput(attrs={"inputmode": "decimal"}),
        **kwargs,
    )


class ListingForm(forms.Form):
    """What a provider states of a service. ``has_credential``: one is stored already."""

    region = forms.ChoiceField(label=_("Region"), choices=_choices(REGIONS))
    country = forms.CharField(
        label=_("Country"),
        min_length=2,
        max_length=2,
        help_text=_("Where the prompts are processed: two letters, such as DE or CN."),
    )
    quantisation = forms.ChoiceField(
        label=_("Quantisation"), choices=_choices(QUANTISATIONS), initial="unknown"
    )
    context_length = forms.IntegerField(
        label=_("Context length, in tokens"),
        required=False,
        min_value=1,
        help_text=_("Leave empty to serve all that the model has."),
        widget=forms.NumberInput(attrs={"inputmode": "numeric"}),
    )
    max_output_tokens = forms.IntegerField(
        label=_("Longest answer, in tokens"), min_value=1, max_value=10_000_000, initial=4096
    )
    endpoint_url = forms.CharField(
        label=_("Endpoint"),
        required=False,
        max_length=300,
        help_text=_(
            "The base address of your OpenAI-compatible API, such as https://api.example.com/v1. "
            "Leave it empty if you serve direct calls only."
        ),
        widget=forms.TextInput(attrs={"inputmode": "url", "autocomplete": "off"}),
    )
    credential = forms.CharField(
        label=_("Credential"),
        required=False,
        max_length=2000,
        strip=True,
        help_text=_("Sent to your endpoint as a bearer token. Kept encrypted and never shown."),
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
    )
    upstream_model = forms.CharField(
        label=_("Model name at your endpoint"),
        required=False,
        max_length=120,
        help_text=_("Leave empty if it is the same as here."),
    )
    supported_parameters = forms.CharField(
        label=_("Supported parameters"),
        required=False,
        max_length=1000,
        help_text=_("Separated by commas, such as temperature, top_p, tools."),
    )
    cut_stream_billing = forms.ChoiceField(
        label=_("When a client leaves in the middle of a stream, you bill"),
        choices=CutStreamBilling.choices,
        initial=CutStreamBilling.DELIVERED,
    )
    requests_per_minute = forms.IntegerField(
        label=_("Requests per minute"),
        required=False,
        min_value=1,
        max_value=MOST_PER_MINUTE,
        help_text=_("What it takes from all callers together. Empty: no limit."),
    )
    tokens_per_minute = forms.IntegerField(
        label=_("Model tokens per minute"),
        required=False,
        min_value=1,
        max_value=MOST_PER_MINUTE,
        help_text=_("Beyond it calls go to other services of the model. Empty: no limit."),
    )
    retains_prompts_days = forms.IntegerField(
        label=_("Days that you keep prompts"), min_value=0, max_value=3650, initial=0
    )
    trains_on_data = forms.BooleanField(label=_("Prompts are used for training"), required=False)
    summary_en = forms.CharField(
        label=_("Summary in English"),
        required=False,
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    summary_zh = forms.CharField(
        label=_("Summary in Chinese"),
        required=False,
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 3}),
    )

    def __init__(self, *args: Any, has_credential: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if has_credential:
            self.fields["credential"].help_text = _(
                "One is stored. Leave this empty to keep it; a new endpoint needs it again."
            )

    def clean_country(self) -> str:
        return str(self.cleaned_data["country"]).upper()

    def clean_supported_parameters(self) -> list[str]:
        names = str(self.cleaned_data["supported_parameters"]).split(",")
        return [name.strip() for name in names if name.strip()]

    def terms(self, *, whole_context: int) -> dict[str, Any]:
        """For the catalogue; an empty credential leaves the stored one as it is."""
        terms = {name: self.cleaned_data[name] for name in ListingForm.base_fields}
        terms["context_length"] = terms["context_length"] or whole_context
        if not terms["credential"]:
            del terms["credential"]
        return terms

    @staticmethod
    def initial_of(service: Service) -> dict[str, Any]:
        """The form as the service stands, without its credential."""
        initial = {name: getattr(service, name) for name in ListingForm.base_fields}
        initial["supported_parameters"] = ", ".join(service.supported_parameters)
        initial.pop("credential")
        return initial


class NewListingForm(ListingForm):
    """A new draft: also which model, and whether it serves test keys."""

    model = forms.ModelChoiceField(
        label=_("Model"), queryset=AIModel.objects.order_by("name"), empty_label=_("Choose…")
    )
    test = forms.BooleanField(
        label=_("Test service"),
        required=False,
        help_text=_("Serves test keys only. Test tokens are free, and never paid out."),
    )

    field_order = ["model", "test"]


class PriceForm(forms.Form):
    """New prices per 1M tokens and when they begin. ``timezone`` is the provider's."""

    input = _price_field(_("Input, per 1M tokens"))
    cached_input = _price_field(
        _("Input from the cache, per 1M tokens"),
        help_text=_("What callers pay for the part of a prompt that you had cached."),
    )
    output = _price_field(_("Output, per 1M tokens"), initial=0)
    request = _price_field(_("Per request, in wallet tokens"), initial=0, help_text=_("Usually 0."))
    begins_on = forms.DateField(
        label=_("First day"),
        required=False,
        help_text=_("In your time zone. Leave empty for as soon as possible."),
        widget=forms.DateInput(attrs={"type": "date"}),
    )

    def __init__(self, *args: Any, timezone: str, now: datetime, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.zone, self.now = ZoneInfo(timezone), now

    def clean_begins_on(self) -> datetime | None:
        """The start of that day there; None for as soon as possible."""
        day = self.cleaned_data["begins_on"]
        if day is None:
            return None
        begins_at = datetime.combine(day, time.min, self.zone)
        if begins_at < self.now:
            raise forms.ValidationError(_("Choose a day to come."))
        return begins_at

    @staticmethod
    def initial_of(price: PriceVersion | None) -> dict[str, Any]:
        """The form as the prices stand now."""
        if price is None:
            return {}
        return {
            name: Decimal(getattr(price, f"{name}_millitokens")) / 1000 for name in PRICE_MEMBERS
        }

    def prices(self) -> dict[str, int]:
        """Millitokens per model token, as the catalogue stores them."""
        return {
            f"{name}_millitokens": int(self.cleaned_data[name] * 1000) for name in PRICE_MEMBERS
        }
