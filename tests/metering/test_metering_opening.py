"""A call is opened with its hold, once and in one commit, or refused and written as refused."""

from dataclasses import replace
from typing import Any

import pytest

from accounts.models import Organisation
from marketplace.ledger.models import Hold, Wallet
from marketplace.metering import services as metering
from marketplace.metering.models import Call
from portal.kernel.clock import utc_now
from portal.kernel.public_ids import new_public_id
from tests.cast import make_key
from tests.databases import CommittedDatabase
from tests.ledger.auditor import audit
from tests.market import give_tokens
from tests.metering.books import COST, everything, wallet, wallet_of
from tests.metering.conftest import Meter


def test_declines_are_written_and_say_why(meter: Meter, globex: Organisation) -> None:
    _key, secret = make_key(globex)
    request = meter.request(key=meter.authenticated(secret))
    [result] = metering.open_calls([request], now=utc_now())
    assert (result.outcome, result.decline_code) == ("declined", "insufficient_funds")
    call = Call.objects.get(public_id=result.call_id)
    assert (call.status, call.error_code) == ("refused", "insufficient_funds")
    assert call.ended_at is not None

    _key, secret = make_key(meter.acme, cap_millitokens=1, cap_period="week")
    [result] = metering.open_calls([meter.request(key=meter.authenticated(secret))], now=utc_now())
    assert result.decline_code == "limit_exceeded"
    assert result.decline_subject.endswith(":week")
    assert wallet(meter).held_millitokens == 0


def test_the_same_key_opens_the_same_call(meter: Meter, globex: Organisation) -> None:
    request: dict[str, Any] = {
        "idempotency_scope": "provider:prv_1",
        "idempotency_key": "k",
        "request_hash": "h",
    }
    opened = meter.open(**request)
    before = everything()
    [again] = metering.open_calls([meter.request(**request)], now=utc_now())
    assert (again.replayed, again.call_id) == (True, opened.public_id)
    assert again.call is not None
    assert (again.call.call_pk, again.call.hold_id) == (opened.call_pk, opened.hold_id)
    [other] = metering.open_calls([meter.request(**request | {"request_hash": "x"})], now=utc_now())
    assert (other.outcome, other.call) == ("conflict", None)
    assert everything() == before

    _key, poor = make_key(globex)
    declined = {**request, "idempotency_key": "poor", "key": meter.authenticated(poor)}
    [first] = metering.open_calls([meter.request(**declined)], now=utc_now())
    [second] = metering.open_calls([meter.request(**declined)], now=utc_now())
    assert (second.outcome, second.call_id, second.replayed) == ("declined", first.call_id, True)


def test_a_request_made_again_finds_its_call(meter: Meter, globex: Organisation) -> None:
    """Alone or in another batch, shortened or refused: nothing is held or written twice."""
    give_tokens(globex, 60_000)
    _key, poor = make_key(globex)
    theirs = meter.authenticated(poor)
    requests = [
        meter.request(call_id=new_public_id("call")),
        # 20,000 for the prompt leave 50 tokens of answer.
        meter.request(call_id=new_public_id("call"), key=theirs, least_completion_tokens=16),
        meter.request(call_id=new_public_id("call"), key=theirs, least_completion_tokens=16),
    ]
    first = metering.open_calls(requests, now=utc_now())
    assert [result.outcome for result in first] == ["opened", "opened", "declined"]
    assert [result.call_id for result in first] == [request.call_id for request in requests]
    assert first[1].call is not None
    assert (first[1].call.completion_tokens, first[1].call.held_millitokens) == (50, 60_000)
    before = everything()
    give_tokens(globex, reference="since")
    balance = wallet_of(globex).posted_millitokens
    again = metering.open_calls(requests, now=utc_now())
    again += [metering.open_calls([request], now=utc_now())[0] for request in requests]
    for result, known in zip(again, first * 2, strict=True):
        assert result == replace(known, replayed=True)
    assert wallet_of(globex).posted_millitokens == balance
    assert everything()[4:] == before[4:]
    assert (Hold.objects.count(), Call.objects.count()) == (5, 3)


