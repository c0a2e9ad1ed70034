"""What services must declare before calls may go to them: for an organisation, or for a key."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.hooks import hooks
from accounts.services import BITS, LISTS, MAX_RETENTION_DAYS, Policy, read_policy

_BITS = {
    4: _("At least 4 bits: FP4, INT4 or more"),
    8: _("At least 8 bits: FP8, INT8 or more"),
    16: _("At least 16 bits: BF16, FP16 or more"),
}


class PolicyForm(forms.Form):
    """Nothing chosen asks for nothing. Choices are what the market offers, and what was chosen."""

    regions = forms.MultipleChoiceField(
        label=_("Regions"), required=False, widget=forms.CheckboxSelectMultiple
    )
    countries = forms.MultipleChoiceField(
        label=_("Countries"), required=False, widget=forms.CheckboxSelectMultiple
    )
    licences = forms.MultipleChoiceField(
        label=_("Licences"), required=False, widget=forms.CheckboxSelectMultiple
    )
    providers = forms.MultipleChoiceField(
        label=_("Providers"), required=False, widget=forms.CheckboxSelectMultiple
    )
    no_training = forms.BooleanField(
        label=_("Prompts must not be used for training"), required=False
    )
    most_retention_days = forms.IntegerField(
        label=_("Days that prompts may be kept"),
        required=False,
        min_value=0,
        max_value=MAX_RETENTION_DAYS,
        help_text=_("0: services that keep no prompts. Empty: any."),
        widget=forms.NumberInput(attrs={"inputmode": "numeric"}),
    )
    least_bits = forms.TypedChoiceField(
        label=_("Precision of the weights"),
        required=False,
        coerce=int,
        empty_value=None,
        choices=[("", _("Any, also not stated")), *((bits, _BITS[bits]) for bits in BITS)],
    )

    def __init__(self, data: Any, *, stored: object, within: object = None) -> None:
        """``within``: the organisation's policy, whose lists a key's can only narrow."""
        own = read_policy(stored) or Policy()
        outer = read_policy(within or {}) or Policy()
        initial = {name: getattr(own, name) for name in Policy.__dataclass_fields__}
        super().__init__(data, initial=initial)
        offered = hooks.list_policy_choices()
        for name in LISTS:
            chosen, allowed = getattr(own, name), getattr(outer, name)
            found = dict(offered.get(name, ()))
            labels = {
                code: label for code, label in found.items() if not allowed or code in allowed
            }
            labels |= {code: found.get(code, code) for code in chosen}
            field: Any = self.fields[name]
            field.choices = list(labels.items())
            if not labels:
                del self.fields[name]

    def policy(self) -> Policy:
        """What was chosen, once it is valid."""
        data = self.cleaned_data
        lists = {name: tuple(data.get(name, ())) for name in LISTS}
        return Policy(
            **lists,
            no_training=data["no_training"],
            most_retention_days=data["most_retention_days"],
            least_bits=data["least_bits"],
        )
