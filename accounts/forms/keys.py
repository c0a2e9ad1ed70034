"""API keys."""

from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.forms.key_access import KeyAccessFields
from accounts.hooks import hooks
from accounts.models import CapPeriod, KeyKind
from accounts.services import GRACES

MILLITOKENS_PER_TOKEN = 1000
MAX_CAP_TOKENS = 10**15


class KeyForm(KeyAccessFields):
    """A new key. ``timezone`` (the organisation's) says when a day of expiry ends."""

    name = forms.CharField(
        label=_("Name"),
        max_length=80,
        help_text=_("Where it will be used, for example “Support bot, production”."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    kind = forms.ChoiceField(
        label=_("Kind"),
        choices=[
            (KeyKind.LIVE, _("Live: calls real services and spends tokens")),
            (KeyKind.TEST, _("Test: reaches test services only and spends no real tokens")),
        ],
        initial=KeyKind.LIVE,
        widget=forms.RadioSelect,
    )
    scopes = forms.MultipleChoiceField(
        label=_("Rights"),
        choices=[
            ("inference", _("Call models")),
            ("read", _("Read balance, usage and orders by REST")),
            ("write", _("Order packs and make grants by REST")),
        ],
        initial=["inference"],
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": _("Choose at least one right.")},
    )
    cap_tokens = forms.IntegerField(
        label=_("Cap, in tokens"),
        required=False,
        min_value=1,
        max_value=MAX_CAP_TOKENS,
        help_text=_("Calls beyond it are refused. Empty: only the balance limits the key."),
        widget=forms.NumberInput(attrs={"inputmode": "numeric"}),
    )
    cap_period = forms.ChoiceField(
        label=_("Cap counts"), choices=CapPeriod.choices, initial=CapPeriod.MONTH
    )
    expires_on = forms.DateField(
        label=_("Last day"),
        required=False,
        help_text=_("The key stops working at the end of this day. Empty: it does not expire."),
        widget=forms.DateInput(attrs={"type": "date"}),
    )
    allowed_services = forms.MultipleChoiceField(
        label=_("Allowed services"),
        required=False,
        help_text=_("None ticked: all services, also those that are listed later."),
        widget=forms.CheckboxSelectMultiple,
    )
    # Makes a double submit one key: the page that shows it cannot be repeated.
    once = forms.CharField(max_length=40, widget=forms.HiddenInput)

    def __init__(self, *args: Any, timezone: str, now: datetime, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.zone, self.now = ZoneInfo(timezone), now
        services = self.fields["allowed_services"]
        assert isinstance(services, forms.MultipleChoiceField)
        services.choices = _service_choices()
        if not services.choices:
            del self.fields["allowed_services"]

    def clean_expires_on(self) -> datetime | None:
        """The moment at which the day is over in the organisation's time zone."""
        day = self.cleaned_data["expires_on"]
        if day is None:
            return None
        if day.year > self.now.year + 100:
            raise forms.ValidationError(_("Choose a day within the next hundred years."))
        ends_at = datetime.combine(day + timedelta(days=1), time.min, tzinfo=self.zone)
        if ends_at <= self.now:
            raise forms.ValidationError(_("Choose today or a later day."))
        return ends_at

    def settings(self) -> dict[str, Any]:
        """What ``create_api_key`` takes."""
        data = self.cleaned_data
        cap = data["cap_tokens"]
        return {
            "name": data["name"],
            "kind": data["kind"],
            "scopes": data["scopes"],
            "cap_millitokens": None if cap is None else cap * MILLITOKENS_PER_TOKEN,
            "cap_period": data["cap_period"],
            "expires_at": data["expires_on"],
            "allowed_services": data.get("allowed_services", []),
            "access": self.access(),
        }


class RotateForm(forms.Form):
    """How long the old key goes on working beside the new one."""

    grace = forms.TypedChoiceField(
        label=_("The old key goes on working for"),
        choices=[
            (int(grace.total_seconds()), label)
            for grace, label in zip(
                GRACES, (_("not at all"), _("1 hour"), _("24 hours"), _("7 days")), strict=True
            )
        ],
        coerce=lambda seconds: timedelta(seconds=int(seconds)),
        initial=int(GRACES[2].total_seconds()),
        widget=forms.RadioSelect,
    )
    once = forms.CharField(max_length=40, widget=forms.HiddenInput)


def _service_choices() -> list[tuple[str, str]]:
    """Those that can be called now, by name."""
    services = [service for service in hooks.list_services() if service.offered]
    return sorted(
        ((service.public_id, service.label) for service in services), key=lambda pair: pair[1]
    )
