"""Policies of organisation and key, as calls by the official client meet them."""

from typing import Any

import pytest
from openai import PermissionDeniedError

from accounts.models import ApiKey, Organisation
from marketplace.catalog.models import Service
from marketplace.catalog.selectors import forget_callable_services
from marketplace.metering.models import Call
from tests.cast import make_key
from tests.gateway.market import CHAT, CHAT_PATH, EMBEDDINGS, GOOD, MESSAGES, Market
from tests.partners.cast import make_live_service, make_provider


def set_policy(market: Market, **rules: Any) -> str:
    """For the organisation; the secret of a key that the process has not seen yet."""
    Organisation.objects.filter(pk=market.acme.pk).update(policy=rules)
    return make_key(market.acme)[1]


def test_the_official_client_is_told_which_rule_forbids(market: Market) -> None:
    before = market.spendable
    secret = set_policy(market, regions=["us-east"])
    with pytest.raises(PermissionDeniedError) as refused:
        market.client(secret=secret).chat.completions.create(model=CHAT, messages=MESSAGES)
    assert (refused.value.status_code, refused.value.code) == (403, "policy_violation")
    assert "Your organisation's policy" in str(refused.value)
    assert "allowed regions: us-east" in str(refused.value)
    for body in ({**GOOD, "stream": True}, {**GOOD, "model": market.chat.handle}):
        assert market.post(CHAT_PATH, body, secret=secret)[0] == 403
    assert (
        market.post("/v1/embeddings", {"model": EMBEDDINGS, "input": "x"}, secret=secret)[0] == 403
    )
    assert market.get("/v1/models", secret=secret)[2]["data"] == []
    assert market.get(f"/v1/models/{CHAT}", secret=secret)[0] == 404
    assert market.spendable == before
    assert not Call.objects.exists()
    market.assert_books_balance()


def test_a_keys_policy_narrows_and_is_named(market: Market) -> None:
    set_policy(market, countries=["DE"])
    key, secret = make_key(market.acme)
    ApiKey.objects.filter(pk=key.pk).update(policy={"most_retention_days": 0, "least_bits": 16})
    Service.objects.filter(pk=market.chat.pk).update(quantisation="fp8")
    forget_callable_services()
    refusal = market.post(CHAT_PATH, GOOD, secret=secret)[2]["error"]
    assert refusal["code"] == "policy_violation"
    assert refusal["message"].startswith("This key's policy")
    assert "bits per weight, at least: 16" in refusal["message"]


def test_calls_go_to_the_services_that_pass(market: Market) -> None:
    """The cheaper one is never chosen, not even when the one that passes fails."""
    cheap = make_live_service(
        make_provider("Cheap"),
        market.chat.model,
        endpoint_url=market.site.upstream.url,
        region="us-east",
        country="US",
        prices={"input_millitokens": 1, "cached_input_millitokens": 1, "output_millitokens": 1},
    )
    free_choice = market.client().chat.completions.with_raw_response.create(
        model=CHAT, messages=MESSAGES
    )
    assert free_choice.headers["x-tokenworks-service"] == cheap.handle
    secret = set_policy(market, regions=["eu-central"])
    bound = market.client(secret=secret).chat.completions.with_raw_response.create(
        model=CHAT, messages=MESSAGES
    )
    assert bound.headers["x-tokenworks-service"] == market.chat.handle


@pytest.mark.parametrize("stored", [{"unheard_of": True}, [], {"regions": []}], ids=str)
def test_a_policy_that_cannot_be_read_refuses(market: Market, stored: Any) -> None:
    Organisation.objects.filter(pk=market.acme.pk).update(policy=stored)
    secret = make_key(market.acme)[1]
    status, _headers, answer = market.post(CHAT_PATH, GOOD, secret=secret)
    assert (status, answer["error"]["code"]) == (403, "policy_violation")
    assert "a policy that cannot be read" in answer["error"]["message"]
    assert not Call.objects.exists()
