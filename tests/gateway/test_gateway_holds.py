"""How much is held, how it grows, and how an answer ends when nothing more can be held."""

import json
import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from openai import APIStatusError

from accounts.models import Organisation
from accounts.services import SYSTEM_ACTOR
from marketplace.catalog import selectors as catalog
from marketplace.catalog import services as catalog_services
from marketplace.catalog.models import Service
from marketplace.ledger import services as ledger
from marketplace.ledger.models import Hold, Limit, Wallet
from marketplace.metering.models import Call
from marketplace.metering.services import archive_budget
from portal.kernel.clock import utc_now
from tests.cast import make_key
from tests.fakes.upstream import Behaviour
from tests.gateway.market import CHAT, CHAT_PATH, GOOD, MESSAGES, Market
from tests.gateway.raw_client import RawCall
from tests.market import give_tokens, make_budget

OUTPUT_PRICE = 800


def held_during(market: Market, body: dict[str, Any], secret: str | None = None) -> Hold:
    """The hold of a call, looked at while the provider works; the call then ends well."""
    gate = threading.Event()
    upstream = market.site.upstream
    upstream.next(Behaviour(gate=gate))
    asked = len(upstream.calls)
    done: list[tuple[int, dict[str, str], Any]] = []
    thread = threading.Thread(
        target=lambda: done.append(market.post(CHAT_PATH, body, secret=secret))
    )
    thread.start()
    upstream.wait_until(lambda u: len(u.calls) > asked)
    hold = Hold.objects.get(state="pending")
    gate.set()
    thread.join()
    assert done[0][0] == 200, done
    return hold


def test_the_bound_covers_what_was_asked(market: Market) -> None:
    body_bytes = len(json.dumps({**GOOD, "max_tokens": 10}))
    hold = held_during(market, {**GOOD, "max_tokens": 10})
    prompt_bound = body_bytes + 512 + 16
    assert hold.amount_millitokens == prompt_bound * 200 + 10 * OUTPUT_PRICE
    assert (hold.expires_at - hold.placed_at).total_seconds() == 600 + 30 + 60
    assert market.site.upstream.calls[-1].body["max_tokens"] == 10

    hold = held_during(market, {**GOOD, "max_tokens": 10, "n": 3})
    assert hold.amount_millitokens > 30 * OUTPUT_PRICE
    assert market.site.upstream.calls[-1].body["max_tokens"] == 10

    # No length named: an assumed one, and the provider is told so.
    hold = held_during(market, GOOD)
    assert market.site.upstream.calls[-1].body["max_tokens"] == 1024
    assert hold.amount_millitokens > 1024 * OUTPUT_PRICE

    # More than the model can: its longest answer.
    hold = held_during(market, {**GOOD, "max_tokens": 10**9})
    longest = market.chat.max_output_tokens
    assert market.site.upstream.calls[-1].body["max_tokens"] == longest
    assert longest * OUTPUT_PRICE < hold.amount_millitokens < (longest + 1000) * OUTPUT_PRICE
    market.assert_books_balance()


def test_a_small_wallet_shortens_an_answer_of_no_named_length(
    market: Market, globex: Organisation
) -> None:
    """It is told so; a length that the caller named is not touched but refused."""
    give_tokens(globex, 200_000)
    _key, secret = make_key(globex)
    market.site.upstream.default = Behaviour(words=("w",) * 500)
    status, _headers, answer = market.post(CHAT_PATH, GOOD, secret=secret)
    assert status == 200
    asked = market.site.upstream.calls[-1].body["max_tokens"]
    assert 16 <= asked < 200
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["tokenworks"] == {"limited_by": "credit_balance_exhausted"}
    assert Wallet.objects.get(owner_key=globex.public_id).held_millitokens == 0
    status, _headers, answer = market.post(CHAT_PATH, {**GOOD, "max_tokens": 400}, secret=secret)
    assert (status, answer["error"]["code"]) == (402, "credit_balance_exhausted")


