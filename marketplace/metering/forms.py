"""The filter of the request list, which lives in the URL, and the forms of budgets."""

import re
from decimal import Decimal
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts import selectors as accounts
from accounts.models import CapPeriod, Organisation, User
from marketplace.ledger.models import Unit
from marketplace.metering import selectors
from marketplace.metering.models import Budget, CallStatus


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


MILLITOKENS_PER_TOKEN = 1000
MAX_BUDGET_TOKENS = 10**15
WHOLE_ORGANISATION = "all"


class BudgetForm(forms.Form):
    """What can be changed of a budget."""

    max_tokens = forms.DecimalField(
        label=_("At most, in tokens"),
        min_value=Decimal("0.001"),
        max_value=MAX_BUDGET_TOKENS,
        decimal_places=3,
        help_text=_("Calls that could exceed it are refused, and nothing is charged then."),
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
    )
    alerts = forms.CharField(
        label=_("Tell at, in percent"),
        initial="80, 100",
        required=False,
        max_length=100,
        help_text=_(
            "For example 50, 80, 100. Owners and billing are told, and the member of a member's "
            "budget. Empty: nobody is."
        ),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )

    @classmethod
    def initial_of(cls, budget: Budget) -> dict[str, Any]:
        """As the budget is."""
        tokens = Decimal(budget.max_millitokens) / MILLITOKENS_PER_TOKEN
        whole = tokens.to_integral_value()
        return {
            "max_tokens": whole if whole == tokens else tokens,
            "alerts": ", ".join(map(str, budget.alert_percentages)),
        }

    def clean_alerts(self) -> list[int]:
        """From "50, 80, 100" in any order, with or without signs."""
        words = re.split(r"[\s,，;%]+", self.cleaned_data["alerts"].strip(" ,%"))
        if not all(re.fullmatch("[0-9]{1,3}", word) for word in words if word):
            raise forms.ValidationError(_("Write whole percentages, such as 50, 80, 100."))
        percentages = sorted({int(word) for word in words if word})
        if not all(1 <= percent <= 100 for percent in percentages):
            raise forms.ValidationError(_("Choose percentages from 1 to 100."))
        return percentages

    def settings(self) -> dict[str, Any]:
        """What the services take."""
        return {
            "max_millitokens": int(self.cleaned_data["max_tokens"] * MILLITOKENS_PER_TOKEN),
            "alert_percentages": self.cleaned_data["alerts"],
        }


class NewBudgetForm(BudgetForm):
    """A budget with all that stays as it was made."""

    whose = forms.ChoiceField(label=_("Whose calls count"), initial=WHOLE_ORGANISATION)
    period = forms.ChoiceField(
        label=_("Period"),
        choices=CapPeriod.choices,
        initial=CapPeriod.MONTH,
        help_text=_("In your time zone. What is spent in the running one counts already."),
    )
    unit = forms.ChoiceField(
        label=_("Tokens"),
        choices=[(Unit.LIVE, _("Live tokens")), (Unit.TEST, _("Test tokens"))],
        initial=Unit.LIVE,
    )
    field_order = ("whose", "max_tokens", "period", "unit", "alerts")

    def __init__(self, *args: Any, organisation: Organisation, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        members = accounts.list_members(organisation)
        self._people = {member.user.public_id: member.user for member in members}
        self.fields["whose"].choices = [  # type: ignore[attr-defined]
            (WHOLE_ORGANISATION, _("Everybody's: the whole organisation")),
            *((public_id, str(user)) for public_id, user in self._people.items()),
        ]

    def settings(self) -> dict[str, Any]:
        """What ``create_budget`` takes besides who asks."""
        data = self.cleaned_data
        return {
            **super().settings(),
            "member": self._people.get(data["whose"]),
            "period": data["period"],
            "unit": data["unit"],
        }
