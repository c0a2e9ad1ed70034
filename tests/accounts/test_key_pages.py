"""The key pages: a key is shown once, and each role sees what it should."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.test import Client

from accounts import services as accounts
from accounts.hooks import ServiceChoice, hooks
from accounts.models import ApiKey, AuditEvent, Organisation, User
from portal.kernel.clock import utc_now
from tests.cast import PASSWORD, make_key, signed_in

pytestmark = pytest.mark.django_db

NEW = "/o/acme/keys/new/"
FORM = {"name": "CI", "kind": "live", "scopes": ["inference"], "cap_period": "month"}
KEY_TEXT = re.compile(r"tw_(?:live|test|provider)_[0-9A-Za-z]{43}")


def fill_in(client: Client, **changes: Any) -> Any:
    """Open the form and send it."""
    page = client.get(NEW)
    once = page.context["form"].initial["once"]
    return client.post(NEW, {**FORM, "once": once, **changes})


@pytest.fixture
def two_services(monkeypatch: pytest.MonkeyPatch) -> None:
    choices = [
        ServiceChoice(public_id="svc_a", label="Alpha in EU"),
        ServiceChoice(public_id="svc_b", label="Beta in CN"),
        ServiceChoice(public_id="svc_c", label="Sample", offered=False),
    ]
    monkeypatch.setattr(hooks, "list_services", lambda: choices)


def test_a_key_is_shown_once_and_never_again(mia: User) -> None:
    client = signed_in(mia)
    made = fill_in(client)
    [text] = set(KEY_TEXT.findall(made.content.decode()))
    assert "no-store" in made["Cache-Control"]
    found = accounts.authenticate_api_key(text=text, now=utc_now())
    assert found is not None
    assert found.status == "ok"
    assert found.member_pk == mia.pk
    key = ApiKey.objects.get()
    for path in ("", f"{key.public_id}/", f"{key.public_id}/rotate/", f"{key.public_id}/revoke/"):
        page = client.get(f"/o/acme/keys/{path}").content.decode()
        assert not KEY_TEXT.search(page)
        assert key.prefix in page or path.endswith("rotate/")
    for session in Session.objects.all():
        assert text not in str(session.get_decoded())


def test_the_same_form_sent_twice_makes_one_key(mia: User) -> None:
    client = signed_in(mia)
    once = client.get(NEW).context["form"].initial["once"]
    assert client.post(NEW, {**FORM, "once": once}).status_code == 200
    again = client.post(NEW, {**FORM, "once": once})
    assert again["Location"] == "/o/acme/keys/"
    assert ApiKey.objects.count() == 1


@pytest.mark.usefixtures("two_services")
def test_all_settings_of_the_form_arrive(acme: Organisation, ada: User) -> None:
    Organisation.objects.filter(pk=acme.pk).update(timezone="Asia/Kolkata")
    fill_in(
        signed_in(ada),
        kind="test",
        scopes=["read", "write"],
        cap_tokens="2500000",
        cap_period="day",
        expires_on="2099-12-31",
        allowed_services=["svc_b"],
    )
    key = ApiKey.objects.get()
    assert (key.kind, key.scopes, key.cap_period) == ("test", ["read", "write"], "day")
    assert key.cap_millitokens == 2_500_000_000
    assert key.allowed_services == ["svc_b"]
    assert key.expires_at is not None
    assert key.expires_at.isoformat() == "2099-12-31T18:30:00+00:00", "the day's end in Kolkata"
    page = signed_in(ada).get(f"/o/acme/keys/{key.public_id}/").content.decode()
    assert "Beta in CN" in page
    assert "Alpha in EU" not in page
    event = AuditEvent.objects.get(action="api_key.created")
    assert event.after["cap_millitokens"] == 2_500_000_000
    assert event.actor_id == ada.public_id


@pytest.mark.usefixtures("two_services")
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "n" * 81),
        ("kind", "provider"),
        ("scopes", []),
        ("scopes", ["provider"]),
        ("cap_tokens", "0"),
        ("cap_tokens", "-5"),
        ("cap_tokens", "1e9"),
        ("cap_tokens", str(10**30)),
        ("cap_period", "year"),
        ("expires_on", "2001-01-01"),
        ("expires_on", "9999-12-31"),
        ("expires_on", "soon"),
        ("allowed_services", ["svc_unknown"]),
        ("allowed_services", ["svc_c"]),
    ],
)
def test_wrong_input_makes_no_key(mia: User, field: str, value: Any) -> None:
    answer = fill_in(signed_in(mia), **{field: value})
    assert answer.status_code == 200
    assert answer.context["form"].errors.keys() == {field}
    assert not ApiKey.objects.exists()


def test_suspending_takes_two_clicks_and_works_at_once(acme: Organisation, mia: User) -> None:
    key, text = make_key(acme, created_by=mia)
    client = signed_in(mia, recently=False)
    url = f"/o/acme/keys/{key.public_id}/suspend/"
    assert url in client.get("/o/acme/keys/").content.decode()
    assert client.post(url)["Location"] == "/o/acme/keys/"
    found = accounts.authenticate_api_key(text=text, now=utc_now())
    assert found is not None
    assert found.status == "suspended"
    event = AuditEvent.objects.get(action="api_key.suspended")
    assert (event.actor_id, event.target_id) == (mia.public_id, key.public_id)


def test_resuming_asks_for_the_password_when_the_sign_in_is_old(
    acme: Organisation, mia: User
) -> None:
    key, _text = make_key(acme, created_by=mia)
    signed_in(mia).post(f"/o/acme/keys/{key.public_id}/suspend/")
    client = signed_in(mia, recently=False)
    url = f"/o/acme/keys/{key.public_id}/resume/"
    asked = client.post(url, {"from": "key"})
    assert asked["Location"].startswith("/account/confirm/")
    key.refresh_from_db()
    assert key.suspended_at is not None
    done = client.post(asked["Location"], {"password": PASSWORD, "next": url})
    assert done["Location"] == f"/o/acme/keys/{key.public_id}/"
    key.refresh_from_db()
    assert key.suspended_at is None


@pytest.mark.parametrize(("seconds", "old_status"), [(0, "expired"), (604800, "ok")])
def test_rotating_shows_the_new_key_once(
    acme: Organisation, mia: User, seconds: int, old_status: str
) -> None:
    key, old = make_key(acme, created_by=mia)
    client = signed_in(mia)
    url = f"/o/acme/keys/{key.public_id}/rotate/"
    once = client.get(url).context["form"].initial["once"]
    shown = client.post(url, {"grace": seconds, "once": once})
    [new] = set(KEY_TEXT.findall(shown.content.decode()))
    assert new != old
    states = {}
    for text in (old, new):
        found = accounts.authenticate_api_key(text=text, now=utc_now())
        assert found is not None
        states[text] = found.status
    assert states == {old: old_status, new: "ok"}
    assert client.post(url, {"grace": seconds, "once": once})["Location"] == "/o/acme/keys/"
    again = client.post(url, {"grace": seconds, "once": "another"})
    assert again.context["form"].errors
    assert ApiKey.objects.count() == 2


def test_an_unknown_grace_rotates_nothing(acme: Organisation, mia: User) -> None:
    key, _text = make_key(acme, created_by=mia)
    answer = signed_in(mia).post(
        f"/o/acme/keys/{key.public_id}/rotate/", {"grace": 99999999, "once": "x"}
    )
    assert answer.context["form"].errors.keys() == {"grace"}
    assert ApiKey.objects.count() == 1


def test_revoking_asks_first_and_is_for_good(acme: Organisation, mia: User) -> None:
    key, text = make_key(acme, created_by=mia)
    client = signed_in(mia)
    url = f"/o/acme/keys/{key.public_id}/revoke/"
    assert "for good" in client.get(url).content.decode()
    key.refresh_from_db()
    assert key.revoked_at is None
    client.post(url)
    found = accounts.authenticate_api_key(text=text, now=utc_now())
    assert found is not None
    assert found.status == "revoked"
    client.post(f"/o/acme/keys/{key.public_id}/resume/")
    client.post(f"/o/acme/keys/{key.public_id}/suspend/")
    key.refresh_from_db()
    assert key.suspended_at is None
    assert key.prefix not in client.get("/o/acme/keys/").content.decode()
    assert key.prefix in client.get("/o/acme/keys/?show=ended").content.decode()


def test_members_see_their_own_keys_and_owners_all(
    acme: Organisation, ada: User, bill: User, mia: User
) -> None:
    keys = {person: make_key(acme, created_by=person)[0] for person in (ada, bill, mia)}
    for person in (bill, mia):
        page = signed_in(person).get("/o/acme/keys/").content.decode()
        assert [owner for owner, key in keys.items() if key.prefix in page] == [person]
    page = signed_in(ada).get("/o/acme/keys/").content.decode()
    assert all(key.prefix in page for key in keys.values())


def test_others_keys_are_not_found(
    acme: Organisation, globex: Organisation, ada: User, mia: User, gus: User
) -> None:
    key, _text = make_key(acme, created_by=ada)
    for person, slug in ((mia, "acme"), (gus, "acme"), (gus, "globex")):
        client = signed_in(person)
        assert client.get(f"/o/{slug}/keys/{key.public_id}/").status_code == 404
        for act in ("suspend", "resume", "rotate", "revoke"):
            url = f"/o/{slug}/keys/{key.public_id}/{act}/"
            assert client.post(url, {"grace": 0, "once": "x"}).status_code == 404
    key.refresh_from_db()
    assert (key.suspended_at, key.revoked_at, key.rotated_to_id) == (None, None, None)
    assert ApiKey.objects.count() == 1


def test_an_owner_takes_over_the_key_of_somebody_who_left(
    acme: Organisation, ada: User, mia: User
) -> None:
    key, _text = make_key(acme, created_by=mia)
    mia.memberships.all().delete()
    client = signed_in(ada)
    assert "no longer a member" in client.get(f"/o/acme/keys/{key.public_id}/").content.decode()
    client.post(f"/o/acme/keys/{key.public_id}/rotate/", {"grace": 0, "once": "x"})
    assert ApiKey.objects.get(rotated_from=key).created_by == ada


def test_expired_and_rotated_keys_read_so(acme: Organisation, ada: User) -> None:
    now = utc_now()
    make_key(acme, name="Old one", expires_at=now + timedelta(seconds=1), now=now)
    key, _text = make_key(acme, name="New one")
    accounts.rotate_api_key(key=key, grace=timedelta(hours=1), actor=accounts.SYSTEM_ACTOR, now=now)
    ApiKey.objects.filter(name="Old one").update(expires_at=now)
    client = signed_in(ada)
    in_use = client.get("/o/acme/keys/").content.decode()
    assert "Being replaced" in in_use
    assert "Old one" not in in_use
    assert "Expired" in client.get("/o/acme/keys/?show=ended").content.decode()


def test_the_list_takes_the_same_queries_for_many_keys(
    acme: Organisation, ada: User, django_assert_max_num_queries: Any
) -> None:
    client = signed_in(ada)
    for number in range(60):
        make_key(acme, name=f"Key {number}")
    with django_assert_max_num_queries(15):
        page = client.get("/o/acme/keys/").content.decode()
    assert ("Key 59" in page, "Key 9<" in page) == (True, False)
    assert "page=2" in page


def test_an_owners_suspension_is_not_undone_by_the_member(
    acme: Organisation, ada: User, mia: User
) -> None:
    key, _text = make_key(acme, created_by=mia)
    resume = f"/o/acme/keys/{key.public_id}/resume/"
    signed_in(ada).post(f"/o/acme/keys/{key.public_id}/suspend/")
    member = signed_in(mia)
    # Suspending it once more does not make the suspension one's own.
    member.post(f"/o/acme/keys/{key.public_id}/suspend/")
    for path in ("", f"{key.public_id}/"):
        assert resume not in member.get(f"/o/acme/keys/{path}").content.decode()
    told = member.post(resume, follow=True).content.decode()
    assert "only an owner can resume it" in told
    key.refresh_from_db()
    assert (key.suspended_at is not None, key.suspended_by) == (True, ada)
    assert not AuditEvent.objects.filter(action="api_key.resumed").exists()
    signed_in(ada).post(resume)
    key.refresh_from_db()
    assert (key.suspended_at, key.suspended_by) == (None, None)


def test_members_resume_what_they_suspended_and_owners_all(
    acme: Organisation, ada: User, mia: User
) -> None:
    key, _text = make_key(acme, created_by=mia)
    for person in (mia, ada):
        signed_in(mia).post(f"/o/acme/keys/{key.public_id}/suspend/")
        client = signed_in(person)
        resume = f"/o/acme/keys/{key.public_id}/resume/"
        assert resume in client.get("/o/acme/keys/").content.decode()
        client.post(resume)
        key.refresh_from_db()
        assert key.suspended_at is None


def test_the_key_of_a_barred_person_waits_for_an_owner(
    acme: Organisation, ada: User, mia: User
) -> None:
    key, _text = make_key(acme, created_by=mia)
    User.objects.filter(pk=mia.pk).update(is_active=False)
    client = signed_in(ada)
    page = client.get(f"/o/acme/keys/{key.public_id}/").content.decode()
    assert "make it yours" in page
    assert "Active" not in page
    client.post(f"/o/acme/keys/{key.public_id}/rotate/", {"grace": 0, "once": "x"})
    assert ApiKey.objects.get(rotated_from=key).created_by == ada


def test_the_list_tells_the_true_state_of_a_barred_persons_key(
    acme: Organisation, ada: User, mia: User
) -> None:
    key, text = make_key(acme, created_by=mia)
    client = signed_in(ada)
    assert "Active" in client.get("/o/acme/keys/").content.decode()
    User.objects.filter(pk=mia.pk).update(is_active=False)
    page = client.get("/o/acme/keys/").content.decode()
    assert "Active" not in page
    assert "Suspended" in page
    assert f"{key.public_id}/suspend/" not in page
    client.post(f"/o/acme/keys/{key.public_id}/resume/")
    key.refresh_from_db()
    assert key.created_by == ada
    assert AuditEvent.objects.get(action="api_key.handed_over").target_id == key.public_id
    found = accounts.authenticate_api_key(text=text, now=utc_now())
    assert found is not None
    assert found.status == "ok"
    assert "Active" in client.get("/o/acme/keys/").content.decode()


def test_members_cannot_resume_a_key_whose_holder_is_gone(
    acme: Organisation, ada: User, bill: User, mia: User
) -> None:
    key, _text = make_key(acme, created_by=mia)
    User.objects.filter(pk=mia.pk).update(is_active=False)
    resume = f"/o/acme/keys/{key.public_id}/resume/"
    assert signed_in(bill).post(resume).status_code == 404
    key.refresh_from_db()
    assert key.created_by == mia
    assert not AuditEvent.objects.filter(action__startswith="api_key.handed").exists()