@pytest.mark.parametrize("stream", [False, True])
def test_a_small_cap_shortens_an_answer_of_no_named_length(market: Market, stream: bool) -> None:
    _key, secret = make_key(market.acme, cap_millitokens=200_000)
    market.site.upstream.default = Behaviour(words=("w",) * 500)
    client = market.client(secret=secret)
    answer: Any
    if stream:
        chunks = client.chat.completions.create(
            model=CHAT, messages=MESSAGES, stream=True, stream_options={"include_usage": True}
        )
        *_rest, answer = chunks
    else:
        answer = client.chat.completions.create(model=CHAT, messages=MESSAGES)
    assert answer.model_extra["tokenworks"] == {"limited_by": "budget_exhausted"}
    asked = market.site.upstream.calls[-1].body["max_tokens"]
    assert 16 <= asked < 200
    assert market.last_call().completion_tokens == asked
    limit = Limit.objects.get()
    assert (limit.held_millitokens, limit.spent_millitokens) == (
        0,
        market.last_call().cost_millitokens,
    )
    with pytest.raises(APIStatusError, match="cap"):
        client.chat.completions.create(model=CHAT, messages=MESSAGES, max_tokens=400)
    market.assert_books_balance()


def test_a_stream_ends_where_its_keys_cap_does(market: Market) -> None:
    _key, secret = make_key(market.acme, cap_millitokens=1_500_000)
    market.site.upstream.default = Behaviour(words=("word",) * 4000)
    with market.client(secret=secret).chat.completions.create(
        model=CHAT, messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    ) as chunks:
        received = list(chunks)
    assert received[-2].choices[0].finish_reason == "length"
    for chunk in received[-2:]:
        assert chunk.model_extra is not None
        assert chunk.model_extra["tokenworks"] == {"limited_by": "budget_exhausted"}
    call = market.last_call()
    assert 1_300_000 < call.cost_millitokens <= 1_500_000
    assert (call.finish_reason, call.uncovered_millitokens) == ("length", 0)
    market.assert_books_balance()


def test_a_stream_grows_its_hold(market: Market) -> None:
    """Beyond the assumed 1024 tokens, and the charge is exact."""
    market.site.upstream.default = Behaviour(words=("word",) * 3000)
    with market.client().chat.completions.create(
        model=CHAT, messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    ) as chunks:
        received = list(chunks)
    assert received[-1].usage is not None
    assert received[-1].usage.completion_tokens == 3000
    call = market.last_call()
    assert call.cost_millitokens == 12 * 200 + 3000 * OUTPUT_PRICE
    assert call.uncovered_millitokens == 0
    assert Hold.objects.get().amount_millitokens > 3000 * OUTPUT_PRICE
    assert market.site.upstream.calls[-1].body["max_tokens"] == market.chat.max_output_tokens
    market.assert_books_balance()


def test_a_report_beyond_what_was_held_and_seen_is_clamped(market: Market) -> None:
    """One word came, and nothing was held for the thousands of tokens that the provider claims."""
    claim = {"prompt_tokens": 12, "completion_tokens": 4096}
    market.site.upstream.next(Behaviour(words=("word",), usage=claim))
    with RawCall(market, stream=True) as call:
        assert "[DONE]" in call.read_all()
    ended = market.last_call()
    assert (ended.completion_tokens, ended.usage_doubt) == (1024, "more_than_possible")
    assert (ended.cost_millitokens, ended.uncovered_millitokens) == (
        12 * 200 + 1024 * OUTPUT_PRICE,
        0,
    )
    # What was seen may be more than what was held: as many tokens as bytes are possible.
    market.site.upstream.next(Behaviour(words=("x" * 2000,), usage=claim))
    with RawCall(market, stream=True) as call:
        assert "[DONE]" in call.read_all()
    ended = market.last_call()
    assert (ended.completion_tokens, ended.usage_doubt) == (2000, "more_than_possible")
    market.assert_books_balance()


def test_a_stream_is_told_what_the_wallet_can_pay(market: Market, globex: Organisation) -> None:
    give_tokens(globex, 1_500_000)
    _key, secret = make_key(globex)
    market.site.upstream.default = Behaviour(words=("word",) * 4000)
    with market.client(secret=secret).chat.completions.create(
        model=CHAT, messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    ) as chunks:
        received = list(chunks)
    asked = market.site.upstream.calls[-1].body["max_tokens"]
    assert 1024 < asked < 1875
    assert received[-2].choices[0].finish_reason == "length"
    assert received[-1].model_extra is not None
    assert received[-1].model_extra["tokenworks"] == {"limited_by": "credit_balance_exhausted"}
    call = market.last_call()
    assert (call.completion_tokens, call.uncovered_millitokens) == (asked, 0)


