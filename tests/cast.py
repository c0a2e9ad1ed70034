"""The named cast of the suite: who everybody is, and how to make more of them.

``acme`` is a company with ``ada`` (owner), ``bill`` (billing) and ``mia`` (member); ``globex`` is
another tenant, with ``gus`` (owner). ``sam`` is staff with two-factor sign-in. All have the
password ``PASSWORD``. The fixtures are known to every test (tests/conftest.py names this module
as a plugin); the functions work wherever there is a database.
"""

from datetime import datetime
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.test import Client

from accounts import services
from accounts.models import ApiKey, Membership, Organisation, Role, User
from portal.kernel.clock import utc_now

PASSWORD = "correct horse battery"


def make_person(email: str, *, verified: bool = True, **fields: Any) -> User:
    """Somebody who can sign in with PASSWORD."""
    user = User.objects.create_user(email, PASSWORD, **fields)
    EmailAddress.objects.create(user=user, email=user.email, primary=True, verified=verified)
    return user


def make_organisation(
    name: str = "Acme Ltd", *, owner: User | None = None, verified: bool = True, **fields: Any
) -> Organisation:
    """A company; its owner ``owner@<name>.example`` is made too unless given."""
    stem = "".join(letter for letter in name.lower() if letter.isalnum())
    owner = owner or make_person(f"owner@{stem}.example")
    organisation = Organisation.objects.create(
        name=name,
        slug=fields.pop("slug", stem),
        verified_at=utc_now() if verified else None,
        billing_email=owner.email,
        **fields,
    )
    Membership.objects.create(organisation=organisation, user=owner, role=Role.OWNER)
    return organisation


def make_member(organisation: Organisation, email: str, role: str = Role.MEMBER) -> User:
    """Somebody new in this organisation."""
    user = make_person(email)
    Membership.objects.create(organisation=organisation, user=user, role=role)
    return user


def make_key(
    organisation: Organisation,
    *,
    created_by: User | None = None,
    kind: str = "live",
    name: str = "Test key",
    now: datetime | None = None,
    **settings: Any,
) -> tuple[ApiKey, str]:
    """A key with every right of its kind (unless ``scopes`` is given), and its full text."""
    creator = created_by or organisation.memberships.order_by("pk")[0].user
    settings.setdefault("scopes", services.SCOPES_BY_KIND[kind])
    return services.create_api_key(
        organisation=organisation,
        created_by=creator,
        kind=kind,
        name=name,
        now=now or utc_now(),
        actor=services.SYSTEM_ACTOR,
        **settings,
    )


def give_second_factor(user: User) -> str:
    """An authenticator app for ``user``; the secret is returned (base 32)."""
    secret = generate_totp_secret()
    TOTP.activate(user, secret)
    return secret


def signed_in(user: User, *, recently: bool = True) -> Client:
    """A browser in which ``user`` signed in just now (or so long ago that keys ask again)."""
    client = Client()
    client.force_login(user)
    if recently:
        session = client.session
        session["account_authentication_methods"] = [
            {"method": "password", "at": utc_now().timestamp(), "reauthenticated": True}
        ]
        session["account_authentication_methods_user"] = str(user.pk)
        session.save()
    return client


@pytest.fixture
def acme(db: None) -> Organisation:
    return make_organisation("Acme Ltd", owner=make_person("ada@acme.example"), slug="acme")


@pytest.fixture
def ada(acme: Organisation) -> User:
    """Owner of acme."""
    return User.objects.get(email="ada@acme.example")


@pytest.fixture
def bill(acme: Organisation) -> User:
    """Billing of acme."""
    return make_member(acme, "bill@acme.example", Role.BILLING)


@pytest.fixture
def mia(acme: Organisation) -> User:
    """Member of acme."""
    return make_member(acme, "mia@acme.example")


@pytest.fixture
def globex(db: None) -> Organisation:
    return make_organisation("Globex", owner=make_person("gus@globex.example"), slug="globex")


@pytest.fixture
def gus(globex: Organisation) -> User:
    """Owner of globex, a stranger to acme."""
    return User.objects.get(email="gus@globex.example")


@pytest.fixture
def sam(db: None) -> User:
    """Staff with two-factor sign-in."""
    user = make_person("sam@market.example", is_staff=True, is_superuser=True)
    give_second_factor(user)
    return user
