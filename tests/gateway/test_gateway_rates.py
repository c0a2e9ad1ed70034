"""Limits per minute of keys and services: 429 before anything is held, and what the headers say."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from openai import RateLimitError

from accounts import services as accounts
from accounts.models import Organisation
from accounts.services import KeyAccess
from marketplace.catalog import services as catalog
from marketplace.ledger.models import Hold
from marketplace.metering.models import Call
from portal.kernel.clock import utc_now
from tests.cast import make_key
from tests.fakes.upstream import Behaviour
from tests.gateway.market import CHAT, CHAT_PATH, EMBEDDINGS, GOOD, MESSAGES, STREAM, Market
from tests.gateway.raw_client import RawCall
from tests.partners.cast import make_live_service, make_provider


def limited(market: Market, **limits: Any) -> str:
    """The text of a further key of acme with these limits."""
    _key, secret = make_key(market.acme, access=KeyAccess(**limits))
    return secret


def test_a_request_too_many(market: Market) -> None:
    secret = limited(market, requests_per_minute=2)
    first = market.post(CHAT_PATH, GOOD, secret=secret)
    second = market.post(CHAT_PATH, GOOD, secret=secret)
    third = market.post(CHAT_PATH, GOOD, secret=secret)
    assert [first[0], second[0], third[0]] == [200, 200, 429]
    assert first[1]["x-ratelimit-limit-requests"] == "2"
    assert first[1]["x-ratelimit-remaining-requests"] == "1"
    assert first[1]["x-ratelimit-reset-requests"] == "30s"
    assert "x-ratelimit-limit-tokens" not in first[1]
    assert third[1]["x-ratelimit-remaining-requests"] == "0"
    assert third[1]["x-ratelimit-reset-requests"] == "1m0s"
    assert 29 <= int(third[1]["retry-after"]) <= 30
    error = third[2]["error"]
    assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
    assert "2 requests per minute" in error["message"]
    assert Call.objects.count() == Hold.objects.count() == 2, "nothing was even begun"
    market.assert_books_balance()
    # Others are not held up by it, and what is free to ask stays so.
    assert market.post(CHAT_PATH, GOOD)[0] == 200
    assert market.get("/v1/models", secret=secret)[0] == 200


def test_both_texts_of_a_rotated_key_share_one_limit(market: Market) -> None:
    key, secret = make_key(market.acme, access=KeyAccess(requests_per_minute=1))
    assert market.post(CHAT_PATH, GOOD, secret=secret)[0] == 200
    _new, text = accounts.rotate_api_key(
        key=key, grace=timedelta(hours=1), actor=accounts.SYSTEM_ACTOR, now=utc_now()
    )
    assert market.post(CHAT_PATH, GOOD, secret=text)[0] == 429


def test_tokens_are_estimated_and_put_right(market: Market) -> None:
    secret = limited(market, tokens_per_minute=100)
    body = {**GOOD, "max_tokens": 98}
    first = market.post(CHAT_PATH, body, secret=secret)
    assert first[0] == 200
    assert first[1]["x-ratelimit-remaining-tokens"] == "0", "all that it could have used"
    second = market.post(CHAT_PATH, {**GOOD, "max_tokens": 70}, secret=secret)
    assert second[0] == 200, "only what it used counts"
    third = market.post(CHAT_PATH, body, secret=secret)
    assert third[0] == 429
    assert "100 model tokens per minute" in third[2]["error"]["message"]
    # 34 were used; 100 fit when those have leaked, at 100 a minute.
    assert 18 <= int(third[1]["retry-after"]) <= 21
    assert Call.objects.count() == 2


def test_streams_and_embeddings_count_too(market: Market) -> None:
    secret = limited(market, tokens_per_minute=40)
    stream = {key: value for key, value in STREAM.items() if key not in GOOD}
    market.secret = secret
    for _turn in range(2):
        with RawCall(market, max_tokens=10, **stream) as call:
            assert "x-ratelimit-limit-tokens: 40" in call.read_all()
    # 34 of 40 are used.
    body = {"model": EMBEDDINGS, "input": "a text of twenty-eight bytes"}
    refused = market.post("/v1/embeddings", body)
    assert (refused[0], refused[2]["error"]["code"]) == (429, "rate_limit_exceeded")


def test_a_call_that_never_fits_is_not_tried_again(market: Market) -> None:
    secret = limited(market, tokens_per_minute=50)
    with pytest.raises(RateLimitError) as refusal:
        market.client(secret=secret, max_retries=2).chat.completions.create(
            model=CHAT, messages=MESSAGES, max_tokens=60
        )
    assert refusal.value.code == "rate_limit_exceeded"
    assert "retry-after" not in refusal.value.response.headers
    assert not Call.objects.exists()
    # A length that nobody named does not refuse it.
    assert market.post(CHAT_PATH, GOOD, secret=secret)[0] == 200


def test_the_official_client_waits_and_succeeds(market: Market) -> None:
    secret = limited(market, tokens_per_minute=600)
    usage = {"prompt_tokens": 12, "completion_tokens": 590, "total_tokens": 602}
    market.site.upstream.next(Behaviour(usage=usage))
    assert market.post(CHAT_PATH, {**GOOD, "max_tokens": 590}, secret=secret)[0] == 200
    assert market.post(CHAT_PATH, {**GOOD, "max_tokens": 5}, secret=secret)[0] == 429
    client = market.client(secret=secret, max_retries=2)
    answer = client.chat.completions.create(model=CHAT, messages=MESSAGES, max_tokens=5)
    assert answer.choices
    assert Call.objects.count() == 2


def test_many_at_once_get_exactly_the_limit(market: Market) -> None:
    secret = limited(market, requests_per_minute=5)
    statuses: list[int] = []

    def call() -> None:
        statuses.append(market.post(CHAT_PATH, GOOD, secret=secret)[0])

    threads = [threading.Thread(target=call) for _number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] * 5 + [429] * 11
    assert Call.objects.count() == 5
    market.assert_books_balance()


def test_a_key_without_a_limit_has_the_sites(market: Market, settings: LazySettings) -> None:
    settings.GATEWAY_KEY_REQUESTS_PER_MINUTE = 1
    assert market.post(CHAT_PATH, GOOD)[0] == 200
    assert market.post(CHAT_PATH, GOOD)[0] == 429
    assert market.post(CHAT_PATH, GOOD, secret=limited(market, requests_per_minute=2))[0] == 200


@pytest.mark.parametrize("declared", [True, False])
def test_a_full_service_makes_way_for_another(
    market: Market, settings: LazySettings, declared: bool
) -> None:
    settings.GATEWAY_SERVICE_REQUESTS_PER_MINUTE = 7 if declared else 1
    limits = {"requests_per_minute": 1} if declared else {}
    catalog.update_service(
        service=market.chat, changes=limits, submitted_by_label="provider", now=utc_now()
    )
    dearer = make_live_service(
        make_provider("Elbe"),
        market.chat.model,
        endpoint_url=market.site.upstream.url,
        prices={
            "input_millitokens": 900,
            "cached_input_millitokens": 900,
            "output_millitokens": 900,
        },
        **limits,
    )
    answers = [market.post(CHAT_PATH, GOOD) for _turn in range(3)]
    assert [answer[0] for answer in answers] == [200, 200, 429]
    assert answers[0][1]["x-tokenworks-service"] == market.chat.handle
    assert answers[1][1]["x-tokenworks-service"] == dearer.handle
    assert answers[2][2]["error"]["code"] == "rate_limit_exceeded"
    assert 50 <= int(answers[2][1]["retry-after"]) <= 60
    assert Call.objects.count() == 2
    market.assert_books_balance()


def test_who_cannot_pay_does_not_fill_a_service(
    market: Market, globex: Organisation, settings: LazySettings
) -> None:
    settings.GATEWAY_SERVICE_REQUESTS_PER_MINUTE = 1
    _key, poor = make_key(globex)
    for _turn in range(3):
        assert market.post(CHAT_PATH, GOOD, secret=poor)[0] == 402
    assert market.post(CHAT_PATH, GOOD)[0] == 200
