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

    keys = forms.ChoiceField(
        label=_("This person's keys"),
        choices=[
            ("suspend", _("Suspend them: programs that use them are refused within seconds")),
            ("hand_over", _("Make them mine: programs go on, and I answer for what they spend")),
        ],
        initial="suspend",
        widget=forms.RadioSelect,
        help_text=_(
            "The person may have kept their text. Rotate the keys that you take over; an owner can "
            "resume those that are suspended."
        ),
    )
