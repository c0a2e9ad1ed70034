"""Captures: once, at what the call really cost, never more than the tenant can pay."""

from dataclasses import replace
from datetime import timedelta

import pytest

from marketplace.ledger import selectors
from marketplace.ledger import services as ledger
from marketplace.ledger.models import Entry, Hold, Limit, Lot, Transaction
from tests.ledger.auditor import audit, read_books
from tests.ledger.cast import (
    ACME,
    LATER,
    NOW,
    PROVIDER,
    ask,
    capture,
    cost,
    grant,
    hold,
    limit,
    remainders,
    wallet,
)

pytestmark = pytest.mark.django_db

TOMORROW = NOW + timedelta(days=1)


def balance(kind: str, owner: str = ledger.OPERATOR, unit: str = "live") -> int:
    return selectors.get_account_balance(kind=kind, owner_key=owner, unit=unit)


def figures(result: ledger.CaptureResult) -> tuple[int, int, int]:
    """What the tenant paid, what the operator paid, what waits for a person."""
    return (
        result.captured_millitokens,
        result.uncovered_millitokens,
        result.in_suspense_millitokens,
    )


def test_capture_moves_the_cost_and_frees_the_rest() -> None:
    grant(1000)
    hold_id = hold(600, limits=(limit("a", 600),))
    result = capture(hold_id, 500, reference="call:1", reason="a call")
    assert (result.outcome, result.captured_millitokens) == ("captured", 500)
    assert result.uncovered_millitokens == 0
    transaction = Transaction.objects.get(public_id=result.transaction_id)
    assert (transaction.pk, transaction.kind) == (result.transaction_pk, "capture")
    assert (transaction.reference, transaction.reason) == ("call:1", "a call")
    assert (wallet().posted_millitokens, wallet().held_millitokens) == (500, 0)
    assert (balance("payable", PROVIDER), balance("commission")) == (450, 50)
    assert balance("clearing", "sandbox") == -1000
    stored = Hold.objects.get()
    assert (stored.state, stored.captured_millitokens) == ("captured", 500)
    counted = Limit.objects.get()
    assert (counted.held_millitokens, counted.spent_millitokens) == (0, 500)
    audit()


def test_capture_happens_once() -> None:
    grant(1000)
    hold_id = hold(600)
    first = capture(hold_id, 500)
    before = read_books()
    assert capture(hold_id, 500) == replace(first, outcome="replayed")
    assert capture(hold_id, 400) == replace(first, outcome="already_resolved")
    assert capture(hold_id, 500, reference="other") == replace(first, outcome="already_resolved")
    assert read_books() == before


def test_same_hold_twice_in_one_batch_is_captured_once() -> None:
    grant(1000)
    hold_id, other = hold(300), hold(300)
    requests = [cost(hold_id, 200), cost(other, 300), cost(hold_id, 200), cost(hold_id, 100)]
    results = ledger.capture_holds(requests, now=NOW)
    outcomes = [result.outcome for result in results]
    assert outcomes == ["captured", "captured", "replayed", "already_resolved"]
    assert wallet().posted_millitokens == 500
    audit()


def test_nothing_costs_nothing_and_releases() -> None:
    grant(1000)
    hold_id = hold(600)
    result = capture(hold_id, 0)
    assert (result.outcome, result.transaction_pk, result.transaction_id) == ("captured", None, "")
    assert Hold.objects.get().state == "released"
    before = read_books()
    assert capture(hold_id, 0).outcome == "replayed"
    late = capture(hold_id, 10)
    assert (late.outcome, late.captured_millitokens) == ("already_resolved", 0)
    assert read_books() == before
    audit()


def test_released_or_declined_hold_cannot_be_captured() -> None:
    grant(1000)
    hold_id = hold(600)
    ledger.release_holds([hold_id], now=NOW)
    [declined] = ledger.place_holds([ask(1001)], now=NOW)
    before = read_books()
    assert capture(hold_id, 10).outcome == "already_resolved"
    assert capture(declined.hold_id, 10).outcome == "already_resolved"
    assert read_books() == before