@pytest.fixture
def impatient(settings: Any) -> None:
    settings.UPSTREAM_DRAIN_SECONDS = 1.0


@pytest.mark.parametrize("terms", ["delivered", "nothing", "full"])
def test_a_stream_is_cut_when_the_wallet_is_emptied_meanwhile(
    impatient: None, market: Market, globex: Organisation, terms: str
) -> None:
    """What was delivered is charged: the listing's terms are for clients that leave."""
    Service.objects.filter(pk=market.chat.pk).update(cut_stream_billing=terms)
    catalog.forget_callable_services()
    give_tokens(globex, 2_000_000)
    _key, secret = make_key(globex)
    market.site.upstream.next(
        Behaviour(words=("word",) * 2400, chunk_delay=0.001, honours_max_tokens=False)
    )
    body = {**GOOD, "stream": True, "stream_options": {"include_usage": True}}
    market.secret, mine = secret, market.secret
    with RawCall(market, **{k: v for k, v in body.items() if k not in GOOD}) as call:
        call.read_until("word")
        # Everything that is not held goes elsewhere while the stream runs.
        left = Wallet.objects.get(owner_key=globex.public_id).spendable_millitokens
        [hold] = ledger.place_holds(
            [
                ledger.HoldRequest(
                    owner_key=globex.public_id, unit="live", amount_millitokens=left,
                    idempotency_scope="test", idempotency_key="all", request_hash="",
                    expires_at=utc_now() + timedelta(minutes=1),
                )
            ],
            now=utc_now(),
        )  # fmt: skip
        assert hold.outcome == "held"
        answer = call.read_all()
    market.secret = mine
    lines = [line for line in answer.splitlines() if line.startswith("data: ")]
    assert lines[-1] == "data: [DONE]"
    cut, final = (json.loads(line.removeprefix("data: ")) for line in lines[-3:-1])
    assert cut["choices"][0]["finish_reason"] == "length"
    assert cut["tokenworks"] == {"limited_by": "credit_balance_exhausted"}
    assert final["usage"]["cost"] > 0
    closed = market.last_call()
    assert (closed.status, closed.finish_reason) == ("succeeded", "length")
    assert closed.uncovered_millitokens == 0
    assert 900 < closed.completion_tokens < 1100
    wallet = Wallet.objects.get(owner_key=globex.public_id)
    assert wallet.posted_millitokens == 2_000_000 - closed.cost_millitokens
    assert wallet.held_millitokens == left


def test_caps_count_what_is_held(market: Market) -> None:
    """A key's cap pays for exactly one of these calls; what was not used is free again."""
    _key, secret = make_key(market.acme, cap_millitokens=700 * 200, cap_period="month")
    body = {**GOOD, "max_tokens": 5}
    gate = threading.Event()
    market.site.upstream.next(Behaviour(gate=gate))
    thread = threading.Thread(target=market.post, args=(CHAT_PATH, body), kwargs={"secret": secret})
    thread.start()
    market.site.upstream.wait_until(lambda u: len(u.calls) == 1)
    status, _headers, answer = market.post(CHAT_PATH, body, secret=secret)
    assert (status, answer["error"]["code"]) == (402, "budget_exhausted")
    gate.set()
    thread.join()
    assert market.post(CHAT_PATH, body, secret=secret)[0] == 200


def test_a_budget_is_named_with_the_moment_it_starts_anew(market: Market) -> None:
    """In both languages, to the official client, and in force at once where it was made."""
    assert market.post(CHAT_PATH, GOOD)[0] == 200
    spent, asked = market.spendable, len(market.site.upstream.calls)
    budget = make_budget(market.acme, 50_000, period="week")
    with pytest.raises(APIStatusError) as raised:
        market.client().chat.completions.create(model=CHAT, messages=MESSAGES)
    assert (raised.value.status_code, raised.value.code) == (402, "budget_exhausted")
    assert raised.value.message.count("organisation's budget of 50 tokens per week.") == 1
    assert "Nothing was charged. It starts anew at 20" in raised.value.message
    archive_budget(budget=budget, actor=SYSTEM_ACTOR, now=utc_now())
    make_budget(market.acme, 50_000, member=market.acme.memberships.get().user, period="total")
    for language, words in (("en", "in total of the member"), ("zh-hans", "成员的总预算")):
        headers = {"Accept-Language": language}
        status, _headers, answer = market.post(CHAT_PATH, GOOD, **headers)
        assert (status, answer["error"]["code"]) == (402, "budget_exhausted")
        assert words in answer["error"]["message"]
    assert (market.spendable, len(market.site.upstream.calls)) == (spent, asked)
    assert Hold.objects.filter(state="pending").count() == 0


