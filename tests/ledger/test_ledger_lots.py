"""Granting lots and letting them expire."""

from datetime import timedelta
from typing import Any

import pytest

from marketplace.ledger import selectors, tasks
from marketplace.ledger import services as ledger
from marketplace.ledger.models import Account, Lot, Transaction, Wallet
from tests.ledger.auditor import audit, read_books
from tests.ledger.cast import (
    ACME,
    GLOBEX,
    NOW,
    capture,
    grant,
    hold,
    place,
    remainders,
    wallet,
)

pytestmark = pytest.mark.django_db

TOMORROW = NOW + timedelta(days=1)


def buy(**changes) -> ledger.GrantResult:
    """A pack of 100,000 tokens for $95, as in docs/money.md."""
    values: dict[str, Any] = {
        "owner_key": ACME,
        "unit": "live",
        "reference": "order:ord_1",
        "kind": "paid",
        "face_millitokens": 100_000_000,
        "debits": [
            ("clearing", "sandbox", 95_000_000),
            ("discount", ledger.OPERATOR, 5_000_000),
        ],
        "transaction_kind": "purchase",
        "paid_minor": 9500,
        "currency": "USD",
        "now": NOW,
    }
    return ledger.grant_lot(**(values | changes))


def test_purchase_credits_the_lot_and_the_wallet() -> None:
    result = buy(expires_at=TOMORROW, reason="Pack M")
    assert result.created
    assert (result.lot.remaining_millitokens, result.lot.paid_minor) == (100_000_000, 9500)
    assert (result.lot.granted_at, result.lot.expires_at) == (NOW, TOMORROW)
    assert wallet().posted_millitokens == 100_000_000
    transaction = Transaction.objects.get()
    assert (transaction.kind, transaction.reference) == ("purchase", "order:ord_1")
    assert transaction.reason == "Pack M"
    clearing = selectors.get_account_balance(kind="clearing", owner_key="sandbox", unit="live")
    assert clearing == -95_000_000
    audit()


def test_lot_is_credited_once_per_reference_and_kind() -> None:
    first = buy()
    before = read_books()
    again = buy(reason="another event", now=TOMORROW)
    assert (again.created, again.lot.pk) == (False, first.lot.pk)
    assert read_books() == before
    bonus = buy(kind="bonus", debits=[("promotion", ledger.OPERATOR, 100_000_000)])
    assert bonus.created
    assert wallet().posted_millitokens == 200_000_000
    audit()


@pytest.mark.parametrize(
    "changes",
    [
        {"owner_key": GLOBEX},
        {"unit": "test"},
        {"scope": "service:svc_1"},
        {"face_millitokens": 1, "debits": [("clearing", "sandbox", 1)]},
    ],
)
def test_another_lot_under_the_same_reference_is_a_conflict(changes) -> None:
    buy()
    before = read_books()
    with pytest.raises(ledger.GrantedDifferently):
        buy(**changes)
    assert read_books() == before


@pytest.mark.parametrize(
    "changes",
    [
        {"face_millitokens": 0, "debits": []},
        {"face_millitokens": 99},
        {"debits": [("wallet", GLOBEX, 100_000_000)]},
        {"debits": [("clearing", "sandbox", -1), ("discount", "x", 100_000_001)]},
        {"kind": "gold"},
        {"unit": "gold"},
        {"transaction_kind": "capture"},
        {"paid_minor": -1},
        {"owner_key": ""},
        {"owner_key": "a/b"},
        {"reference": ""},
        {"reference": "x" * 81},
        {"scope": "x" * 61},
    ],
)
def test_grant_that_makes_no_sense_is_refused(changes) -> None:
    before = read_books()
    with pytest.raises(ValueError, match=r".+"):
        buy(**changes)
    assert read_books() == before


def test_wallet_has_a_bound() -> None:
    for _ in range(4):
        grant(10**18)
    before = read_books()
    with pytest.raises(ledger.WalletFull):
        grant(1)
    assert read_books() == before
    audit()


def test_each_scope_has_a_wallet_with_an_account_of_its_own() -> None:
    grant(10)
    grant(20, scope="service:svc_1")
    assert set(Account.objects.filter(kind="wallet").values_list("owner_key", flat=True)) == {
        ACME,
        f"{ACME}/service:svc_1",
    }
    balance = selectors.get_balance(owner_key=ACME, unit="live")
    assert balance.posted == 30
    assert [row.scope for row in selectors.list_wallets(owner_key=ACME, unit="live")] == [
        "",
        "service:svc_1",
    ]
    assert selectors.get_balance(owner_key=GLOBEX, unit="live").posted == 0


