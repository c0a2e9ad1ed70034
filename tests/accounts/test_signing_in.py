"""The door: passwords, second factors, limits, and equal answers for the unknown."""

import time
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from allauth.usersessions.models import UserSession
from django.core import mail
from django.test import Client

from accounts.models import AuditEvent, Organisation, User
from tests.accounts.test_joining import FORM, link_in
from tests.cast import PASSWORD, give_second_factor, make_key, make_person, signed_in

pytestmark = pytest.mark.django_db


def sign_in(client: Client, email: str, password: str = PASSWORD) -> Any:
    return client.post("/login/", {"login": email, "password": password})


def code_of(secret: str) -> str:
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30))


def test_password_opens_the_door(client: Client, ada: User) -> None:
    answer = sign_in(client, "ADA@acme.example")
    assert answer["Location"] == "/o/"
    assert client.session["_auth_user_id"] == str(ada.pk)
    assert UserSession.objects.filter(user=ada).count() == 1


def test_wrong_password_and_unknown_address_look_the_same(client: Client, ada: User) -> None:
    wrong = sign_in(client, ada.email, "not the password")
    unknown = sign_in(Client(), "nobody@acme.example", "not the password")
    assert wrong.status_code == unknown.status_code == 200
    said = [answer.context["form"].non_field_errors() for answer in (wrong, unknown)]
    assert said[0] == said[1]
    assert len(said[0]) == 1


def test_wrong_passwords_are_limited_per_account(client: Client, ada: User) -> None:
    for _ in range(5):
        sign_in(client, ada.email, "guess")
    blocked = sign_in(client, ada.email)
    assert "_auth_user_id" not in client.session
    assert blocked.context["form"].errors
    other = make_person("other@acme.example")
    assert sign_in(client, other.email).status_code == 302


def test_a_second_factor_is_asked_for(client: Client, ada: User) -> None:
    secret = give_second_factor(ada)
    answer = sign_in(client, ada.email)
    assert answer["Location"] == "/account/two-factor/authenticate/"
    assert "_auth_user_id" not in client.session
    refused = client.post(answer["Location"], {"code": "000000"})
    assert refused.status_code == 200
    assert "_auth_user_id" not in client.session
    client.post(answer["Location"], {"code": code_of(secret)})
    assert client.session["_auth_user_id"] == str(ada.pk)


def test_setting_up_an_app_keeps_its_secret_encrypted(committed_db: object, ada: User) -> None:
    client = signed_in(ada)
    page = client.get("/account/two-factor/totp/activate/")
    secret = page.context["form"].secret
    answer = client.post("/account/two-factor/totp/activate/", {"code": code_of(secret)})
    assert answer.status_code == 302
    stored = Authenticator.objects.get(type="totp").data["secret"]
    assert secret not in stored
    assert stored.startswith("gAAAA")
    event = AuditEvent.objects.filter(action="person.second_factor_added").first()
    assert event is not None
    assert event.actor_id == ada.public_id
    assert any(ada.email in message.to for message in mail.outbox), "a notice goes out"


def test_resetting_tells_nobody_whether_there_is_an_account(client: Client, ada: User) -> None:
    known = client.post("/reset/", {"email": ada.email})
    unknown = client.post("/reset/", {"email": "nobody@acme.example"})
    assert known.status_code == unknown.status_code == 302
    assert known["Location"] == unknown["Location"] == "/reset/sent/"
    to_known, to_unknown = mail.outbox
    assert "/reset/" in to_known.body
    assert "/reset/" not in to_unknown.body


def test_resetting_by_the_link(client: Client, ada: User) -> None:
    client.post("/reset/", {"email": ada.email})
    path = link_in(mail.outbox[0])
    moved = client.get(path)
    assert moved.status_code == 302
    assert "set-password" in moved["Location"], "the token leaves the address"
    client.post(
        moved["Location"], {"password1": "another long one", "password2": "another long one"}
    )
    ada.refresh_from_db()
    assert ada.check_password("another long one")
    assert AuditEvent.objects.filter(action="person.password_reset").count() == 1
    again = Client().get(path, follow=True)
    assert "set-password" not in again.request["PATH_INFO"], "the link works once"


