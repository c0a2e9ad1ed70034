"""Who belongs to an organisation."""

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.models import Role


class InviteForm(forms.Form):
    """A colleague's address and what they may do."""

    email = forms.EmailField(
        label=_("E-mail"), max_length=254, widget=forms.EmailInput(attrs={"autocomplete": "off"})
    )
    role = forms.ChoiceField(
        label=_("Role"),
        choices=Role.choices,
        initial=Role.MEMBER,
    )


class RoleForm(forms.Form):
    """A member's new role."""

    role = forms.ChoiceField(label=_("Role"), choices=Role.choices)


class RemoveMemberForm(forms.Form):
    """What becomes of the keys of somebody who goes."""

    suspend_keys = forms.BooleanField(
        label=_("Suspend this person's keys"),
        required=False,
        initial=True,
        help_text=_(
            "Programs that use them are refused within seconds. An owner can resume each key."
        ),
    )
