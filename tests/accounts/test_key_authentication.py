"""What the text of a key opens, in each state of the key."""

from datetime import timedelta

import pytest
from django.test import Client

from accounts import services as accounts
from accounts.models import ApiKey, AuditEvent, Organisation, User
from portal.kernel.clock import utc_now
from portal.kernel.errors import Rejected
from tests.cast import make_key

NOW = utc_now()


def status_of(text: str, *, at: timedelta = timedelta(0)) -> str | None:
    key = accounts.authenticate_api_key(text=text, now=NOW + at)
    return key.status if key else None


def test_a_new_key_is_all_that_was_asked_for(acme: Organisation, ada: User) -> None:
    key, text = make_key(
        acme,
        created_by=ada,
        scopes=["read", "inference"],
        cap_millitokens=5_000,
        cap_period="week",
        allowed_services=["svc_b", "svc_a"],
        now=NOW,
    )
    found = accounts.authenticate_api_key(text=text, now=NOW)
    assert found is not None
    assert found.status == "ok"
    assert (found.key_id, found.key_public_id) == (key.pk, key.public_id)
    assert (found.organisation_pk, found.organisation_slug) == (acme.pk, "acme")
    assert (found.organisation_public_id, found.organisation_timezone) == (acme.public_id, "UTC")
    assert found.member_pk == ada.pk
    assert found.kind == "live"
    assert found.scopes == {"inference", "read"}
    assert (found.cap_millitokens, found.cap_period) == (5_000, "week")
    assert found.cap_subject == key.public_id
    assert found.allowed_services == {"svc_a", "svc_b"}


def test_the_secret_is_not_kept(acme: Organisation) -> None:
    key, text = make_key(acme)
    row = ApiKey.objects.filter(pk=key.pk).values().get()
    stored = " ".join(str(value) for value in row.values())
    assert text not in stored
    assert text.startswith(key.prefix)
    assert len(text) - len(key.prefix) == 33
    audit = AuditEvent.objects.get(action="api_key.created")
    assert text[len(key.prefix) :] not in f"{audit.target_label}{audit.after}"


@pytest.mark.parametrize("kind", ["live", "test", "provider"])
def test_the_kind_is_in_the_text(acme: Organisation, kind: str) -> None:
    _key, text = make_key(acme, kind=kind)
    assert text.startswith(f"tw_{kind}_")


def test_unknown_texts_open_nothing(acme: Organisation) -> None:
    _key, text = make_key(acme)
    other_end = text[:-1] + ("a" if text[-1] != "a" else "b")
    for wrong in ["", "x", text[:-1], text + "a", other_end, f" {text}", "tw_live_" + "é" * 43]:
        assert status_of(wrong) is None, wrong


def test_states(acme: Organisation) -> None:
    key, text = make_key(acme, expires_at=NOW + timedelta(days=1), now=NOW)
    assert status_of(text) == "ok"
    accounts.suspend_api_key(key=key, actor=accounts.SYSTEM_ACTOR, now=NOW)
    assert status_of(text) == "suspended"
    accounts.resume_api_key(key=key, actor=accounts.SYSTEM_ACTOR, now=NOW)
    assert status_of(text, at=timedelta(hours=23)) == "ok"
    assert status_of(text, at=timedelta(days=1)) == "expired"
    accounts.revoke_api_key(key=key, actor=accounts.SYSTEM_ACTOR, now=NOW)
    assert status_of(text) == "revoked"


def test_a_revoked_key_stays_revoked(acme: Organisation) -> None:
    key, text = make_key(acme)
    accounts.revoke_api_key(key=key, actor=accounts.SYSTEM_ACTOR, now=NOW)
    before = AuditEvent.objects.count()
    for change in (accounts.suspend_api_key, accounts.resume_api_key):
        with pytest.raises(accounts.KeyRevoked):
            change(key=key, actor=accounts.SYSTEM_ACTOR, now=NOW)
    accounts.revoke_api_key(key=key, actor=accounts.SYSTEM_ACTOR, now=NOW)
    assert status_of(text) == "revoked"
    assert AuditEvent.objects.count() == before


def test_suspending_twice_is_once(acme: Organisation) -> None:
    key, _text = make_key(acme)
    accounts.suspend_api_key(key=key, actor=accounts.SYSTEM_ACTOR, now=NOW)
    again = accounts.suspend_api_key(
        key=key, actor=accounts.SYSTEM_ACTOR, now=NOW + timedelta(hours=1)
    )
    assert again.suspended_at == NOW
    assert AuditEvent.objects.filter(action="api_key.suspended").count() == 1


