"""Joining and signing in: allauth's forms in our words."""

from typing import Any

from allauth.account.forms import LoginForm, SignupForm
from django import forms
from django.contrib.auth.hashers import make_password
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.functional import lazy
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from accounts import services
from accounts.models import Invitation, User
from portal.kernel.clock import utc_now


class SignInForm(LoginForm):
    """E-mail address and password."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _plain(self, login=_("E-mail"), password=_("Password"))
        self.fields["login"].widget.attrs.update(autocomplete="username", autofocus=True)


class JoinForm(SignupForm):
    """One form for person and company; with an invitation, the person alone.

    An address that has an account gets the same answer, after the same work, as a new one: only
    its owner learns the difference, by mail.
    """

    company = forms.CharField(
        label=_("Company"),
        max_length=120,
        widget=forms.TextInput(attrs={"autocomplete": "organization"}),
    )
    terms = forms.BooleanField(
        label=_("I accept the terms of use for myself and my company"),
        help_text=lazy(lambda: _terms_link(), SafeString)(),
        error_messages={"required": _("Please accept the terms of use to go on.")},
    )
    account_already_exists: bool
    field_order = ("email", "company", "password1", "terms")

    def __init__(self, *args: Any, invitation: Invitation | None = None, **kwargs: Any) -> None:
        self.invitation = invitation
        super().__init__(*args, **kwargs)
        _plain(self, email=_("Work e-mail"), password1=_("Password"))
        # Two sentences read better than the validators' list.
        self.fields["password1"].help_text = _(
            "At least 10 characters. Not your e-mail address or a common password."
        )
        if invitation:
            del self.fields["company"]
            self.fields["email"].initial = invitation.email
            self.fields["email"].disabled = True

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if self.invitation and self.account_already_exists:
            # Whoever holds the link owns the address, so this tells nothing to a stranger.
            self.add_error(
                "email",
                _("You have an account with this address. Sign in to accept the invitation."),
            )
        return cleaned

    def try_save(self, request: HttpRequest) -> tuple[User | None, HttpResponse | None]:
        if not self.account_already_exists:
            try:
                return self.save(request), None
            except services.AddressTaken:  # the same form, sent twice at once
                self.account_already_exists = True
        else:
            make_password(self.cleaned_data["password1"])
        answer: tuple[User | None, HttpResponse | None] = super().try_save(request)
        return answer

    def save(self, request: HttpRequest) -> User:
        data, language = self.cleaned_data, get_language() or "en"
        if self.invitation:
            return services.join_by_invitation(
                invitation=self.invitation,
                password=data["password1"],
                language=language,
                now=utc_now(),
                address=services.address_of(request),
            )
        user, _organisation = services.join(
            email=data["email"],
            password=data["password1"],
            company=data["company"],
            language=language,
            now=utc_now(),
            address=services.address_of(request),
        )
        return user


def _terms_link() -> SafeString:
    return format_html('<a href="{}">{}</a>', reverse("accounts:terms"), _("Read the terms of use"))


def _plain(form: forms.Form, **labels: Any) -> None:
    """Labels instead of placeholders, which vanish while one types."""
    for name, label in labels.items():
        form.fields[name].label = label
        form.fields[name].widget.attrs.pop("placeholder", None)
