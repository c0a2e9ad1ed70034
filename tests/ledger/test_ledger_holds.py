"""Placing, extending, releasing and expiring holds."""

from dataclasses import replace
from datetime import timedelta

import pytest

from marketplace.ledger import selectors
from marketplace.ledger import services as ledger
from marketplace.ledger.models import Hold, HoldPart, Limit
from tests.ledger.auditor import audit, read_books
from tests.ledger.cast import (
    ACME,
    GLOBEX,
    LATER,
    NOW,
    ask,
    capture,
    grant,
    hold,
    limit,
    place,
    wallet,
)

pytestmark = pytest.mark.django_db


def test_hold_sets_tokens_aside() -> None:
    grant(1000)
    result = place(600, reference="call:1", price_version="prc_1")
    assert (result.outcome, result.amount_millitokens, result.replayed) == ("held", 600, False)
    stored = Hold.objects.get(pk=result.hold_pk)
    assert (stored.public_id, stored.state) == (result.hold_id, "pending")
    assert (stored.reference, stored.price_version) == ("call:1", "prc_1")
    assert (stored.placed_at, stored.expires_at) == (NOW, LATER)
    balance = selectors.get_balance(owner_key=ACME, unit="live")
    assert (balance.posted, balance.held, balance.spendable) == (1000, 600, 400)
    audit()


@pytest.mark.parametrize("amount", [1001, 10**18])
def test_too_much_is_declined_and_only_the_decline_is_stored(amount: int) -> None:
    grant(1000)
    before = read_books()
    result = place(amount)
    assert (result.outcome, result.decline_code) == ("declined", "insufficient_funds")
    after = read_books()
    assert [row["state"] for row in after["Hold"]] == ["declined"]
    assert before | {"Hold": after["Hold"]} == after


def test_tenant_without_a_wallet_is_declined() -> None:
    result = place(1)
    assert (result.outcome, result.decline_code) == ("declined", "insufficient_funds")


def test_the_last_token_can_be_held() -> None:
    grant(1000)
    assert place(1000).outcome == "held"
    assert place(1).outcome == "declined"


def test_same_key_gives_the_stored_answer() -> None:
    grant(1000)
    request = ask(600)
    [first] = ledger.place_holds([request], now=NOW)
    before = read_books()
    [second] = ledger.place_holds([request], now=NOW)
    assert second == replace(first, replayed=True)
    assert read_books() == before


def test_same_key_with_another_hash_is_a_conflict() -> None:
    grant(1000)
    request = ask(600)
    ledger.place_holds([request], now=NOW)
    before = read_books()
    [second] = ledger.place_holds([replace(request, request_hash="other")], now=NOW)
    assert second.outcome == "conflict"
    assert read_books() == before


def test_another_tenants_key_tells_nothing() -> None:
    grant(1000)
    grant(1000, owner=GLOBEX)
    request = ask(600)
    ledger.place_holds([request], now=NOW)
    before = read_books()
    for foreign in (replace(request, owner_key=GLOBEX), replace(request, unit="test")):
        [other] = ledger.place_holds([foreign], now=NOW)
        assert (other.outcome, other.hold_pk, other.hold_id) == ("conflict", 0, "")
    assert read_books() == before


def test_declined_key_stays_declined_after_a_top_up() -> None:
    grant(100)
    request = ask(600)
    [first] = ledger.place_holds([request], now=NOW)
    grant(1000)
    [second] = ledger.place_holds([request], now=NOW)
    assert (first.outcome, second.outcome, second.replayed) == ("declined", "declined", True)
    assert place(600).outcome == "held"


def test_batch_is_decided_in_order_and_answers_each() -> None:
    grant(1000)
    grant(500, owner=GLOBEX)
    repeated = ask(300)
    results = ledger.place_holds(
        [ask(600), repeated, ask(200), repeated, ask(500, owner_key=GLOBEX), ask(100)], now=NOW
    )
    outcomes = [result.outcome for result in results]
    assert outcomes == ["held", "held", "declined", "held", "held", "held"]
    assert [result.replayed for result in results] == [False, False, False, True, False, False]
    assert results[3].hold_id == results[1].hold_id
    audit()