def test_cost_over_the_hold_is_taken_from_what_is_spendable() -> None:
    grant(1000)
    hold_id = hold(600, limits=(limit("a", 900),))
    result = capture(hold_id, 800)
    assert (result.captured_millitokens, result.uncovered_millitokens) == (800, 0)
    assert Hold.objects.get().amount_millitokens == 800
    audit()


def test_what_passes_hold_and_wallet_is_owed_to_nobody() -> None:
    """Else a provider and a tenant in league could make the operator pay any sum."""
    grant(1000)
    hold_id = hold(600)
    result = capture(hold_id, 1555)
    assert figures(result) == (1000, 0, 555)
    assert result.payable_millitokens == 900
    assert wallet().posted_millitokens == 0
    assert (balance("payable", PROVIDER), balance("commission")) == (900, 100)
    assert (balance("promotion"), balance("suspense", PROVIDER)) == (-555, 555)
    audit()
    assert capture(hold_id, 1555) == replace(result, outcome="replayed")


def test_what_passes_a_limit_is_owed_to_nobody() -> None:
    grant(1000)
    hold_id = hold(600, limits=(limit("a", 650),))
    result = capture(hold_id, 800)
    assert figures(result) == (650, 0, 150)
    assert Limit.objects.get().spent_millitokens == 650
    assert (balance("payable", PROVIDER), balance("commission")) == (585, 65)
    audit()


def test_others_holds_are_never_touched_by_an_overrun() -> None:
    grant(1000)
    hold_id, other = hold(600), hold(300)
    assert capture(hold_id, 1000).in_suspense_millitokens == 300
    assert capture(other, 300).captured_millitokens == 300
    assert wallet().posted_millitokens == 0
    audit()


def test_late_capture_debits_afresh_whole_or_not_at_all() -> None:
    grant(1000)
    limits = (limit("a", 1000),)
    covered, uncovered = hold(600, limits=limits), hold(300, limits=limits)
    ledger.expire_holds(now=LATER)
    result = capture(covered, 600, now=LATER)
    assert (result.outcome, result.captured_millitokens) == ("captured", 600)
    assert Hold.objects.get(public_id=covered).state == "captured"
    taken = hold(101, limits=limits, expires_at=LATER + timedelta(minutes=10), now=LATER)
    result = capture(uncovered, 300, now=LATER)
    assert figures(result) == (0, 300, 0)
    assert (wallet().posted_millitokens, wallet().held_millitokens) == (400, 101)
    assert Limit.objects.get().spent_millitokens == 600
    assert (balance("payable", PROVIDER), balance("commission")) == (810, 90)
    assert (balance("promotion"), balance("suspense", PROVIDER)) == (-300, 0)
    audit()
    assert capture(uncovered, 300, now=LATER) == replace(result, outcome="replayed")
    assert capture(taken, 0, now=LATER).outcome == "captured"
    assert capture(covered, 600, now=LATER).outcome == "replayed"
    assert Transaction.objects.filter(kind="capture").count() == 2


def test_late_capture_of_nothing_and_from_a_frozen_wallet() -> None:
    grant(1000)
    nothing, frozen = hold(100), hold(100)
    ledger.expire_holds(now=LATER)
    before = read_books()
    assert capture(nothing, 0, now=LATER).outcome == "captured"
    assert read_books() == before
    ledger.freeze_wallet(wallet_pk=wallet().pk, reason="chargeback", now=NOW)
    assert figures(capture(frozen, 100, now=LATER)) == (0, 100, 0)
    audit()


