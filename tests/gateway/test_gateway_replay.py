"""Idempotency-Key: asked again, the same answer; charged once, whatever happens in between."""

import json
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from openai import APIStatusError, ConflictError

from accounts import services as accounts
from accounts.models import Organisation
from marketplace.metering import services as metering
from marketplace.metering.models import Call, StoredAnswer, UsageCharge
from portal.kernel.clock import utc_now
from tests.cast import make_key
from tests.fakes.upstream import Behaviour
from tests.gateway.market import (
    CHAT,
    CHAT_PATH,
    EMBEDDINGS,
    FAKE_CALL_COST,
    GOOD,
    MESSAGES,
    Market,
)
from tests.market import MILLION_TOKENS, give_tokens
from tests.partners.cast import make_live_service, make_provider

NAMED = {"Idempotency-Key": "order-7"}


def post(market: Market, body: Any = GOOD, **headers: str) -> tuple[int, dict[str, str], Any]:
    return market.post(CHAT_PATH, body, **NAMED, **headers)


def assert_charged_once(market: Market) -> None:
    assert UsageCharge.objects.filter(amount_millitokens__gt=0).count() == 1
    assert market.spendable == MILLION_TOKENS - FAKE_CALL_COST
    market.assert_books_balance()


def age(**times: Any) -> None:
    StoredAnswer.objects.update(**{name: utc_now() - ago for name, ago in times.items()})


def test_the_official_client_gets_the_same_answer(market: Market) -> None:
    client = market.client()

    def ask() -> Any:
        return client.chat.completions.create(model=CHAT, messages=MESSAGES, extra_headers=NAMED)

    assert ask() == ask()
    assert len(market.site.upstream.calls) == Call.objects.count() == 1
    assert_charged_once(market)
    with pytest.raises(APIStatusError) as raised:
        client.chat.completions.create(
            model=CHAT, messages=[{"role": "user", "content": "Other."}], extra_headers=NAMED
        )
    assert (raised.value.status_code, raised.value.code) == (422, "idempotency_mismatch")
    assert_charged_once(market)


def test_a_replay_says_so_and_what_the_call_cost(market: Market) -> None:
    _status, first, answer = post(market)
    reordered = json.dumps(dict(reversed(GOOD.items())), indent=1).encode()
    status, second, replayed = post(market, reordered)
    assert (status, replayed) == (200, answer)
    assert "x-tokenworks-idempotency" not in first
    assert second["x-tokenworks-idempotency"] == "replayed"
    for name in ("x-tokenworks-cost", "x-tokenworks-service", "x-tokenworks-balance"):
        assert first[name] == second[name]
    assert first["x-request-id"] != second["x-request-id"]
    other_path = market.post("/v1/completions", {"model": CHAT, "prompt": "Hi"}, **NAMED)
    assert other_path[2]["error"]["code"] == "idempotency_mismatch"
    assert_charged_once(market)


def test_embeddings_and_responses_too(market: Market) -> None:
    for path, body in (
        ("/v1/embeddings", {"model": EMBEDDINGS, "input": "Hello"}),
        ("/v1/responses", {"model": CHAT, "input": "Hello"}),
    ):
        answers = [market.post(path, body, **{"Idempotency-Key": path}) for _time in range(2)]
        assert answers[0][0] == 200
        assert answers[0][2] == answers[1][2]
    assert len(market.site.upstream.calls) == Call.objects.count() == 2
    market.assert_books_balance()