def test_scoped_wallets_give_first_and_the_general_one_the_rest() -> None:
    grant(1000)
    grant(300, scope="service:svc_1")
    grant(50, scope="modality:chat")
    scopes = ("service:svc_1", "modality:chat", "provider:none")
    hold_id = hold(400, scopes=scopes)
    parts = HoldPart.objects.filter(hold__public_id=hold_id).order_by("position")
    assert [(part.wallet.scope, part.amount_millitokens) for part in parts] == [
        ("service:svc_1", 300),
        ("modality:chat", 50),
        ("", 50),
    ]
    audit()
    assert place(1000, scopes=scopes).outcome == "declined"
    assert place(950, scopes=scopes).outcome == "held"


def test_scoped_wallet_with_nothing_to_give_is_passed_over() -> None:
    grant(1000)
    grant(300, scope="service:svc_1")
    hold(300, scopes=("service:svc_1",))
    result = place(1000, scopes=("service:svc_1", "modality:chat"))
    assert result.outcome == "held"
    assert HoldPart.objects.get(hold=result.hold_pk).wallet.scope == ""
    audit()


def test_scoped_tokens_are_not_for_everything() -> None:
    grant(300, scope="service:svc_1")
    assert place(1).outcome == "declined"
    assert place(300, scopes=("service:svc_1",)).outcome == "held"


def test_units_never_meet() -> None:
    grant(1000, unit="test")
    assert place(1).outcome == "declined"
    assert place(1000, unit="test").outcome == "held"


def test_limit_counts_and_refuses_by_name() -> None:
    grant(1000)
    limits = (limit("key:1", None), limit("org:budget", 500))
    assert place(400, limits=limits).outcome == "held"
    before = read_books()
    result = place(101, limits=limits)
    assert (result.outcome, result.decline_code) == ("declined", "limit_exceeded")
    assert result.decline_subject == "org:budget"
    assert before | {"Hold": read_books()["Hold"]} == read_books()
    assert place(100, limits=limits).outcome == "held"
    assert [row.held_millitokens for row in Limit.objects.order_by("pk")] == [500, 500]
    audit()


def test_refusal_makes_no_limit() -> None:
    grant(1000)
    assert place(400, limits=(limit("a", 500), limit("b", 100))).decline_subject == "b"
    assert place(2000, limits=(limit("a", 5000),)).decline_code == "insufficient_funds"
    assert not Limit.objects.exists()


def test_limit_lowered_below_what_is_used_refuses_and_raised_allows() -> None:
    grant(1000)
    assert place(400, limits=(limit("a", 500),)).outcome == "held"
    assert place(1, limits=(limit("a", 100),)).outcome == "declined"
    assert place(1, limits=(limit("a", 401),)).outcome == "held"
    assert place(100, limits=(limit("a", None),)).outcome == "held"
    assert Limit.objects.get().max_millitokens is None
    audit()


def test_limits_of_a_batch_are_shared() -> None:
    grant(1000)
    limits = (limit("a", 500),)
    results = ledger.place_holds([ask(300, limits=limits) for _ in range(3)], now=NOW)
    assert [result.outcome for result in results] == ["held", "declined", "declined"]
    audit()


def test_frozen_wallet_refuses_new_holds_only() -> None:
    grant(1000)
    hold_id = hold(400)
    ledger.freeze_wallet(wallet_pk=wallet().pk, reason="chargeback:1", now=NOW)
    ledger.freeze_wallet(wallet_pk=wallet().pk, reason="review", now=NOW)
    assert not ledger.freeze_wallet(wallet_pk=wallet().pk, reason="review", now=NOW)
    assert place(1).decline_code == "wallet_frozen"
    assert ledger.extend_holds([(hold_id, 1)], now=NOW) == [False]
    assert selectors.is_frozen(owner_key=ACME, unit="live")
    assert selectors.get_balance(owner_key=ACME, unit="live").spendable == 0
    assert capture(hold_id, 400).outcome == "captured"
    assert ledger.lift_freeze(wallet_pk=wallet().pk, reason="review")
    assert place(1).decline_code == "wallet_frozen"
    assert ledger.lift_freeze(wallet_pk=wallet().pk, reason="chargeback:1")
    assert not ledger.lift_freeze(wallet_pk=wallet().pk, reason="chargeback:1")
    assert place(1).outcome == "held"
    audit()