def test_signing_out_everywhere(client: Client, ada: User) -> None:
    other = Client()
    sign_in(other, ada.email)
    sign_in(client, ada.email)
    assert other.get("/account/").status_code == 200
    client.post("/account/sessions/")
    assert other.get("/account/").status_code == 302
    assert client.get("/account/").status_code == 200


def test_signing_out_needs_a_post(client: Client, ada: User) -> None:
    sign_in(client, ada.email)
    client.get("/logout/")
    assert "_auth_user_id" in client.session
    client.post("/logout/")
    assert "_auth_user_id" not in client.session


def test_barred_people_stay_out(client: Client, ada: User) -> None:
    User.objects.filter(pk=ada.pk).update(is_active=False)
    assert sign_in(client, ada.email)["Location"] == "/login/inactive/"
    assert "_auth_user_id" not in client.session


def test_a_foreign_next_is_not_followed(client: Client, ada: User) -> None:
    answer = client.post(
        "/login/?next=https://evil.example/",
        {"login": ada.email, "password": PASSWORD, "next": "https://evil.example/"},
    )
    assert answer["Location"] == "/o/"


def test_the_admin_wants_staff_with_a_second_factor(client: Client, ada: User, sam: User) -> None:
    assert client.get("/admin/", follow=False)["Location"].startswith("/admin/login/")
    assert client.get("/admin/login/?next=/admin/")["Location"].startswith("/login/")
    assert client.post("/admin/login/", {"username": "x", "password": "y"}).status_code == 302
    assert signed_in(ada).get("/admin/", follow=True).status_code == 404
    new = make_person("new@market.example", is_staff=True, is_superuser=True)
    assert signed_in(new).get("/admin/", follow=True).request["PATH_INFO"] == "/account/two-factor/"
    assert signed_in(sam).get("/admin/").status_code == 200


def test_the_admin_shows_no_digests_and_changes_no_records(
    sam: User, acme: Organisation, ada: User
) -> None:
    key, _text = make_key(acme)
    client = signed_in(sam)
    page = client.get(f"/admin/accounts/apikey/{key.pk}/change/").content.decode()
    assert key.prefix in page
    assert key.digest not in page
    assert (
        client.post(f"/admin/accounts/apikey/{key.pk}/delete/", {"post": "yes"}).status_code == 403
    )
    assert client.get("/admin/accounts/apikey/add/").status_code == 403
    key.refresh_from_db()
    client.post(f"/admin/accounts/user/{ada.pk}/change/", {"is_active": "", "email": "x@y.example"})
    ada.refresh_from_db()
    assert (ada.is_active, ada.email) == (False, "ada@acme.example")
    event = AuditEvent.objects.get(action="person.standing_changed")
    assert (event.actor_id, event.before, event.after) == (
        sam.public_id,
        {"is_active": True},
        {"is_active": False},
    )


def test_staff_cannot_raise_themselves(sam: User) -> None:
    client = signed_in(sam)
    client.post(f"/admin/accounts/user/{sam.pk}/change/", {})
    sam.refresh_from_db()
    assert sam.is_staff
    assert sam.is_active


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/reset/", {"email": "ada@acme.example"}),
        ("/reset/", {"email": "nobody@acme.example"}),
        ("/join/", {**FORM, "email": "new@acme.example"}),
        ("/join/", {**FORM, "email": "ada@acme.example"}),
    ],
)
def test_links_in_mails_lead_to_the_site_whatever_the_host(
    client: Client, ada: User, settings: Any, path: str, form: dict[str, str]
) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    settings.SITE_URL = "https://market.example"
    client.post(path, form, headers={"host": "evil.example"})
    [message] = mail.outbox
    assert "https://market.example/" in message.body
    assert "evil.example" not in message.body
