"""Reversals of captures, and adjustments: new transactions, never edits."""

from datetime import timedelta
from typing import Any

import pytest

from marketplace.ledger import selectors
from marketplace.ledger import services as ledger
from marketplace.ledger.models import Transaction
from tests.ledger.auditor import audit, read_books
from tests.ledger.cast import NOW, PROVIDER, capture, grant, hold, remainders, wallet

pytestmark = pytest.mark.django_db


def reverse(result: ledger.CaptureResult, key: str = "rev:1", **fields) -> ledger.PostResult:
    values = {"reason": "promise broken", "now": NOW, **fields}
    return ledger.reverse_transaction(
        transaction_id=result.transaction_id, idempotency_key=key, **values
    )


def payable(unit: str = "live") -> int:
    return selectors.get_account_balance(kind="payable", owner_key=PROVIDER, unit=unit)


def test_reversal_puts_tokens_back_into_the_lots_that_they_came_from() -> None:
    grant(100, reference="a", days=1)
    grant(100, reference="b", days=2)
    grant(100, reference="c")
    charged = capture(hold(250), 250)
    assert remainders() == {"a": 0, "b": 0, "c": 50}
    result = reverse(charged)
    transaction = Transaction.objects.get(pk=result.transaction_pk)
    assert (transaction.kind, transaction.reversal_no) == ("reversal", 1)
    assert transaction.reverses_id == charged.transaction_pk
    assert remainders() == {"a": 100, "b": 100, "c": 100}
    assert wallet().posted_millitokens == 300
    assert payable() == 0
    audit()


def test_partial_reversals_unwind_the_last_burnt_first_and_add_up_to_the_original() -> None:
    grant(100, reference="a", days=1)
    grant(100, reference="b", days=2)
    grant(100, reference="c")
    charged = capture(hold(250), 250)  # 225 to the provider, 25 commission
    reverse(charged, "1", debits=[("payable", PROVIDER, 70)])
    assert remainders() == {"a": 0, "b": 20, "c": 100}
    audit()
    reverse(charged, "2", debits=[("payable", PROVIDER, 100), ("commission", "operator", 5)])
    assert remainders() == {"a": 25, "b": 100, "c": 100}
    audit()
    before = read_books()
    with pytest.raises(ledger.NotReversible):
        reverse(charged, "3", debits=[("payable", PROVIDER, 56)])
    with pytest.raises(ledger.NotReversible):
        reverse(charged, "3", debits=[("payable", "prv_other", 1)])
    assert read_books() == before
    reverse(charged, "3")
    assert wallet().posted_millitokens == 300
    assert [t.reversal_no for t in Transaction.objects.filter(kind="reversal")] == [1, 2, 3]
    with pytest.raises(ledger.NotReversible):
        reverse(charged, "4")
    audit()


def test_reversal_happens_once_per_key() -> None:
    grant(100)
    charged = capture(hold(100), 100)
    first = reverse(charged, debits=[("payable", PROVIDER, 10)])
    before = read_books()
    again = reverse(charged, debits=[("payable", PROVIDER, 10)])
    assert (first.created, again.created) == (True, False)
    assert again.transaction_pk == first.transaction_pk
    with pytest.raises(ledger.PostedDifferently):
        reverse(charged, debits=[("payable", PROVIDER, 11)])
    assert read_books() == before


def test_operators_part_goes_back_to_the_operator() -> None:
    grant(100)
    grant(30, scope="service:svc_1")
    charged = capture(hold(80, scopes=("service:svc_1",)), 200)
    assert charged.in_suspense_millitokens == 70
    reverse(charged, "1", debits=[("payable", PROVIDER, 60), ("suspense", PROVIDER, 10)])
    audit()
    reverse(charged, "2")
    promotion = selectors.get_account_balance(
        kind="promotion", owner_key=ledger.OPERATOR, unit="live"
    )
    assert (promotion, payable()) == (0, 0)
    assert wallet().posted_millitokens == 100
    assert wallet(scope="service:svc_1").posted_millitokens == 30
    audit()


