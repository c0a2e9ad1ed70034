"""Limits and access of a key: how they are set, who sets them, what is refused."""

from typing import Any

import pytest

from accounts import services as accounts
from accounts.models import ApiKey, AuditEvent, Organisation, User
from accounts.services import KeyAccess, KeyRejected, KeyRevoked, read_networks, read_origins
from portal.kernel.clock import utc_now
from tests.api.client import ApiClient
from tests.cast import make_key, signed_in

pytestmark = pytest.mark.django_db

FORM = {
    "requests_per_minute": "60",
    "tokens_per_minute": "100000",
    "allowed_networks": "203.0.113.7\r\n2001:DB8::/32, 203.0.113.7",
    "allowed_origins": "https://App.Example.com/\r\nhttp://localhost:5173",
}
STORED: dict[str, Any] = {
    "requests_per_minute": 60,
    "tokens_per_minute": 100_000,
    "allowed_networks": ["203.0.113.7/32", "2001:db8::/32"],
    "allowed_origins": ["https://app.example.com", "http://localhost:5173"],
}
NONE = dict.fromkeys(FORM, "")


def page_of(key: ApiKey) -> str:
    return f"/o/acme/keys/{key.public_id}/access/"


def stored(key: ApiKey) -> dict[str, Any]:
    key.refresh_from_db()
    return accounts.access_of(key)


def test_the_holder_sets_changes_and_clears_them(acme: Organisation, mia: User) -> None:
    key, text = make_key(acme, created_by=mia)
    client = signed_in(mia)
    assert client.post(page_of(key), FORM)["Location"] == f"/o/acme/keys/{key.public_id}/"
    assert stored(key) == STORED
    found = accounts.authenticate_api_key(text=text, now=utc_now())
    assert found is not None
    assert (found.requests_per_minute, found.tokens_per_minute) == (60, 100_000)
    assert [str(network) for network in found.allowed_networks] == STORED["allowed_networks"]
    assert found.allowed_origins == set(STORED["allowed_origins"])

    shown = client.get(f"/o/acme/keys/{key.public_id}/").content.decode()
    for word in ("100,000", "203.0.113.7/32", "https://app.example.com"):
        assert word in shown
    form = client.get(page_of(key)).content.decode()
    assert "203.0.113.7/32\n2001:db8::/32" in form

    assert client.post(page_of(key), FORM).status_code == 302
    assert client.post(page_of(key), {**FORM, "requests_per_minute": "30"}).status_code == 302
    first, second = AuditEvent.objects.filter(action="api_key.access_changed").order_by("pk")
    assert (first.before, first.after) == (
        {
            "requests_per_minute": None,
            "tokens_per_minute": None,
            "allowed_networks": [],
            "allowed_origins": [],
        },
        STORED,
    )
    assert (second.before, second.after) == (
        {"requests_per_minute": 60},
        {"requests_per_minute": 30},
    )
    assert client.post(page_of(key), NONE).status_code == 302
    assert stored(key)["requests_per_minute"] is None
    assert stored(key)["allowed_networks"] == stored(key)["allowed_origins"] == []


