"""The demo's people and their companies, with fresh secrets at each loading."""

import secrets
from dataclasses import dataclass, field
from datetime import datetime

from allauth.mfa.adapter import get_adapter
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret

from accounts import services as accounts
from accounts.models import Membership, Organisation, Role, User

# No letters or digits that are taken for one another: these are read off a terminal.
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


@dataclass
class Login:
    """Somebody who can sign in; ``role`` says what for."""

    user: User
    password: str
    role: str


@dataclass
class Operator:
    """The market's staff: their sign-in needs a second factor."""

    user: User
    totp_secret: str
    totp_url: str
    recovery_codes: list[str] = field(default_factory=list)


def make_login(email: str, name: str, role: str, *, is_staff: bool = False) -> Login:
    """A verified person with a random password."""
    password = "-".join(_random_word() for _ in range(4))
    user = accounts.create_person(email=email, password=password, language="en", verified=True)
    user.name = name
    user.is_staff = user.is_superuser = is_staff
    user.save(update_fields=["name", "is_staff", "is_superuser"])
    return Login(user, password, role)


def make_operator(user: User) -> Operator:
    """Give staff an authenticator's secret and recovery codes."""
    secret = generate_totp_secret()
    TOTP.activate(user, secret)
    codes = RecoveryCodes.activate(user).get_unused_codes()
    return Operator(user, secret, get_adapter().build_totp_url(user, secret), codes)


def make_company(
    owner: User, name: str, *, country: str, timezone: str, now: datetime
) -> Organisation:
    """A verified organisation with what invoices need."""
    organisation = accounts.create_organisation(user=owner, name=name, now=now)
    return accounts.update_organisation(
        organisation=organisation,
        changes={"country": country, "timezone": timezone, "billing_email": owner.email},
        actor=accounts.SYSTEM_ACTOR,
        now=now,
    )


def add_colleague(organisation: Organisation, login: Login, role: Role, *, now: datetime) -> None:
    """A member without the mail that an invitation sends."""
    Membership.objects.create(organisation=organisation, user=login.user, role=role, joined_at=now)


def _random_word() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(4))