@pytest.mark.parametrize(
    ("others", "expected"),
    [(0, (900, 0, 0)), (101, (300, 0, 600)), (701, (0, 300, 600))],
)
def test_late_capture_beyond_the_hold(others: int, expected: tuple[int, int, int]) -> None:
    """All of it, else what was held, else the operator pays that; never what was not held."""
    grant(1000)
    hold_id = hold(300)
    ledger.expire_holds(now=LATER)
    if others:
        hold(others, now=LATER, expires_at=LATER + timedelta(minutes=10))
    result = capture(hold_id, 900, now=LATER)
    assert figures(result) == expected
    captured, uncovered, in_suspense = expected
    assert result.payable_millitokens == (captured + uncovered) * 9 // 10
    assert balance("payable", PROVIDER) == result.payable_millitokens
    assert balance("promotion") == -(uncovered + in_suspense)
    assert balance("suspense", PROVIDER) == in_suspense
    assert wallet().posted_millitokens == 1000 - captured
    audit()
    assert capture(hold_id, 900, now=LATER) == replace(result, outcome="replayed")


@pytest.mark.parametrize("swept", [False, True])
@pytest.mark.parametrize("amount", [0, 100, 700])
def test_a_late_capture_can_be_refused(swept: bool, amount: int) -> None:
    grant(1000)
    hold_id, other = hold(600), hold(300, expires_at=LATER + timedelta(minutes=1))
    if swept:
        ledger.expire_holds(now=LATER)
    before = read_books()
    assert capture(hold_id, amount, now=LATER, late="refuse") == ledger.CaptureResult("expired")
    assert read_books() == before
    # In time there is nothing to refuse, and what was captured stays so.
    captured = capture(other, 200, now=LATER, late="refuse")
    assert figures(captured) == (200, 0, 0)
    again = capture(other, 200, now=LATER + timedelta(hours=1), late="refuse")
    assert again == replace(captured, outcome="replayed")
    audit()


def test_burn_order_soonest_expiry_then_given_then_oldest() -> None:
    grant(100, reference="never")
    grant(100, reference="paid", days=2)
    grant(100, reference="bonus", days=2, kind="bonus")
    grant(100, reference="soon", days=1)
    grant(100, reference="never again")
    capture(hold(450), 450)
    assert remainders() == {
        "never": 0,
        "paid": 0,
        "bonus": 0,
        "soon": 0,
        "never again": 50,
    }
    burns = Transaction.objects.get(kind="capture").burns.order_by("pk")
    order = [burn.lot.reference for burn in burns]
    assert order == ["soon", "bonus", "paid", "never", "never again"]
    audit()


def test_list_of_lots_is_in_burn_order() -> None:
    grant(100, reference="never")
    grant(100, reference="paid", days=2)
    grant(100, reference="bonus", days=2, kind="bonus")
    grant(100, reference="scoped", scope="service:svc_1")
    capture(hold(250), 250)
    lots = selectors.list_lots(owner_key=ACME, unit="live")
    assert [lot.reference for lot in lots] == ["scoped", "never"]


def test_parts_burn_scoped_before_general() -> None:
    grant(1000)
    grant(300, scope="service:svc_1")
    grant(50, scope="modality:chat")
    hold_id = hold(400, scopes=("service:svc_1", "modality:chat"))
    result = capture(hold_id, 320)
    assert result.captured_millitokens == 320
    assert wallet(scope="service:svc_1").posted_millitokens == 0
    assert wallet(scope="modality:chat").posted_millitokens == 30
    assert (wallet().posted_millitokens, wallet().held_millitokens) == (1000, 0)
    lines = Entry.objects.filter(transaction=result.transaction_pk).order_by("line")
    assert [(line.wallet and line.wallet.scope, line.amount_millitokens) for line in lines] == [
        ("service:svc_1", 288),
        ("service:svc_1", 12),
        ("modality:chat", 20),
    ]
    audit()


def test_overrun_of_a_scoped_hold_goes_on_to_the_general_wallet() -> None:
    grant(100)
    grant(300, scope="service:svc_1")
    hold_id = hold(200, scopes=("service:svc_1",))
    result = capture(hold_id, 450)
    assert figures(result) == (400, 0, 50)
    audit()


