"""Invitations: a link that works once, for the invited person."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core import mail
from django.db import connection
from django.test import Client

from accounts import services as accounts
from accounts.models import AuditEvent, Invitation, Membership, Organisation, User
from portal.kernel.clock import utc_now
from tests.accounts.test_joining import link_in
from tests.cast import PASSWORD, make_member, make_person, signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def invited(ada: User, django_capture_on_commit_callbacks: Any) -> str:
    """The path of the link that lena@acme.example got from ada."""
    with django_capture_on_commit_callbacks(execute=True):
        answer = signed_in(ada).post(
            "/o/acme/team/invite/", {"email": "Lena@acme.example", "role": "billing"}
        )
    assert answer["Location"] == "/o/acme/team/"
    [message] = mail.outbox
    assert message.to == ["lena@acme.example"]
    assert "Acme Ltd" in message.subject
    return link_in(message)


def lena() -> User:
    return User.objects.get(email="lena@acme.example")


def test_only_a_digest_is_kept(invited: str) -> None:
    token = invited.split("/")[2]
    row = Invitation.objects.values().get()
    assert token not in str(row)
    assert token not in str(AuditEvent.objects.values())


def test_a_newcomer_joins_without_another_mail(client: Client, invited: str) -> None:
    moved = client.get(invited)
    assert moved["Location"] == "/invite/", "the token leaves the address"
    assert "Acme Ltd" in client.get("/invite/").content.decode()
    page = client.get("/join/")
    assert page.context["form"].fields.keys() == {"email", "password1", "terms"}
    done = client.post(
        "/join/", {"email": "other@evil.example", "password1": "a long enough one", "terms": "on"}
    )
    assert done["Location"] == "/o/"
    membership = Membership.objects.get(user=lena())
    assert (membership.organisation.slug, membership.role) == ("acme", "billing")
    assert client.session["_auth_user_id"] == str(lena().pk)
    assert Organisation.objects.count() == 1
    assert len(mail.outbox) == 1
    assert AuditEvent.objects.get(action="invitation.accepted").actor_id == lena().public_id


def test_somebody_with_an_account_signs_in_and_accepts(client: Client, invited: str) -> None:
    make_person("lena@acme.example")
    client.get(invited)
    page = client.get("/invite/").content.decode()
    assert "/login/?next=%2Finvite%2F" in page
    assert (
        client.post("/join/", {"password1": "a long enough one", "terms": "on"}).status_code == 200
    )
    signed = client.post(
        "/login/", {"login": "lena@acme.example", "password": PASSWORD, "next": "/invite/"}
    )
    assert signed["Location"] == "/invite/"
    assert not Membership.objects.filter(user=lena()).exists(), "signing in is not accepting"
    assert client.post("/invite/")["Location"] == "/o/acme/"
    assert Membership.objects.get(user=lena()).role == "billing"


def test_the_link_works_once(client: Client, invited: str) -> None:
    client.get(invited)
    client.post("/join/", {"password1": "a long enough one", "terms": "on"})
    thief = Client()
    thief.get(invited)
    again = thief.get("/invite/")
    assert again.status_code == 410
    assert "already been accepted" in again.content.decode()
    form = thief.get("/join/").context["form"]
    assert "company" in form.fields, "the used link gives nothing away at the join form"
    assert Membership.objects.count() == 2
    client.get(invited)
    assert client.get("/invite/")["Location"] == "/o/acme/", "to the member it is a short cut"


def test_the_wrong_person_cannot_accept_and_can_switch(
    client: Client, invited: str, gus: User
) -> None:
    client.force_login(gus)
    client.get(invited)
    page = client.get("/invite/").content.decode()
    assert "lena@acme.example" in page
    assert gus.email in page
    client.post("/invite/")
    assert not Membership.objects.filter(user=gus, organisation__slug="acme").exists()
    assert Invitation.objects.get().accepted_at is None
    client.post("/invite/", {"action": "switch"})
    assert "_auth_user_id" not in client.session
    assert client.get("/invite/").status_code == 200, "the invitation is still at hand"


def test_an_expired_link(client: Client, invited: str) -> None:
    client.get(invited)
    with time_machine.travel(utc_now() + timedelta(days=7, minutes=1), tick=False):
        assert client.get("/invite/").status_code == 410
        late = client.post(
            "/join/", {"password1": "a long enough one", "terms": "on", "email": "l@acme.example"}
        )
        assert "company" in late.context["form"].errors
    assert User.objects.filter(email="lena@acme.example").count() == 0


def test_a_withdrawn_link(client: Client, invited: str, ada: User) -> None:
    invitation = Invitation.objects.get()
    url = f"/o/acme/team/invitations/{invitation.public_id}/withdraw/"
    owner = signed_in(ada)
    owner.post(url)
    owner.post(url)
    assert AuditEvent.objects.filter(action="invitation.withdrawn").count() == 1
    client.get(invited)
    assert client.get("/invite/").status_code == 410


def test_sending_again_replaces_the_link(
    client: Client, invited: str, ada: User, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        signed_in(ada).post(
            "/o/acme/team/invite/", {"email": "lena@acme.example", "role": "member"}
        )
    client.get(invited)
    assert client.get("/invite/").status_code == 410
    client.get(link_in(mail.outbox[1]))
    assert client.get("/invite/").status_code == 200
    assert Invitation.objects.filter(withdrawn_at=None).count() == 1


@pytest.mark.parametrize(
    ("email", "role"),
    [
        ("", "member"),
        ("lena", "member"),
        ("l@acme.example", "root"),
        ("ada@acme.example", "member"),
    ],
)
def test_wrong_input_invites_nobody(ada: User, email: str, role: str) -> None:
    answer = signed_in(ada).post("/o/acme/team/invite/", {"email": email, "role": role})
    assert answer.status_code == 200
    assert answer.context["form"].errors
    assert not Invitation.objects.exists()


@pytest.mark.parametrize("token", ["x", "x" * 300, "%00"])
def test_unknown_links(client: Client, token: str) -> None:
    client.get(f"/invite/{token}/")
    assert client.get("/invite/").status_code == 404
    assert Client().get("/invite/").status_code == 404


def test_members_and_strangers_cannot_invite_or_withdraw(
    invited: str, bill: User, mia: User, gus: User
) -> None:
    invitation = Invitation.objects.get()
    withdraw = f"team/invitations/{invitation.public_id}/withdraw/"
    new = {"email": "eve@evil.example", "role": "owner"}
    for person, status in ((bill, 403), (mia, 403), (gus, 404)):
        client = signed_in(person)
        assert client.post("/o/acme/team/invite/", new).status_code == status
        assert client.post(f"/o/acme/{withdraw}").status_code == status
    assert signed_in(gus).post(f"/o/globex/{withdraw}").status_code == 404
    invitation.refresh_from_db()
    assert invitation.withdrawn_at is None
    assert Invitation.objects.count() == 1


def test_the_mail_is_written_in_the_readers_language(
    ada: User, django_capture_on_commit_callbacks: Any
) -> None:
    reader = make_person("wei@acme.example", language="zh-hans")
    with django_capture_on_commit_callbacks(execute=True):
        accounts.invite_member(
            organisation=ada.organisations.get(),
            email=reader.email,
            role="member",
            invited_by=ada,
            actor=accounts.SYSTEM_ACTOR,
            now=utc_now(),
        )
    assert "/invite/" in mail.outbox[0].body


def test_one_link_used_by_many_at_once_is_used_once(committed_db: Any, acme: Organisation) -> None:
    person = make_person("lena@acme.example")
    invitation = accounts.invite_member(
        organisation=acme,
        email=person.email,
        role="member",
        invited_by=acme.memberships.get().user,
        actor=accounts.SYSTEM_ACTOR,
        now=utc_now(),
    )

    def accept(_number: int) -> str:
        try:
            accounts.accept_invitation(
                invitation=invitation, user=person, actor=accounts.SYSTEM_ACTOR, now=utc_now()
            )
        except accounts.InvitationUnusable:
            return "refused"
        finally:
            connection.close()
        return "accepted"

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(accept, range(8)))
    assert sorted(outcomes) == ["accepted"] + ["refused"] * 7
    assert Membership.objects.filter(user=person).count() == 1
    assert AuditEvent.objects.filter(action="invitation.accepted").count() == 1


def test_a_member_who_is_invited_again_keeps_their_role(acme: Organisation, ada: User) -> None:
    invitation = accounts.invite_member(
        organisation=acme,
        email="new@acme.example",
        role="member",
        invited_by=ada,
        actor=accounts.SYSTEM_ACTOR,
        now=utc_now(),
    )
    person = make_member(acme, "new@acme.example", "billing")
    membership = accounts.accept_invitation(
        invitation=invitation, user=person, actor=accounts.SYSTEM_ACTOR, now=utc_now()
    )
    assert membership.role == "billing"