def test_what_arrives_together_is_decided_one_by_one(
    committed_db: CommittedDatabase, meter: Meter, globex: Organisation
) -> None:
    """Usual calls in one statement and the others step by step: whoever is which, each gets what
    it would have got alone, and the books agree."""
    give_tokens(globex, 150_000)
    theirs = meter.authenticated(make_key(globex)[1])
    secret = make_key(meter.acme, cap_millitokens=250_000, cap_period="total")[1]
    capped = meter.authenticated(secret)

    def ask(**fields: Any) -> metering.OpenCall:
        return meter.request(**{"call_id": new_public_id("call"), **fields})

    twice = ask()
    first = [ask(key=capped), twice, ask(key=theirs), ask(), twice]
    second = [ask(key=theirs), ask(key=capped), ask(key=theirs), ask()]
    third = [ask(key=capped), ask(), ask(key=capped, prompt_tokens=0, completion_tokens=10)]
    results = [metering.open_calls(batch, now=utc_now()) for batch in (first, second, third)]
    assert [[result.outcome for result in batch] for batch in results] == [
        ["opened"] * 5,
        ["declined", "opened", "declined", "opened"],
        ["declined", "opened", "opened"],
    ]
    audit()
    assert results[0][4].call_id == twice.call_id
    held = [call.hold.reference for call in Call.objects.select_related("hold") if call.hold]
    assert held == [f"call:{call.public_id}" for call in Call.objects.all()]
    assert (Hold.objects.count(), Call.objects.count()) == (11, 11)
    before = everything()
    for batch, known in zip((first, second, third), results, strict=True):
        for result, told in zip(metering.open_calls(batch, now=utc_now()), known, strict=True):
            assert replace(result, replayed=False) == replace(told, replayed=False)
    assert everything() == before


def test_an_answer_is_shortened_to_what_fits_the_call(meter: Meter, globex: Organisation) -> None:
    """Tokens that are for another service pay for nothing here."""
    give_tokens(globex, 40_000)
    for scope, amount in (("service:svc_other", 10**9), ("modality:chat", 20_000)):
        give_tokens(globex, amount, scope=scope, reference=scope)
    _key, poor = make_key(globex)
    opened = meter.open(key=meter.authenticated(poor), least_completion_tokens=16)
    assert (opened.completion_tokens, opened.held_millitokens) == (50, 60_000)


@pytest.mark.parametrize("left", [0, 1])
def test_an_answer_is_not_shortened_below_the_least(
    meter: Meter, globex: Organisation, left: int
) -> None:
    """With one millitoken less than the prompt and the least answer cost, nothing is held."""
    give_tokens(globex, 100 * 200 + 16 * 800 - left)
    theirs = meter.authenticated(make_key(globex)[1])
    request = meter.request(key=theirs, least_completion_tokens=16)
    [result] = metering.open_calls([request], now=utc_now())
    assert result.outcome == ("declined" if left else "opened")
    assert wallet_of(globex).held_millitokens == (0 if left else 32_800)


def test_a_refusal_that_is_asked_for_again_holds_nothing(
    meter: Meter, globex: Organisation
) -> None:
    """Not even a shorter answer, though there are tokens by now."""
    theirs = meter.authenticated(make_key(globex)[1])
    request = meter.request(key=theirs, call_id=new_public_id("call"), least_completion_tokens=16)
    [first] = metering.open_calls([request], now=utc_now())
    give_tokens(globex, 60_000)
    before = everything()
    [again] = metering.open_calls([request], now=utc_now())
    assert again == replace(first, replayed=True)
    assert everything() == before


@pytest.mark.parametrize("kind", ["service", "provider", "modality"])
def test_tokens_of_a_fitting_scope_pay_for_the_call(
    meter: Meter, globex: Organisation, kind: str
) -> None:
    scopes = {
        "service": f"service:{meter.service.public_id}",
        "provider": f"provider:{meter.service.provider.public_id}",
        "modality": "modality:chat",
    }
    give_tokens(globex, 100_000, scope=scopes[kind])
    opened = meter.open(key=meter.authenticated(make_key(globex)[1]))
    assert meter.close(opened).cost_millitokens == COST
    paid_by = Wallet.objects.get(owner_key=globex.public_id, scope=scopes[kind])
    assert paid_by.posted_millitokens == 100_000 - COST