def test_extend_takes_what_wallet_and_limit_allow_whole_or_not_at_all() -> None:
    grant(1000)
    hold_id = hold(400, limits=(limit("a", 700),))
    assert ledger.extend_holds([(hold_id, 300)], now=NOW) == [True]
    before = read_books()
    assert ledger.extend_holds([(hold_id, 1)], now=NOW) == [False]
    assert read_books() == before
    other = hold(300)
    assert ledger.extend_holds([(other, 1)], now=NOW) == [False]
    audit()


def test_extend_draws_on_the_general_wallet_when_the_scoped_one_is_empty() -> None:
    grant(1000)
    grant(300, scope="service:svc_1")
    hold_id = hold(200, scopes=("service:svc_1",))
    assert ledger.extend_holds([(hold_id, 150), (hold_id, 50)], now=NOW) == [True, True]
    amounts = HoldPart.objects.filter(hold__public_id=hold_id).order_by("position")
    assert [part.amount_millitokens for part in amounts] == [300, 100]
    audit()


def test_extend_refuses_what_is_resolved_outlived_or_unknown() -> None:
    grant(1000)
    released, outlived = hold(100), hold(100)
    ledger.release_holds([released], now=NOW)
    before = read_books()
    assert ledger.extend_holds([(released, 1), ("hld_none", 1)], now=NOW) == [False, False]
    assert ledger.extend_holds([("hld_\0", 1), ("hld_\ud800", 1)], now=NOW) == [False, False]
    assert ledger.extend_holds([(outlived, 1)], now=LATER) == [False]
    assert read_books() == before


def test_release_gives_back_once() -> None:
    grant(1000)
    hold_id = hold(400, limits=(limit("a", 500),))
    results = ledger.release_holds([hold_id, hold_id, "hld_none"], now=NOW)
    assert results == [True, False, False]
    assert ledger.release_holds([hold_id], now=NOW) == [False]
    assert wallet().held_millitokens == Limit.objects.get().held_millitokens == 0
    assert Hold.objects.get().resolved_at == NOW
    audit()


def test_holds_expire_at_their_time_the_oldest_first() -> None:
    grant(1000)
    early = hold(100, expires_at=NOW + timedelta(seconds=1), reference="call:early")
    late = hold(100, expires_at=NOW + timedelta(seconds=2))
    hold(100, expires_at=LATER)
    assert ledger.expire_holds(now=NOW) == []
    first, second = ledger.expire_holds(now=NOW + timedelta(seconds=5), limit=1)
    assert (first.hold_id, first.reference) == (early, "call:early")
    assert second.hold_id == late
    assert wallet().held_millitokens == 100
    audit()


def test_clock_that_goes_back_an_hour_loses_nothing() -> None:
    grant(1000, days=1)
    hold_id = hold(400)
    earlier = NOW - timedelta(hours=1)
    other = hold(100, now=earlier)
    assert ledger.extend_holds([(hold_id, 100)], now=earlier) == [True]
    assert capture(hold_id, 500, now=earlier).captured_millitokens == 500
    assert ledger.expire_holds(now=earlier) == []
    assert ledger.release_holds([other], now=earlier) == [True]
    assert wallet().posted_millitokens == 500
    audit()


@pytest.mark.parametrize(
    "fields",
    [
        {"amount_millitokens": 0},
        {"amount_millitokens": -1},
        {"amount_millitokens": 10**18 + 1},
        {"amount_millitokens": True},
        {"unit": "gold"},
        {"owner_key": ""},
        {"owner_key": "x" * 61},
        {"idempotency_key": "x" * 201},
        {"idempotency_key": "a\0b"},
        {"scopes": ("",)},
        {"scopes": ("a", "a")},
        {"scopes": ("a\0",)},
        {"reference": "half a pair: \ud800"},
        {"limits": (limit("a", -1),)},
        {"limits": (limit("a", 1), limit("a", 2))},
    ],
)
def test_request_that_makes_no_sense_is_refused_before_anything_is_written(fields) -> None:
    grant(1000)
    before = read_books()
    with pytest.raises(ValueError, match=r".+"):
        ledger.place_holds([ask(1), replace(ask(1), **fields)], now=NOW)
    assert read_books() == before


def test_nothing_asked_is_nothing_done() -> None:
    assert ledger.place_holds([], now=NOW) == []
    assert ledger.extend_holds([], now=NOW) == []
    assert ledger.release_holds([], now=NOW) == []
    assert ledger.capture_holds([], now=NOW) == []