@pytest.mark.parametrize("grace", accounts.GRACES)
def test_rotation_with_grace(acme: Organisation, grace: timedelta) -> None:
    key, old = make_key(acme, cap_millitokens=9_000, allowed_services=["svc_a"], now=NOW)
    successor, new = accounts.rotate_api_key(
        key=key, grace=grace, actor=accounts.SYSTEM_ACTOR, now=NOW
    )
    assert status_of(new) == "ok"
    assert status_of(old) == ("ok" if grace else "expired")
    assert status_of(old, at=grace) == "expired"
    key.refresh_from_db()
    assert key.rotated_to == successor
    for name in ("name", "kind", "scopes", "cap_millitokens", "cap_period", "allowed_services"):
        assert getattr(successor, name) == getattr(key, name)
    assert successor.cap_subject == key.public_id


def test_rotation_never_lengthens_a_life(acme: Organisation) -> None:
    key, old = make_key(acme, expires_at=NOW + timedelta(minutes=5), now=NOW)
    successor, _new = accounts.rotate_api_key(
        key=key, grace=timedelta(days=7), actor=accounts.SYSTEM_ACTOR, now=NOW
    )
    assert status_of(old, at=timedelta(minutes=5)) == "expired"
    assert successor.expires_at == NOW + timedelta(minutes=5)


def test_only_a_working_key_is_rotated_and_once(acme: Organisation) -> None:
    suspended, _ = make_key(acme)
    accounts.suspend_api_key(key=suspended, actor=accounts.SYSTEM_ACTOR, now=NOW)
    rotated, _ = make_key(acme)
    accounts.rotate_api_key(
        key=rotated, grace=timedelta(hours=1), actor=accounts.SYSTEM_ACTOR, now=NOW
    )
    before = ApiKey.objects.count()
    for key in (suspended, rotated):
        with pytest.raises(accounts.KeyNotRotatable):
            accounts.rotate_api_key(
                key=key, grace=timedelta(hours=1), actor=accounts.SYSTEM_ACTOR, now=NOW
            )
    with pytest.raises(Rejected):
        accounts.rotate_api_key(
            key=make_key(acme)[0], grace=timedelta(days=400), actor=accounts.SYSTEM_ACTOR, now=NOW
        )
    assert ApiKey.objects.count() == before + 1


@pytest.mark.parametrize(
    ("field", "inputs"),
    [
        ("name", {"name": "  "}),
        ("name", {"name": "n" * 81}),
        ("kind", {"kind": "root"}),
        ("scopes", {"scopes": ["read", "everything"]}),
        ("scopes", {"kind": "live", "scopes": ["provider"]}),
        ("cap_period", {"cap_period": "year"}),
        ("cap_millitokens", {"cap_millitokens": 0}),
        ("cap_millitokens", {"cap_millitokens": -1}),
        ("cap_millitokens", {"cap_millitokens": 10**19}),
        ("expires_at", {"expires_at": NOW}),
        ("allowed_services", {"allowed_services": ["org_x"]}),
    ],
)
def test_nonsense_makes_no_key(
    acme: Organisation, ada: User, field: str, inputs: dict[str, object]
) -> None:
    arguments: dict = {"kind": "live", "name": "CI", **inputs}
    with pytest.raises(accounts.KeyRejected) as refusal:
        accounts.create_api_key(
            organisation=acme, created_by=ada, now=NOW, actor=accounts.SYSTEM_ACTOR, **arguments
        )
    assert refusal.value.data["field"] == field
    assert not ApiKey.objects.exists()
    assert not AuditEvent.objects.filter(action="api_key.created").exists()


def test_last_use_is_noted_once_a_minute(acme: Organisation) -> None:
    key, text = make_key(acme)
    found = accounts.authenticate_api_key(text=text, now=NOW)
    assert found is not None
    assert found.touch_due
    accounts.touch_api_key(key_pk=key.pk, now=NOW)
    accounts.touch_api_key(key_pk=key.pk, now=NOW + timedelta(seconds=30))
    key.refresh_from_db()
    assert key.last_used_at == NOW
    soon = accounts.authenticate_api_key(text=text, now=NOW + timedelta(seconds=30))
    assert soon is not None
    assert not soon.touch_due
    later = accounts.authenticate_api_key(text=text, now=NOW + timedelta(seconds=61))
    assert later is not None
    assert later.touch_due


def test_authentication_takes_one_query(
    acme: Organisation, django_assert_num_queries: pytest.FixtureRequest
) -> None:
    _key, text = make_key(acme)
    with django_assert_num_queries(1):  # type: ignore[operator]
        accounts.authenticate_api_key(text=text, now=NOW)


def test_keys_of_barred_people_are_suspended(
    client: Client, acme: Organisation, ada: User, mia: User
) -> None:
    _key, text = make_key(acme, created_by=mia)
    _other, of_ada = make_key(acme, created_by=ada)
    User.objects.filter(pk=mia.pk).update(is_active=False)
    assert (status_of(text), status_of(of_ada)) == ("suspended", "ok")
    refused = client.get("/api/v1/organisation", headers={"Authorization": f"Bearer {text}"})
    assert (refused.status_code, refused.json()["code"]) == (401, "key_suspended")
    User.objects.filter(pk=mia.pk).update(is_active=True)
    assert status_of(text) == "ok"
