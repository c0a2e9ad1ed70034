"""Where an organisation's systems are told of events."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.models import WebhookEvent

_CHOICES = [choice for choice in WebhookEvent.choices if choice[0] != WebhookEvent.TEST]


class WebhookForm(forms.Form):
    """An address and what it is told of."""

    url = forms.CharField(
        label=_("Web address"),
        max_length=500,
        help_text=_("Begins with https:// and answers within 15 seconds. Redirects are not "
                    "followed."),
        widget=forms.URLInput(attrs={"placeholder": "https://example.com/hooks"}),
    )  # fmt: skip
    event_types = forms.MultipleChoiceField(
        label=_("Events"), choices=_CHOICES, widget=forms.CheckboxSelectMultiple
    )

    def settings(self) -> dict[str, Any]:
        """What ``create_webhook`` and ``change_webhook`` take."""
        return {name: self.cleaned_data[name] for name in ("url", "event_types")}


class OnceForm(forms.Form):
    """Makes a double submit one secret: the page that shows it cannot be repeated."""

    once = forms.CharField(max_length=40, widget=forms.HiddenInput)


class NewWebhookForm(WebhookForm, OnceForm):
    """Its answer shows the secret."""
