"""Keys at the gateway's door: what a key may do, and how soon it may no more."""

import time
from datetime import timedelta
from typing import Any

import pytest

from accounts import services as accounts
from accounts.models import ApiKey
from marketplace.metering.models import Call
from portal.kernel.clock import utc_now
from tests.cast import make_key
from tests.gateway.market import CHAT, CHAT_PATH, EMBEDDINGS, GOOD, Market


def test_a_suspended_key_is_refused_within_five_seconds(market: Market) -> None:
    assert market.post(CHAT_PATH, GOOD)[0] == 200
    accounts.suspend_api_key(key=market.key, actor=accounts.SYSTEM_ACTOR, now=utc_now())
    suspended_at = time.monotonic()
    while (answer := market.post(CHAT_PATH, GOOD))[0] == 200:
        assert time.monotonic() - suspended_at < 5
        time.sleep(0.1)
    assert (answer[0], answer[2]["error"]["code"]) == (401, "api_key_suspended")
    calls = Call.objects.count()
    accounts.resume_api_key(key=market.key, actor=accounts.SYSTEM_ACTOR, now=utc_now())
    while market.post(CHAT_PATH, GOOD)[0] != 200:
        assert Call.objects.count() == calls
        time.sleep(0.1)


@pytest.mark.parametrize("code", ["api_key_revoked", "api_key_expired"])
def test_keys_that_ended(market: Market, code: str) -> None:
    key, secret = make_key(market.acme)
    if code == "api_key_revoked":
        accounts.revoke_api_key(key=key, actor=accounts.SYSTEM_ACTOR, now=utc_now())
    else:
        ApiKey.objects.filter(pk=key.pk).update(expires_at=utc_now() - timedelta(seconds=1))
    status, _headers, answer = market.post(CHAT_PATH, GOOD, secret=secret)
    assert (status, answer["error"]["code"]) == (401, code)
    assert not Call.objects.exists()


def test_what_is_no_key(market: Market) -> None:
    wrong = ["", "x", "tw_live_", "tw_live_" + "x" * 43, "y" * 5000, market.secret + "x", "\u00fc"]
    for text in wrong:
        status, _headers, answer = market.post(CHAT_PATH, GOOD, secret=text or " ")
        assert status == 401
        assert answer["error"]["type"] == "authentication_error"
        assert not text or text not in answer["error"]["message"]
    for header in ("", "Basic abc", market.secret, f"Token {market.secret}"):
        status, _headers, answer = market.post(CHAT_PATH, GOOD, Authorization=header)
        assert (status, answer["error"]["code"]) == (401, "missing_api_key")
    assert market.post(CHAT_PATH, GOOD, Authorization=f"bearer {market.secret}")[0] == 200


def test_a_provider_key_opens_another_door(market: Market) -> None:
    _key, secret = make_key(market.acme, kind="provider")
    for path in (CHAT_PATH, "/v1/embeddings"):
        status, _headers, answer = market.post(path, GOOD, secret=secret)
        assert (status, answer["error"]["code"]) == (403, "insufficient_scope")
    assert market.get("/v1/models", secret=secret)[0] == 403


def test_a_key_sees_only_what_it_may_call(market: Market) -> None:
    _key, secret = make_key(market.acme, allowed_services=[market.embeddings.public_id])
    listed: Any = market.get("/v1/models", secret=secret)[2]
    assert [model["id"] for model in listed["data"]] == [EMBEDDINGS]
    assert market.get(f"/v1/models/{CHAT}", secret=secret)[0] == 404
    assert market.post(CHAT_PATH, GOOD, secret=secret)[2]["error"]["code"] == "policy_violation"
    body = {"model": EMBEDDINGS, "input": "x"}
    assert market.post("/v1/embeddings", body, secret=secret)[0] == 200
