"""The filter of the request list; it lives in the URL."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.models import Organisation, User
from marketplace.metering import selectors
from marketplace.metering.models import CallStatus


class RequestFilterForm(forms.Form):
    """All optional; what cannot be read is said and not applied."""

    since = forms.DateField(
        label=_("From"), required=False, widget=forms.DateInput(attrs={"type": "date"})
    )
    until = forms.DateField(
        label=_("To"), required=False, widget=forms.DateInput(attrs={"type": "date"})
    )
    service = forms.ChoiceField(label=_("Service"), required=False)
    key = forms.ChoiceField(label=_("Key"), required=False)
    status = forms.ChoiceField(
        label=_("Status"), required=False, choices=[("", _("Any")), *CallStatus.choices]
    )

    def __init__(
        self, *args: Any, organisation: Organisation, member: User | None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        choices = selectors.get_filter_choices(organisation=organisation, member=member)
        self.fields["service"].choices = [("", _("All")), *choices.services]  # type: ignore[attr-defined]
        self.fields["key"].choices = [("", _("All")), *choices.keys]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        since, until = cleaned.get("since"), cleaned.get("until")
        if since and until and since > until:
            self.add_error("until", _("The last day is before the first."))
        return cleaned
