"""The filter of the audit log."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.audit_words import AREAS


class AuditFilterForm(forms.Form):
    """All in the URL; what cannot be read is left out."""

    area = forms.ChoiceField(
        label=_("About"), required=False, choices=[("", _("Everything")), *AREAS.items()]
    )
    actor = forms.CharField(label=_("Who"), required=False, max_length=254)
    start = forms.DateField(
        label=_("From"), required=False, widget=forms.DateInput(attrs={"type": "date"})
    )
    end = forms.DateField(
        label=_("To"), required=False, widget=forms.DateInput(attrs={"type": "date"})
    )

    def readable(self) -> dict[str, Any]:
        """The values that make sense."""
        if not self.is_bound:
            return {}
        self.is_valid()
        return {name: value for name, value in self.cleaned_data.items() if value}
