"""Joining: one form, a proved address, an organisation."""

import re
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from django.utils import translation
from django.utils.translation import gettext as _

from accounts import services as accounts
from accounts.models import AuditEvent, Membership, Organisation, User
from portal.kernel.clock import utc_now
from tests.cast import PASSWORD, make_person

pytestmark = pytest.mark.django_db

FORM = {
    "email": "Nora@Initech.example",
    "company": "Initech",
    "password1": "a long enough one",
    "terms": "on",
}


def link_in(message: Any) -> str:
    """The path of the link in a mail."""
    found = re.search(r"https?://[^/\s]+(/\S+)", message.body)
    assert found, message.body
    return found[1]


def _without_names(page: str) -> str:
    """A page without what differs by visitor: the token of its forms, the typed address."""
    page = re.sub(r'value="[0-9A-Za-z]{64}"', "", page)
    return re.sub(r"\S+@\S+", "", page)


def test_from_the_form_to_a_verified_organisation(client: Client) -> None:
    assert client.get("/join/").status_code == 200
    sent = client.post("/join/", FORM)
    assert sent.status_code == 302
    assert sent["Location"] == "/verify/"
    user = User.objects.get()
    assert user.email == "nora@initech.example"
    organisation = Organisation.objects.get()
    assert (organisation.name, organisation.slug) == ("Initech", "initech")
    assert organisation.verified_at is None
    assert Membership.objects.get().role == "owner"
    [message] = mail.outbox
    assert message.to == ["nora@initech.example"]

    first = client.get(link_in(message))
    assert first["Location"] == "/verify/confirm/"
    page = client.get("/verify/confirm/")
    assert "nora@initech.example" in page.content.decode()
    organisation.refresh_from_db()
    assert organisation.verified_at is None, "looking is not confirming"

    done = client.post("/verify/confirm/")
    assert done["Location"] == "/o/"
    organisation.refresh_from_db()
    assert organisation.verified_at is not None
    assert client.session["_auth_user_id"] == str(user.pk)
    assert client.get("/o/initech/keys/new/").status_code == 200, "the password is not asked again"
    created = AuditEvent.objects.get(action="organisation.created")
    assert created.actor_id == user.public_id
    assert created.address == "127.0.0.1"
    assert created.after["terms"]
    assert AuditEvent.objects.filter(action="organisation.verified").count() == 1


def test_signing_in_before_the_address_is_proved_leads_back_to_the_mail(client: Client) -> None:
    client.post("/join/", FORM)
    answer = client.post("/login/", {"login": FORM["email"], "password": FORM["password1"]})
    assert answer["Location"] == "/verify/"
    assert "_auth_user_id" not in client.session


def test_an_address_with_an_account_gets_the_same_answer(client: Client) -> None:
    make_person("nora@initech.example")
    known = client.post("/join/", FORM)
    stranger = Client()
    unknown = stranger.post("/join/", {**FORM, "email": "new@initech.example"})
    assert (known.status_code, known["Location"]) == (unknown.status_code, unknown["Location"])
    shown = {_without_names(page.get("/verify/").content.decode()) for page in (client, stranger)}
    assert len(shown) == 1
    assert Organisation.objects.count() == 1
    to_known, to_unknown = mail.outbox
    assert "/verify/" not in to_known.body
    assert "/reset/" in to_known.body
    assert "/verify/" in to_unknown.body


def test_the_same_form_twice_at_once_makes_one_account() -> None:
    accounts.join(email="a@b.example", password="x", company="B", language="en", now=utc_now())
    with pytest.raises(accounts.AddressTaken):
        accounts.join(email="A@b.example", password="x", company="B", language="en", now=utc_now())
    assert User.objects.count() == Organisation.objects.count() == Membership.objects.count() == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", ""),
        ("email", "nora"),
        ("company", "   "),
        ("company", "c" * 121),
        ("company", "nul\x00l"),
        ("password1", "short"),
        ("password1", "password1234"),
        ("password1", "nora@initech.example"),
        ("terms", ""),
    ],
)
def test_wrong_input_makes_nothing(client: Client, field: str, value: str) -> None:
    answer = client.post("/join/", {**FORM, field: value})
    assert answer.status_code == 200
    assert answer.context["form"].errors.keys() == {field}
    assert "<title>Error:" in answer.content.decode()
    assert not User.objects.exists()
    assert not Organisation.objects.exists()
    assert mail.outbox == []


def test_names_that_make_no_address_or_the_same_one(client: Client) -> None:
    for number, name in enumerate(["浦东智造", "Initech", "INITECH!", "Hello--World"]):
        accounts.join(
            email=f"p{number}@x.example", password="x", company=name, language="en", now=utc_now()
        )
    slugs = list(Organisation.objects.order_by("pk").values_list("slug", flat=True))
    assert re.fullmatch(r"company-[0-9a-f]{8}", slugs[0])
    assert slugs[1] == "initech"
    assert re.fullmatch(r"initech-[0-9a-f]{8}", slugs[2])
    assert slugs[3] == "hello-world"


def test_the_language_of_the_page_is_kept_and_mails_are_written_in_it(client: Client) -> None:
    client.post("/language/", {"language": "zh-hans", "next": "/join/"})
    client.post("/join/", FORM)
    user = User.objects.get()
    assert user.language == "zh-hans"
    with translation.override("en"):
        Client(headers={"accept-language": "en"}).post("/reset/", {"email": user.email})
    with translation.override("zh-hans"):
        assert str(_("Choose a new password")) in mail.outbox[-1].subject


def test_a_used_or_wrong_verification_link_changes_nothing(client: Client) -> None:
    client.post("/join/", FORM)
    path = link_in(mail.outbox[0])
    client.get(path)
    client.post("/verify/confirm/")
    other = Client()
    other.get(path)
    again = other.post("/verify/confirm/")
    assert "_auth_user_id" not in other.session
    assert again.status_code in (302, 404)
    wrong = other.get("/verify/nonsense-key/", follow=True)
    assert "used or is too old" in wrong.content.decode()


def test_many_sign_ups_from_one_address_are_slowed_down(client: Client) -> None:
    answers = [client.post("/join/", {}) for _ in range(21)]
    assert [answer.status_code for answer in answers] == [200] * 20 + [429]
    assert "Too many attempts" in answers[-1].content.decode()


def test_signed_in_people_are_sent_on(client: Client) -> None:
    client.force_login(make_person("ada@acme.example"))
    assert client.get("/join/")["Location"] == "/o/"
    assert client.get("/login/")["Location"] == "/o/"


def test_password_is_kept_as_a_hash_only(client: Client) -> None:
    client.post("/join/", {**FORM, "password1": PASSWORD})
    assert PASSWORD not in User.objects.get().password
    assert User.objects.get().check_password(PASSWORD)
