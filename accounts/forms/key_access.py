"""How fast, from where and by which web sites a key may be used."""

import re
from collections.abc import Callable, Iterable
from typing import Any

from django import forms
from django.conf import settings
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.models import ApiKey
from accounts.services import (
    MAX_REQUESTS_PER_MINUTE,
    MAX_TOKENS_PER_MINUTE,
    KeyAccess,
    KeyRejected,
    access_of,
    read_networks,
    read_origins,
)
from portal.kernel.quantities import format_count_exact

_LONGEST_LIST = 5000
_BETWEEN = re.compile(r"[\s,;]+")
_FIELDS = ("requests_per_minute", "tokens_per_minute", "allowed_networks", "allowed_origins")


class KeyAccessFields(forms.Form):
    """The part of a key's form that ``KeyAccess`` takes."""

    requests_per_minute = forms.IntegerField(
        label=_("Requests per minute"),
        required=False,
        min_value=1,
        max_value=MAX_REQUESTS_PER_MINUTE,
        widget=forms.NumberInput(attrs={"inputmode": "numeric"}),
    )
    tokens_per_minute = forms.IntegerField(
        label=_("Model tokens per minute"),
        required=False,
        min_value=1,
        max_value=MAX_TOKENS_PER_MINUTE,
        widget=forms.NumberInput(attrs={"inputmode": "numeric"}),
    )
    allowed_networks = forms.CharField(
        label=_("Allowed addresses"),
        required=False,
        max_length=_LONGEST_LIST,
        help_text=_("IPv4 or IPv6 addresses or networks, one a line, such as 203.0.113.0/24; at "
                    "most 50. Empty: the key works from everywhere."),
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
    )  # fmt: skip
    allowed_origins = forms.CharField(
        label=_("Allowed web sites"),
        required=False,
        max_length=_LONGEST_LIST,
        help_text=_("Whose pages may call models with this key, one origin a line, such as "
                    "https://app.example.com; at most 20. Whoever opens such a page can read the "
                    "key. Empty: browsers refuse to."),
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
    )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["requests_per_minute"].help_text = _say_usual(
            settings.GATEWAY_KEY_REQUESTS_PER_MINUTE
        )
        self.fields["tokens_per_minute"].help_text = _say_usual(
            settings.GATEWAY_KEY_TOKENS_PER_MINUTE
        )

    @property
    def has_access_values(self) -> bool:
        """Whether anything was filled in, or wrongly so."""
        return any(self[name].value() or self[name].errors for name in _FIELDS)

    def clean_allowed_networks(self) -> tuple[str, ...]:
        return _read_list(self.cleaned_data["allowed_networks"], read_networks)

    def clean_allowed_origins(self) -> tuple[str, ...]:
        return _read_list(self.cleaned_data["allowed_origins"], read_origins)

    def access(self) -> KeyAccess:
        """What ``create_api_key`` and ``change_key_access`` take."""
        return KeyAccess(**{name: self.cleaned_data[name] for name in _FIELDS})


def show_access(key: ApiKey) -> dict[str, Any]:
    """The form's initial values for this key: lists with a line each."""
    return {
        name: "\n".join(value) if isinstance(value, list) else value
        for name, value in access_of(key).items()
    }


def _read_list(text: str, read: Callable[[Iterable[str]], list[str]]) -> tuple[str, ...]:
    try:
        return tuple(read(part for part in _BETWEEN.split(text) if part))
    except KeyRejected as refusal:
        raise forms.ValidationError(str(refusal)) from refusal


def _say_usual(usual: int) -> str:
    if not usual:
        return gettext("Empty: no limit.")
    return gettext("Empty for the usual %(usual)s.") % {"usual": format_count_exact(usual)}
