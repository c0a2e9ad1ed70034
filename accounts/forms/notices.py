"""Which notices a person wants, and at which balance their organisation is warned."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.conf import settings
from django.forms.boundfield import BoundField
from django.utils.translation import gettext, gettext_lazy

from accounts.models import NoticeKind, Organisation
from accounts.notice_kinds import RULES, Channels
from accounts.services import MOST_LOW_BALANCE_TOKENS
from portal.kernel.quantities import format_count_exact


@dataclass(frozen=True)
class ChoiceRow:
    """One kind with its two boxes; a box that cannot be unticked is disabled."""

    label: str
    in_portal: BoundField
    by_mail: BoundField

    @property
    def is_bound_to_stay(self) -> bool:
        return self.in_portal.field.disabled or self.by_mail.field.disabled


class NoticeChoicesForm(forms.Form):
    """Two boxes for each kind that the person is told of."""

    def __init__(self, *args: Any, choices: Mapping[NoticeKind, Channels], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._kinds = list(choices)
        for kind, channels in choices.items():
            always = RULES[kind].always
            self.fields[f"{kind.value}_portal"] = _box(
                gettext("%(notice)s: in the portal") % {"notice": kind.label},
                ticked=channels.in_portal,
                stays=always.in_portal,
            )
            self.fields[f"{kind.value}_mail"] = _box(
                gettext("%(notice)s: by e-mail") % {"notice": kind.label},
                ticked=channels.by_mail,
                stays=always.by_mail,
            )

    def rows(self) -> Iterator[ChoiceRow]:
        """As the table shows them."""
        for kind in self._kinds:
            yield ChoiceRow(
                str(kind.label), self[f"{kind.value}_portal"], self[f"{kind.value}_mail"]
            )

    def chosen(self) -> dict[NoticeKind, Channels]:
        """What was ticked; of a valid form."""
        return {
            kind: Channels(
                self.cleaned_data[f"{kind.value}_portal"], self.cleaned_data[f"{kind.value}_mail"]
            )
            for kind in self._kinds
        }


class LowBalanceForm(forms.ModelForm):
    """The organisation's own mark."""

    low_balance_tokens = forms.IntegerField(
        label=gettext_lazy("Warn when fewer tokens are left than"),
        required=False,
        min_value=0,
        max_value=MOST_LOW_BALANCE_TOKENS,
        widget=forms.NumberInput(attrs={"inputmode": "numeric"}),
    )

    class Meta:
        model = Organisation
        fields = ("low_balance_tokens",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["low_balance_tokens"].help_text = gettext(
            "Empty for the usual %(usual)s; 0 for no such warning. It comes once, and again only"
            " after the balance was above the mark."
        ) % {"usual": format_count_exact(settings.LOW_BALANCE_TOKENS)}


def _box(label: str, *, ticked: bool, stays: bool) -> forms.BooleanField:
    """The table names row and column for the eye; the label is for screen readers."""
    return forms.BooleanField(
        label=label,
        required=False,
        initial=ticked,
        disabled=stays,
        widget=forms.CheckboxInput(attrs={"aria-label": label}),
    )
