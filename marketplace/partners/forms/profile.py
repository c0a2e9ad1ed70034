"""A provider's public profile."""

from django import forms
from django.utils.translation import gettext_lazy as _


class ProfileForm(forms.Form):
    """What buyers read about a provider."""

    name = forms.CharField(
        label=_("Public name"),
        max_length=120,
        help_text=_("As buyers will see it. Its short form becomes part of your services' names."),
        widget=forms.TextInput(attrs={"autocomplete": "organization"}),
    )
    country = forms.CharField(
        label=_("Country"),
        min_length=2,
        max_length=2,
        help_text=_("Two letters, such as DE or CN."),
        widget=forms.TextInput(attrs={"autocomplete": "country"}),
    )
    website = forms.URLField(
        label=_("Website"), required=False, max_length=200, assume_scheme="https"
    )
    summary_en = forms.CharField(
        label=_("About you, in English"),
        required=False,
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    summary_zh = forms.CharField(
        label=_("About you, in Chinese"),
        required=False,
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 3}),
    )

    def clean_country(self) -> str:
        return str(self.cleaned_data["country"]).upper()
