"""A provider's API keys."""

from django import forms
from django.utils.translation import gettext_lazy as _


class ProviderKeyForm(forms.Form):
    """A new provider key."""

    name = forms.CharField(
        label=_("Name"),
        max_length=80,
        help_text=_("Where it will be used, for example “Billing exporter”."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    # Makes a double submit one key: the page that shows it cannot be repeated.
    once = forms.CharField(max_length=40, widget=forms.HiddenInput)
