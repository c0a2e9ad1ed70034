"""Purchases taken back by banks: debts, their freezes, and how they end."""

from datetime import timedelta

import pytest

from marketplace.ledger import selectors
from marketplace.ledger import services as ledger
from marketplace.ledger.models import Freeze, Transaction
from tests.ledger.auditor import audit, read_books
from tests.ledger.cast import (
    ACME,
    GLOBEX,
    NOW,
    ask,
    capture,
    grant,
    hold,
    place,
    remainders,
    wallet,
)
from tests.ledger.purchases import BONUS, FACE, PAID, SCOPE, balance, buy, moved, reverse, spend

pytestmark = pytest.mark.django_db


def test_a_charge_back_after_tokens_were_used_is_a_debt():
    """docs/money.md: 60M left of 100M."""
    buy(bonus=0)
    spend(40_000)

    result = reverse(0, PAID)

    assert result.debt_millitokens == 38_000
    assert Transaction.objects.latest("pk").kind == "chargeback"
    assert moved() == {
        ("wallet", "clearing"): 57_000,
        ("wallet", "discount"): 3_000,
        ("receivable", "clearing"): 38_000,
    }
    assert wallet().frozen
    assert place(1).decline_code == "wallet_frozen"


def test_a_charge_back_after_all_was_spent():
    buy()
    spend(FACE + BONUS)

    assert reverse(0, PAID).debt_millitokens == 95_000

    assert moved() == {("receivable", "clearing"): 95_000}
    assert balance("receivable", ACME) == -95_000


def test_other_lots_are_not_touched_and_not_spendable_meanwhile():
    buy(bonus=0)
    spend(FACE)
    grant(9_000)

    reverse(0, PAID)

    assert wallet().posted_millitokens == 9_000
    assert place(1).decline_code == "wallet_frozen"


def test_a_dispute_that_is_won_restores_tokens_and_thaws():
    buy()
    spend(45_000)
    before = remainders()
    reverse(0, PAID)
    assert wallet().frozen

    result = reverse(0)

    assert result == ledger.PurchaseReversal(True, 0, 0, 0)
    assert remainders() == before
    assert not wallet().frozen
    assert balance("receivable", ACME) == 0
    assert place(10).outcome == "held"


def test_won_and_lost_again_ends_as_lost():
    buy(bonus=0)
    spend(40_000)
    for charged_back in (PAID, 0, PAID, 0, PAID):
        reverse(0, charged_back)

    assert balance("clearing", "sandbox") == 0
    assert balance("receivable", ACME) == -38_000


def test_other_freezes_stay():
    buy(bonus=0)
    spend(40_000)
    ledger.freeze_wallet(wallet_pk=wallet().pk, reason="staff", now=NOW)
    reverse(0, PAID)

    reverse(0)

    assert wallet().frozen
    assert list(Freeze.objects.values_list("reason", flat=True)) == ["staff"]


def test_refund_and_dispute_together_owe_only_the_disputed():
    buy(bonus=0)
    spend(FACE)

    assert reverse(1000, 8500).debt_millitokens == 85_000


def test_a_charge_back_takes_what_a_hold_let_go():
    """Seen again, the debt becomes smaller by what came back into the lot."""
    buy(bonus=0)
    held = hold(30_000)
    assert reverse(0, PAID).debt_millitokens == 28_500

    ledger.release_holds([held], now=NOW)

    assert reverse(0, PAID).debt_millitokens == 0
    assert not wallet().frozen
    assert wallet().posted_millitokens == 0


def test_all_wallets_of_the_debtor_are_frozen_and_nobody_elses():
    buy(bonus=0, scope=SCOPE)
    grant(10)
    grant(10, unit="test")
    grant(10, owner=GLOBEX)
    [held] = ledger.place_holds([_scoped(FACE)], now=NOW)
    capture(held.hold_id, FACE)

    reverse(0, PAID)

    assert wallet().frozen
    assert wallet(scope=SCOPE).frozen
    assert not wallet(unit="test").frozen
    assert not wallet(owner=GLOBEX).frozen


def _scoped(amount: int) -> ledger.HoldRequest:
    return ask(amount, scopes=(SCOPE,))


def test_a_wallet_that_is_made_for_a_debtor_is_frozen():
    buy(bonus=0)
    spend(FACE)
    reverse(0, PAID)

    grant(10, scope=SCOPE)

    assert wallet(scope=SCOPE).frozen
    audit()


def test_an_expired_lot_counts_as_used():
    buy(bonus=0, expires_at=NOW + timedelta(days=1))
    ledger.expire_lots(now=NOW + timedelta(days=2))

    assert reverse(0, PAID, now=NOW + timedelta(days=2)).debt_millitokens == 95_000


def test_a_debt_is_settled_or_forgiven():
    buy(bonus=0)
    spend(FACE)
    reverse(0, PAID)

    for amount, paid_into in ((60_000, ("clearing", "bank")), (35_000, ("promotion", "operator"))):
        assert wallet().frozen
        for _twice in range(2):
            ledger.clear_debt(
                owner_key=ACME,
                unit="live",
                amount_millitokens=amount,
                paid_into=paid_into,
                idempotency_key=f"settled-{amount}",
                reason="paid by transfer",
                reference="finding:fnd_1",
                now=NOW,
            )

    assert not wallet().frozen
    assert selectors.get_debt(owner_key=ACME, unit="live") == 0
    audit()


def test_no_more_is_settled_than_is_owed():
    buy(bonus=0)
    spend(FACE)
    reverse(0, PAID)
    before = read_books()

    with pytest.raises(ledger.MoreThanOwed):
        ledger.clear_debt(
            owner_key=ACME,
            unit="live",
            amount_millitokens=95_001,
            paid_into=("promotion", "operator"),
            idempotency_key="too-much",
            reason="a slip",
            reference="finding:fnd_1",
            now=NOW,
        )

    assert read_books()["Entry"] == before["Entry"]
    assert wallet().frozen


def test_captures_can_still_be_reversed_afterwards():
    buy(bonus=0)
    call = spend(40_000)
    reverse(0, PAID)

    ledger.reverse_transaction(
        transaction_id=call.transaction_id, idempotency_key="r1", reason="no answer", now=NOW
    )
    assert wallet().posted_millitokens == 40_000

    assert reverse(0, PAID).debt_millitokens == 0
    assert wallet().posted_millitokens == 0
