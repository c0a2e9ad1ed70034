"""The trial lot: for each verified organisation once, for each company and person once."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.db import connection
from django.test import Client

from accounts import services as accounts
from accounts.hooks import hooks
from accounts.models import AuditEvent, Organisation, TrialClaim, User
from marketplace.ledger import selectors as ledger
from marketplace.ledger.models import Lot
from portal.kernel.clock import utc_now
from tests.accounts.test_joining import FORM, link_in

pytestmark = pytest.mark.django_db

TRIAL = 1_000_000_000


def balance_of(organisation: Organisation) -> int:
    return ledger.get_balance(owner_key=organisation.public_id, unit="live").spendable


def join_and_verify(email: str, company: str = "Some Company") -> Organisation:
    """Through the pages, as a person does."""
    client = Client()
    client.post("/join/", {**FORM, "email": email, "company": company})
    client.get(link_in(mail.outbox[-1]))
    assert client.post("/verify/confirm/").status_code == 302
    return Organisation.objects.order_by("-pk")[0]


def test_verifying_brings_a_million_tokens_that_expire() -> None:
    organisation = join_and_verify("nora@initech.example")
    assert balance_of(organisation) == TRIAL
    lot = Lot.objects.get(wallet__unit="live")
    assert (lot.kind, lot.reference) == ("grant", f"trial:{organisation.public_id}")
    assert lot.expires_at is not None
    assert AuditEvent.objects.filter(action="trial.granted").count() == 1


def test_everybody_gets_test_tokens_for_test_keys() -> None:
    first, second = join_and_verify("nora@initech.example"), join_and_verify("nils@initech.example")
    for organisation in (first, second):
        test = ledger.get_balance(owner_key=organisation.public_id, unit="test")
        assert test.spendable == TRIAL


def test_nothing_before_the_address_is_proved() -> None:
    Client().post("/join/", FORM)
    assert balance_of(Organisation.objects.get()) == 0
    assert not TrialClaim.objects.exists()


def test_colleagues_at_one_company_share_one_trial() -> None:
    first, second = join_and_verify("nora@initech.example"), join_and_verify("nils@initech.example")
    assert (balance_of(first), balance_of(second)) == (TRIAL, 0)
    assert second.verified_at is not None


@pytest.mark.parametrize("domain", ["qq.com", "gmail.com", "163.com", "126.com", "outlook.com"])
def test_public_mail_addresses_each_get_one(domain: str) -> None:
    first, second = join_and_verify(f"nora@{domain}"), join_and_verify(f"nils@{domain}")
    assert (balance_of(first), balance_of(second)) == (TRIAL, TRIAL)


def test_one_person_gets_one_also_with_other_spellings() -> None:
    first = join_and_verify("nora@gmail.com")
    tagged = join_and_verify("nora+two@gmail.com")
    user = User.objects.get(email="nora@gmail.com")
    more = accounts.create_organisation(user=user, name="Second", now=utc_now())
    assert [balance_of(o) for o in (first, tagged, more)] == [TRIAL, 0, 0]


def test_verifying_twice_is_once() -> None:
    organisation = join_and_verify("nora@initech.example")
    user = User.objects.get()
    assert (
        accounts.verify_organisations(user=user, actor=accounts.SYSTEM_ACTOR, now=utc_now()) == []
    )
    hooks.on_verified(organisation, user.email, utc_now())
    assert balance_of(organisation) == TRIAL
    assert Lot.objects.filter(wallet__unit="live").count() == 1


def test_an_unproved_address_verifies_nothing() -> None:
    user, organisation = accounts.join(
        email="a@b.example", password="x", company="B", language="en", now=utc_now()
    )
    accounts.verify_organisations(user=user, actor=accounts.SYSTEM_ACTOR, now=utc_now())
    organisation.refresh_from_db()
    assert organisation.verified_at is None
    assert balance_of(organisation) == 0


def test_a_crash_between_address_and_trial_is_made_good_at_the_next_sign_in(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.post("/join/", FORM)
    client.get(link_in(mail.outbox[0]))

    def crash(*_arguments: object) -> None:
        raise RuntimeError("power cut")

    granting = hooks.on_verified
    monkeypatch.setattr(hooks, "on_verified", crash)
    client.raise_request_exception = False
    assert client.post("/verify/confirm/").status_code == 500
    organisation = Organisation.objects.get()
    assert (organisation.verified_at, balance_of(organisation)) == (None, 0)
    assert EmailAddress.objects.get().verified
    monkeypatch.setattr(hooks, "on_verified", granting)
    Client().post("/login/", {"login": FORM["email"], "password": FORM["password1"]})
    assert balance_of(organisation) == TRIAL


def test_no_trial_where_the_operator_gives_none(settings: Any) -> None:
    settings.TRIAL_TOKENS = 0
    assert balance_of(join_and_verify("nora@initech.example")) == 0


def test_many_verifications_at_once_grant_once(committed_db: Any) -> None:
    user, organisation = accounts.join(
        email="nora@initech.example", password="x", company="I", language="en", now=utc_now()
    )
    EmailAddress.objects.update(verified=True)

    def verify(_number: int) -> int:
        try:
            return len(
                accounts.verify_organisations(user=user, actor=accounts.SYSTEM_ACTOR, now=utc_now())
            )
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(verify, range(8))) == 1
    assert balance_of(organisation) == TRIAL
    assert Lot.objects.filter(wallet__unit="live").count() == TrialClaim.objects.count() == 1


def test_two_organisations_of_one_domain_at_once_get_one_trial(committed_db: Any) -> None:
    users = [
        accounts.join(
            email=f"p{number}@initech.example",
            password="x",
            company=f"I{number}",
            language="en",
            now=utc_now(),
        )[0]
        for number in range(6)
    ]
    EmailAddress.objects.update(verified=True)

    def verify(user: User) -> None:
        try:
            accounts.verify_organisations(user=user, actor=accounts.SYSTEM_ACTOR, now=utc_now())
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(verify, users))
    assert Organisation.objects.exclude(verified_at=None).count() == 6
    assert Lot.objects.filter(wallet__unit="live").count() == TrialClaim.objects.count() == 1
