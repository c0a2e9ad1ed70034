"""Who comes in, and how refusals look: problem documents for every status."""

from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings

from accounts import services as accounts
from accounts.models import Membership, Organisation, User
from portal.kernel.clock import utc_now
from tests.api.client import ApiClient
from tests.cast import make_key

ORGANISATION = "/api/v1/organisation"


def assert_problem(response: Any, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status
    assert response["Content-Type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["status"] == status
    assert problem["code"] == code
    assert problem["type"].endswith(f"/docs/api/#{code}")
    assert problem["title"]
    assert problem["detail"]
    return problem


def test_a_key_shows_its_own_organisation(ada_api: ApiClient, gus_api: ApiClient) -> None:
    mine, theirs = ada_api.get(ORGANISATION), gus_api.get(ORGANISATION)

    assert mine.status_code == theirs.status_code == 200
    assert mine.json()["slug"] == "acme"
    assert theirs.json()["slug"] == "globex"
    assert mine["Cache-Control"] == "no-store"
    assert mine.json()["created_at"].endswith("Z")


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        (None, "not_authenticated"),
        ("Bearer tw_live_" + "x" * 43, "key_unknown"),
        ("Bearer", "key_unknown"),
        ("Bearer ключ".encode().decode("latin-1"), "key_unknown"),
        ("Basic YWRhOnB3", "key_malformed"),
    ],
)
def test_without_a_usable_key_nothing_opens(db: None, authorization: str | None, code: str) -> None:
    client = ApiClient().client
    headers = {"Authorization": authorization} if authorization else {}

    response = client.get(ORGANISATION, headers=headers)

    assert_problem(response, 401, code)
    assert response["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("change", ["suspend_api_key", "revoke_api_key"])
def test_a_suspended_or_revoked_key_is_refused(acme: Organisation, change: str) -> None:
    key, text = make_key(acme)
    getattr(accounts, change)(key=key, actor=accounts.SYSTEM_ACTOR, now=utc_now())

    response = ApiClient(text).get(ORGANISATION)

    assert response.status_code == 401
    assert text not in response.content.decode()


def test_an_expired_key_is_refused(acme: Organisation) -> None:
    past = utc_now() - timedelta(days=2)
    _key, text = make_key(acme, now=past, expires_at=past + timedelta(days=1))

    assert_problem(ApiClient(text).get(ORGANISATION), 401, "key_expired")


def test_the_scope_is_needed(acme: Organisation) -> None:
    _key, text = make_key(acme, scopes=["inference"])

    assert_problem(ApiClient(text).get(ORGANISATION), 403, "scope_missing")


def test_a_provider_key_does_not_open_the_tenants_api(acme: Organisation) -> None:
    _key, text = make_key(acme, kind="provider")

    assert_problem(ApiClient(text).get(ORGANISATION), 403, "scope_missing")


def test_a_key_of_somebody_who_left_opens_nothing(
    acme: Organisation, mia: User, mia_api: ApiClient
) -> None:
    assert mia_api.get(ORGANISATION).status_code == 200
    Membership.objects.filter(organisation=acme, user=mia).delete()

    assert_problem(mia_api.get(ORGANISATION), 401, "key_suspended")


@pytest.mark.parametrize(
    "path",
    [
        "/api/",
        "/api/v1/",
        "/api/v1/nothing",
        "/api/v2/organisation",
        "/api/v1/organisation/",
        "/api/v1/%00",
    ],
)
@pytest.mark.parametrize("method", ["get", "post", "delete"])
def test_unknown_addresses_are_problems_too(db: None, path: str, method: str) -> None:
    assert_problem(ApiClient().send(method, path), 404, "not_found")


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete", "options"])
def test_other_methods_are_named(ada_api: ApiClient, method: str) -> None:
    response = ada_api.send(method, ORGANISATION)

    assert_problem(response, 405, "method_not_allowed")
    assert "GET" in response["Allow"]


def test_whatever_is_asked_for_the_answer_is_json(ada_api: ApiClient) -> None:
    response = ada_api.send("get", ORGANISATION, Accept="text/html")

    assert response["Content-Type"] == "application/json"


def test_reads_and_writes_are_throttled_apart_per_key(
    settings: LazySettings, ada_api: ApiClient, gus_api: ApiClient
) -> None:
    settings.REST_FRAMEWORK = {
        **settings.REST_FRAMEWORK,
        "DEFAULT_THROTTLE_RATES": {"read": "2/min", "write": "1/min"},
    }

    assert [ada_api.get(ORGANISATION).status_code for _n in range(2)] == [200, 200]
    limited = ada_api.get(ORGANISATION)

    assert_problem(limited, 429, "throttled")
    assert 1 <= int(limited["Retry-After"]) <= 60
    assert gus_api.get(ORGANISATION).status_code == 200
    assert ada_api.send("post", ORGANISATION).status_code == 405


def test_problems_speak_the_readers_language(db: None) -> None:
    response = ApiClient().client.get(ORGANISATION, headers={"Accept-Language": "zh-hans"})

    assert_problem(response, 401, "not_authenticated")
    assert response["Content-Language"] == "zh-hans"