def test_lot_expires_to_breakage() -> None:
    grant(100, reference="a", days=1)
    grant(50, reference="b", days=3)
    capture(hold(30), 30)
    [expired] = ledger.expire_lots(now=TOMORROW)
    assert (expired.owner_key, expired.amount_millitokens) == (ACME, 70)
    assert remainders() == {"a": 0, "b": 50}
    breakage = selectors.get_account_balance(
        kind="breakage", owner_key=ledger.OPERATOR, unit="live"
    )
    assert breakage == 70
    assert Wallet.objects.get().next_expiry_at == NOW + timedelta(days=3)
    audit()
    before = read_books()
    assert ledger.expire_lots(now=TOMORROW) == []
    assert read_books() == before


def test_sweep_needs_no_date_on_the_wallet() -> None:
    grant(100, days=1)
    Wallet.objects.update(next_expiry_at=None)
    [expired] = ledger.expire_lots(now=TOMORROW)
    assert expired.amount_millitokens == 100
    audit()


def test_expired_tokens_cannot_be_held_even_before_the_sweep() -> None:
    grant(100, days=1)
    grant(50)
    assert place(51, now=TOMORROW, expires_at=TOMORROW).outcome == "declined"
    assert place(50, now=TOMORROW, expires_at=TOMORROW).outcome == "held"
    audit()


def test_expired_tokens_cannot_extend_a_hold_nor_cover_an_overrun() -> None:
    grant(100, days=1)
    grant(50)
    hold_id = hold(60, expires_at=NOW + timedelta(days=9))
    assert ledger.extend_holds([(hold_id, 1)], now=TOMORROW) == [False]
    assert wallet().posted_millitokens == 60
    assert capture(hold_id, 70, now=TOMORROW).in_suspense_millitokens == 10
    audit()


def test_overrun_is_not_covered_by_tokens_that_have_just_expired() -> None:
    grant(100, days=1)
    grant(50)
    hold_id = hold(60, expires_at=NOW + timedelta(days=9))
    result = capture(hold_id, 70, now=TOMORROW)
    assert (result.captured_millitokens, result.in_suspense_millitokens) == (60, 10)
    audit()


def test_later_grant_does_not_put_off_an_earlier_expiry() -> None:
    grant(100, days=1)
    grant(50, days=3)
    assert Wallet.objects.get().next_expiry_at == TOMORROW
    assert place(51, now=TOMORROW, expires_at=TOMORROW).outcome == "declined"
    assert place(50, now=TOMORROW, expires_at=TOMORROW).outcome == "held"
    audit()


def test_open_hold_pins_what_it_needs_of_an_expired_lot() -> None:
    grant(100, reference="a", days=1)
    grant(50, reference="b")
    hold_id = hold(120, expires_at=NOW + timedelta(days=9))
    [expired] = ledger.expire_lots(now=TOMORROW)
    assert expired.amount_millitokens == 30
    assert remainders() == {"a": 70, "b": 50}
    assert selectors.get_balance(owner_key=ACME, unit="live").spendable == 0
    assert ledger.expire_lots(now=TOMORROW) == []
    assert capture(hold_id, 60, now=TOMORROW).captured_millitokens == 60
    assert remainders() == {"a": 10, "b": 50}
    [expired] = ledger.expire_lots(now=TOMORROW)
    assert expired.amount_millitokens == 10
    assert remainders() == {"a": 0, "b": 50}
    audit()


def test_released_hold_lets_the_pinned_rest_expire_before_it_is_held_again() -> None:
    grant(100, days=1)
    hold_id = hold(100, expires_at=NOW + timedelta(days=9))
    assert ledger.expire_lots(now=TOMORROW) == []
    ledger.release_holds([hold_id], now=TOMORROW)
    assert place(1, now=TOMORROW).outcome == "declined"
    assert wallet().posted_millitokens == 0
    audit()


def test_expiry_sweeps_every_tenant_and_scope_and_the_task_does_so_now() -> None:
    grant(10, days=1)
    grant(10, days=1, scope="service:svc_1")
    grant(10, days=1, owner=GLOBEX)
    grant(10, days=1, unit="test")
    grant(10, owner="org_third")
    tasks.expire_lots()
    assert sum(Lot.objects.values_list("remaining_millitokens", flat=True)) == 10
    audit()