def test_they_can_be_set_when_the_key_is_made(mia: User) -> None:
    client = signed_in(mia)
    once = client.get("/o/acme/keys/new/").context["form"].initial["once"]
    form = {"name": "CI", "kind": "live", "scopes": ["inference"], "cap_period": "month"}
    wrong = client.post("/o/acme/keys/new/", {**form, "once": once, "allowed_networks": "home"})
    assert "allowed_networks" in wrong.context["form"].errors
    assert not ApiKey.objects.exists()
    client.post("/o/acme/keys/new/", {**form, **FORM, "once": once})
    assert stored(ApiKey.objects.get()) == STORED


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("requests_per_minute", "0"),
        ("requests_per_minute", "1.5"),
        ("requests_per_minute", "1000001"),
        ("tokens_per_minute", "-1"),
        ("tokens_per_minute", str(10**30)),
        ("allowed_networks", "203.0.113.7/24"),
        ("allowed_networks", "203.0.113.0/33"),
        ("allowed_networks", "fe80::1%eth0"),
        ("allowed_networks", "home"),
        ("allowed_networks", "\n".join(f"10.0.0.{number}" for number in range(51))),
        ("allowed_origins", "*"),
        ("allowed_origins", "null"),
        ("allowed_origins", "https://"),
        ("allowed_origins", "app.example.com"),
        ("allowed_origins", "https://*.example.com"),
        ("allowed_origins", "https://example.com/path"),
        ("allowed_origins", "https://example.com?"),
        ("allowed_origins", "https://ada@example.com"),
        ("allowed_origins", "https://example.com:99999"),
        ("allowed_origins", "ftp://example.com"),
        ("allowed_origins", "https://exa mple.com"),
        ("allowed_origins", "\n".join(f"https://a{number}.example" for number in range(21))),
    ],
)
def test_wrong_input_changes_nothing(acme: Organisation, mia: User, field: str, value: str) -> None:
    key, _text = make_key(acme, created_by=mia, access=KeyAccess(requests_per_minute=5))
    answer = signed_in(mia).post(page_of(key), {**FORM, field: value})
    assert answer.status_code == 200
    assert answer.context["form"].errors.keys() == {field}
    assert stored(key)["requests_per_minute"] == 5
    assert not AuditEvent.objects.filter(action="api_key.access_changed").exists()


def test_only_who_sees_the_key_may(acme: Organisation, ada: User, mia: User, gus: User) -> None:
    key, _text = make_key(acme, created_by=ada)
    for stranger in (mia, gus):
        assert signed_in(stranger).post(page_of(key), FORM).status_code == 404
    late = signed_in(ada, recently=False).post(page_of(key), FORM)
    assert (late.status_code, stored(key)["requests_per_minute"]) == (302, None)
    other, _text = make_key(acme, created_by=mia)
    assert signed_in(ada).post(page_of(other), FORM).status_code == 302
    assert stored(other) == STORED


def test_a_revoked_key_stays_as_it_was(acme: Organisation) -> None:
    key, _text = make_key(acme)
    actor, now = accounts.SYSTEM_ACTOR, utc_now()
    accounts.revoke_api_key(key=key, actor=actor, now=now)
    with pytest.raises(KeyRevoked):
        accounts.change_key_access(
            key=key, access=KeyAccess(requests_per_minute=1), actor=actor, now=now
        )
    assert stored(key)["requests_per_minute"] is None


def test_rotation_keeps_them(acme: Organisation) -> None:
    access = KeyAccess(tokens_per_minute=7, allowed_networks=("::1",), allowed_origins=())
    key, _text = make_key(acme, access=access)
    successor, _text = accounts.rotate_api_key(
        key=key, grace=accounts.GRACES[1], actor=accounts.SYSTEM_ACTOR, now=utc_now()
    )
    assert stored(successor) == stored(key)
    assert successor.tokens_per_minute == 7


def test_texts_are_read_as_they_are_compared() -> None:
    assert read_networks(["::ffff:203.0.113.0/120", "10.0.0.0/8"]) == [
        "203.0.113.0/24",
        "10.0.0.0/8",
    ]
    assert read_origins(["https://Bücher.example:443", "http://[2001:DB8::1]:8080"]) == [
        "https://xn--bcher-kva.example",
        "http://[2001:db8::1]:8080",
    ]
    with pytest.raises(KeyRejected):
        KeyAccess(requests_per_minute=0).check()


def test_rest_obeys_the_addresses(acme: Organisation, settings: Any) -> None:
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    key, text = make_key(acme, access=KeyAccess(allowed_networks=("203.0.113.0/24",)))
    api = ApiClient(text)
    organisation = "/api/v1/organisation"
    refused = api.send("get", organisation, **{"X-Forwarded-For": "198.51.100.1"})
    assert (refused.status_code, refused.json()["code"]) == (403, "address_not_allowed")
    assert "198.51.100.1" in refused.json()["detail"]
    key.refresh_from_db()
    assert key.last_used_at is None
    admitted = api.send("get", organisation, **{"X-Forwarded-For": "203.0.113.7"})
    assert admitted.status_code == 200