def test_tokens_given_back_to_an_expired_lot_expire_again() -> None:
    grant(100, days=1)
    charged = capture(hold(100), 100)
    later = NOW + timedelta(days=2)
    reverse(charged, now=later)
    [expired] = ledger.expire_lots(now=later)
    assert expired.amount_millitokens == 100
    audit()


def test_only_captures_can_be_reversed() -> None:
    grant(100)
    purchase = Transaction.objects.get()
    before = read_books()
    with pytest.raises(ledger.NotReversible):
        ledger.reverse_transaction(
            transaction_id=purchase.public_id, idempotency_key="1", reason="no", now=NOW
        )
    with pytest.raises(ledger.UnknownTransaction):
        ledger.reverse_transaction(
            transaction_id="txn_none", idempotency_key="1", reason="no", now=NOW
        )
    with pytest.raises(ValueError, match="reason"):
        ledger.reverse_transaction(
            transaction_id=purchase.public_id, idempotency_key="1", reason="", now=NOW
        )
    assert read_books() == before


def adjust(**changes) -> ledger.PostResult:
    values: dict[str, Any] = {
        "kind": "adjustment",
        "unit": "live",
        "idempotency_scope": "reconciliation",
        "idempotency_key": "run:1",
        "moves": [ledger.Move(("suspense", "operator"), ("payable", PROVIDER), 5)],
        "reason": "found by hand",
        "now": NOW,
    }
    return ledger.post_transaction(**(values | changes))


def test_adjustment_moves_between_accounts_once() -> None:
    first = adjust()
    assert (first.created, payable()) == (True, 5)
    assert adjust().transaction_pk == first.transaction_pk
    before = read_books()
    with pytest.raises(ledger.PostedDifferently):
        adjust(moves=[ledger.Move(("suspense", "operator"), ("payable", PROVIDER), 6)])
    assert read_books() == before
    audit()


def test_what_waits_in_suspense_is_paid_or_given_back_by_a_person() -> None:
    """A claim beyond a hold: a part is agreed to, the rest goes back to the operator."""
    grant(100)
    charged = capture(hold(100), 1100)
    suspense = ("suspense", PROVIDER)
    assert (charged.in_suspense_millitokens, payable()) == (1000, 90)
    adjust(
        moves=[
            ledger.Move(suspense, ("payable", PROVIDER), 270),
            ledger.Move(suspense, ("commission", ledger.OPERATOR), 30),
            ledger.Move(suspense, ("promotion", ledger.OPERATOR), 700),
        ],
        idempotency_key=charged.transaction_id,
        reason="the provider showed its log of 300",
    )
    balances = {
        kind: selectors.get_account_balance(kind=kind, owner_key=owner, unit="live")
        for kind, owner in (suspense, ("commission", "operator"), ("promotion", "operator"))
    }
    assert balances == {"suspense": 0, "commission": 40, "promotion": -300}
    assert (payable(), wallet().posted_millitokens) == (360, 0)
    audit()


def test_a_claim_in_suspense_can_be_reversed_alone() -> None:
    grant(100)
    charged = capture(hold(100), 1100)
    reverse(charged, debits=[("suspense", PROVIDER, 1000)])
    for kind, owner in (("suspense", PROVIDER), ("promotion", ledger.OPERATOR)):
        assert selectors.get_account_balance(kind=kind, owner_key=owner, unit="live") == 0
    assert (payable(), wallet().posted_millitokens) == (90, 0)
    audit()


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "capture"},
        {"moves": []},
        {"reason": ""},
        {"idempotency_key": ""},
        {"unit": "gold"},
        {"moves": [ledger.Move(("suspense", "operator"), ("payable", PROVIDER), 0)]},
        {"moves": [ledger.Move(("wallet", "org_acme"), ("payable", PROVIDER), 5)]},
        {"moves": [ledger.Move(("payable", PROVIDER), ("payable", PROVIDER), 5)]},
    ],
)
def test_adjustment_that_makes_no_sense_is_refused(changes) -> None:
    before = read_books()
    with pytest.raises(ValueError, match=r".+"):
        adjust(**changes)
    assert read_books() == before