def test_equal_requests_at_once_are_one_call(market: Market) -> None:
    gate = threading.Event()
    market.site.upstream.default = Behaviour(gate=gate)
    start = threading.Barrier(6)
    results = []

    def ask() -> None:
        start.wait()
        status, headers, answer = post(market)
        results.append((status, headers.get("retry-after"), answer.get("error", {}).get("code")))
        if len(results) == 5:
            gate.set()

    threads = [threading.Thread(target=ask) for _number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refused = (409, "1", "idempotency_in_progress")
    assert sorted(results) == [(200, None, None), *[refused] * 5]
    assert len(market.site.upstream.calls) == Call.objects.count() == 1
    assert post(market)[0] == 200
    assert_charged_once(market)


def test_what_was_not_charged_may_be_tried_again(market: Market, globex: Organisation) -> None:
    """Lack of funds, a provider's failure, and a client that leaves: none is replayed."""
    own, market.secret = market.secret, make_key(globex)[1]
    assert post(market)[0] == 402
    assert not StoredAnswer.objects.exists()
    give_tokens(globex, MILLION_TOKENS)
    assert post(market)[0] == 200
    market.secret = own
    market.site.upstream.next(Behaviour(status=500))
    assert post(market)[0] == 502
    assert StoredAnswer.objects.count() == 1
    # The other tenant's key of the same name is another one.
    assert post(market)[0] == 200
    assert StoredAnswer.objects.count() == 2
    assert market.spendable == MILLION_TOKENS - FAKE_CALL_COST


def test_after_its_time_an_answer_is_erased_and_its_call_named(market: Market) -> None:
    answer = post(market)[2]
    age(answered_at=timedelta(seconds=3601))
    for erased in (1, 0):
        with pytest.raises(ConflictError) as raised:
            market.client().chat.completions.create(
                model=CHAT, messages=MESSAGES, extra_headers=NAMED
            )
        assert raised.value.code == "idempotency_key_used"
        assert answer["id"] in raised.value.message
        assert raised.value.response.headers["x-tokenworks-cost"] == "6.4"
        assert raised.value.response.headers["x-should-retry"] == "false"
        assert metering.forget_answers(now=utc_now()) == erased
    assert StoredAnswer.objects.get().sealed is None
    assert_charged_once(market)
    age(claimed_at=timedelta(days=7, seconds=1))
    metering.forget_answers(now=utc_now())
    assert not StoredAnswer.objects.exists()


def test_an_answer_lost_after_its_charge_is_not_charged_again(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the process dies between the capture and the keeping."""

    def fail(**_values: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr(metering, "keep_answer", fail)
    answer = post(market)[2]
    assert post(market)[2]["error"]["code"] == "idempotency_in_progress"
    Call.objects.update(ended_at=utc_now() - timedelta(minutes=2))
    status, headers, refusal = post(market)
    assert (status, refusal["error"]["code"]) == (409, "idempotency_key_used")
    assert (headers["x-tokenworks-call"], headers["x-tokenworks-cost"]) == (answer["id"], "6.4")
    assert_charged_once(market)


def test_a_claim_whose_process_died_names_its_call(market: Market) -> None:
    post(market)
    call = Call.objects.get()
    StoredAnswer.objects.update(answered_at=None, sealed=None, call="call_never_made")
    assert post(market)[2]["error"]["code"] == "idempotency_in_progress"
    age(claimed_at=timedelta(days=1))
    _status, headers, refusal = post(market)
    assert refusal["error"]["code"] == "idempotency_key_used"
    assert (headers["x-tokenworks-call"], headers["x-tokenworks-cost"]) == ("call_never_made", "0")
    assert Call.objects.get() == call


def test_a_call_that_a_second_service_answered(market: Market) -> None:
    """The answer is kept under the call that was charged."""
    make_live_service(
        make_provider("Rival"), market.chat.model, endpoint_url=market.site.upstream.url
    )
    market.site.upstream.next(Behaviour(status=500))
    answer = post(market)[2]
    assert post(market)[2] == answer
    assert StoredAnswer.objects.get().call == answer["id"]
    assert Call.objects.filter(status="failed").count() == 1
    assert_charged_once(market)


def test_the_store_tells_nobody_else_what_was_said(market: Market) -> None:
    post(market)
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM metering_storedanswer")
        row = b"|".join(bytes(v) if isinstance(v, memoryview) else str(v).encode()
                        for v in cursor.fetchone())  # fmt: skip
    for secret in (b"Hello", b"hello", b"order-7", market.secret.encode()):
        assert secret not in row


def test_a_stream_says_that_it_cannot_be_replayed(market: Market) -> None:
    for _time in range(2):
        raw = market.client().chat.completions.with_raw_response.create(
            model=CHAT, messages=MESSAGES, stream=True, extra_headers=NAMED
        )
        assert raw.headers["x-tokenworks-idempotency"] == "unsupported"
        assert "fake" in "".join(str(chunk) for chunk in raw.parse())
    assert Call.objects.filter(status="succeeded").count() == 2
    assert not StoredAnswer.objects.exists()


def test_a_rotated_key_neither_reads_nor_pays_again(market: Market) -> None:
    post(market)
    _new, market.secret = accounts.rotate_api_key(
        key=market.key, grace=timedelta(hours=1), actor=accounts.SYSTEM_ACTOR, now=utc_now()
    )
    assert post(market)[2]["error"]["code"] == "idempotency_key_used"
    assert_charged_once(market)


@pytest.mark.parametrize("name", ["", "x" * 256])
def test_a_name_that_is_none(market: Market, name: str) -> None:
    status, _headers, answer = market.post(CHAT_PATH, GOOD, **{"Idempotency-Key": name})
    assert (status, answer["error"]["param"]) == (400, "Idempotency-Key")
    assert not Call.objects.exists()
    assert not StoredAnswer.objects.exists()