def test_a_frozen_wallet(market: Market) -> None:
    wallet = Wallet.objects.get(owner_key=market.acme.public_id)
    ledger.freeze_wallet(wallet_pk=wallet.pk, reason="finding:fnd_x", now=utc_now())
    status, _headers, answer = market.post(CHAT_PATH, GOOD)
    assert (status, answer["error"]["code"]) == (403, "wallet_frozen")
    assert "fnd_x" in answer["error"]["message"]
    ledger.lift_freeze(wallet_pk=wallet.pk, reason="finding:fnd_x")
    assert market.post(CHAT_PATH, GOOD)[0] == 200


def test_a_service_that_costs_nothing_needs_no_wallet(market: Market, globex: Organisation) -> None:
    now = utc_now()
    catalog_services.add_price_version(
        service=market.chat, input_millitokens=0, cached_input_millitokens=0,
        output_millitokens=0, request_millitokens=0, effective_at=now, created_by=None, now=now,
    )  # fmt: skip
    _key, secret = make_key(globex)
    for stream in (False, True):
        body = {**GOOD, "stream": stream}
        if stream:
            market.secret = secret
            with RawCall(market, stream=True) as call:
                assert "[DONE]" in call.read_all()
        else:
            status, headers, _answer = market.post(CHAT_PATH, body, secret=secret)
            assert (status, headers["x-tokenworks-cost"]) == (200, "0")
    assert Call.objects.filter(status="succeeded", hold=None, cost_millitokens=0).count() == 2
    assert not Hold.objects.exists()


def test_test_keys_reach_test_services_only(market: Market) -> None:
    _key, secret = make_key(market.acme, kind="test")
    status, _headers, answer = market.post(CHAT_PATH, GOOD, secret=secret)
    assert (status, answer["error"]["code"]) == (404, "model_not_found")
    Service.objects.filter(pk=market.chat.pk).update(test=True)
    catalog.forget_callable_services()
    assert market.post(CHAT_PATH, GOOD)[0] == 404
    ledger.grant_lot(
        owner_key=market.acme.public_id, unit="test", reference="test:1", kind="grant",
        face_millitokens=10**9, debits=[("promotion", "operator", 10**9)], now=utc_now(),
    )  # fmt: skip
    before = market.spendable
    status, _headers, answer = market.post(CHAT_PATH, GOOD, secret=secret)
    assert (status, answer["usage"]["cost_tokens"]) == (200, "6.4")
    assert market.spendable == before
    call = market.last_call()
    # Test tokens are never payable.
    assert (call.unit, call.share_millitokens, call.commission_millitokens) == ("test", 0, 6400)


def test_share_and_commission(market: Market) -> None:
    market.site.upstream.next(Behaviour(prompt_tokens=1))
    market.post(CHAT_PATH, {**GOOD, "max_tokens": 1})
    call = market.last_call()
    assert call.cost_millitokens == 1000
    assert (call.share_millitokens, call.commission_millitokens) == (900, 100)


def test_last_use_is_noted(market: Market) -> None:
    market.post(CHAT_PATH, GOOD)
    give_up_at = time.monotonic() + 5
    while True:
        market.key.refresh_from_db()
        if market.key.last_used_at is not None:
            break
        assert time.monotonic() < give_up_at
        time.sleep(0.05)


def test_tokens_for_another_service_are_not_in_the_balance(
    market: Market, globex: Organisation
) -> None:
    give_tokens(globex, 1_500_000)
    for scope, amount in (("service:svc_other", 10**9), ("modality:chat", 100_000)):
        give_tokens(globex, amount, scope=scope, reference=scope)
    market.secret = make_key(globex)[1]
    _status, headers, _answer = market.post(CHAT_PATH, GOOD)
    assert headers["x-tokenworks-balance"] == "1593.6"
    # Nor may a stream grow on them.
    with RawCall(market, stream=True) as call:
        assert "[DONE]" in call.read_all()
    assert market.site.upstream.calls[-1].body["max_tokens"] < 1_600_000 // OUTPUT_PRICE