def test_batch_over_many_tenants() -> None:
    ids = []
    for number in range(5):
        grant(1000, owner=f"org_{number}")
        ids += [hold(100, owner_key=f"org_{number}") for _ in range(3)]
    results = ledger.capture_holds([cost(hold_id, 70) for hold_id in ids], now=NOW)
    assert {result.captured_millitokens for result in results} == {70}
    assert [wallet(f"org_{n}").posted_millitokens for n in range(5)] == [790] * 5
    assert balance("payable", PROVIDER) == 15 * 63
    audit()


def test_overruns_in_one_batch_share_what_is_spendable() -> None:
    grant(1000)
    late, one, two = hold(200), hold(100, expires_at=TOMORROW), hold(100, expires_at=TOMORROW)
    ledger.expire_holds(now=LATER)
    requests = [cost(late, 300), cost(one, 600), cost(two, 700)]
    results = ledger.capture_holds(requests, now=LATER)
    assert [figures(result) for result in results] == [(300, 0, 0), (600, 0, 0), (100, 0, 600)]
    assert wallet().posted_millitokens == 0
    audit()


def test_unknown_hold_refuses_the_batch() -> None:
    grant(1000)
    hold_id = hold(100)
    before = read_books()
    with pytest.raises(ledger.UnknownHold):
        ledger.capture_holds([cost(hold_id, 50), cost("hld_none", 50)], now=NOW)
    assert read_books() == before
    assert capture(hold_id, 50).outcome == "captured"


@pytest.mark.parametrize(
    "fields",
    [
        {"amount_millitokens": 10**18 + 1},
        {"amount_millitokens": -1},
        {"payee": ""},
        {"payee": "x" * 121},
        {"share_basis_points": -1},
        {"share_basis_points": 10_001},
        {"reference": "x" * 81},
    ],
)
def test_capture_that_makes_no_sense_is_refused(fields) -> None:
    grant(1000)
    request = replace(cost(hold(100), 100), **fields)
    before = read_books()
    with pytest.raises(ValueError, match=r".+"):
        ledger.capture_holds([request], now=NOW)
    assert read_books() == before


def test_test_tokens_stay_in_their_unit() -> None:
    grant(1000, unit="test")
    capture(hold(600, unit="test"), 700)
    capture(hold(300, unit="test"), 900)
    for kind, owner in (("payable", PROVIDER), ("suspense", PROVIDER), ("promotion", "operator")):
        assert balance(kind, owner) == 0
    assert balance("payable", PROVIDER, unit="test") == 900
    assert balance("suspense", PROVIDER, unit="test") == 600
    assert balance("promotion", unit="test") == -600
    audit()


def test_amounts_near_the_bound() -> None:
    most = 10**18
    grant(most)
    grant(most)
    ids = [hold(most), hold(most)]
    for hold_id in ids:
        assert capture(hold_id, most).captured_millitokens == most
    assert balance("payable", PROVIDER) == 2 * (most * 9 // 10)
    audit()


def test_ids_beyond_32_bits(beyond_32_bits: None) -> None:
    grant(1000, days=1)
    grant(200, scope="service:svc_1")
    hold_id = hold(600, limits=(limit("a", 900),), scopes=("service:svc_1",))
    assert Hold.objects.get().pk > 2**31
    assert ledger.extend_holds([(hold_id, 100)], now=NOW) == [True]
    result = capture(hold_id, 500)
    assert Entry.objects.latest("pk").pk > 2**31
    ledger.reverse_transaction(
        transaction_id=result.transaction_id, idempotency_key="r", reason="test", now=NOW
    )
    assert ledger.expire_lots(now=NOW + timedelta(days=2))
    assert Lot.objects.latest("pk").pk > 2**31
    audit()
