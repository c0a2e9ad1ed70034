"""Purchases taken back by refunds, always recomputed from totals."""

from datetime import timedelta

import pytest

from marketplace.ledger import services as ledger
from marketplace.ledger.models import Transaction
from tests.ledger.auditor import audit, read_books
from tests.ledger.cast import NOW, grant, hold, remainders, wallet
from tests.ledger.purchases import BONUS, FACE, ORDER, PAID, balance, buy, moved, reverse, spend

pytestmark = pytest.mark.django_db


def test_a_refund_takes_the_unused_paid_tokens_and_the_bonus():
    buy()
    spend(65_000)  # all of the bonus and 60,000 paid

    result = reverse(3800)

    assert result == ledger.PurchaseReversal(True, 40_000, 0, 0)
    assert Transaction.objects.latest("pk").kind == "refund"
    assert moved() == {("wallet", "clearing"): 38_000, ("wallet", "discount"): 2_000}
    assert wallet().posted_millitokens == 0
    assert not wallet().frozen


def test_the_bonus_that_is_left_is_withdrawn_and_never_paid_out():
    buy()

    result = reverse(PAID)

    assert (result.paid_millitokens, result.bonus_millitokens) == (FACE, BONUS)
    assert moved() == {
        ("wallet", "clearing"): 95_000,
        ("wallet", "discount"): 5_000,
        ("wallet", "promotion"): 5_000,
    }
    assert balance("clearing", "sandbox") == 0
    assert remainders() == {ORDER: 0}


def test_twice_is_once():
    buy()
    reverse(3800)
    before = read_books()

    assert not reverse(3800).created

    assert read_books() == before


def test_steps_come_to_what_one_step_comes_to():
    buy()
    for total in (1, 777, 778, 3800, 9499, 9500):
        reverse(total)

    assert balance("clearing", "sandbox") == 0
    assert wallet().posted_millitokens == 0
    assert not Transaction.objects.filter(kind="reversal").exists()


def test_more_than_was_paid_takes_no_more_than_was_granted():
    buy()
    grant(7_000)

    result = reverse(PAID, PAID)

    assert result.paid_millitokens == FACE
    assert wallet().posted_millitokens == 7_000
    assert balance("clearing", "sandbox") == -7_000


def test_a_refund_that_is_lower_than_before_gives_back():
    """One of the refunds failed at the processor."""
    buy()
    reverse(3800)

    result = reverse(0)

    assert result == ledger.PurchaseReversal(True, 0, 0, 0)
    assert moved() == {}
    assert remainders() == {ORDER: BONUS}  # by reference: the bonus lot is read last
    assert wallet().posted_millitokens == FACE + BONUS


def test_what_was_refunded_although_it_was_used_is_the_operators_cost():
    """Staff give money back at the processor by hand: nobody owes anything."""
    buy(bonus=0)
    spend(FACE)

    result = reverse(PAID)

    assert result.debt_millitokens == 0
    assert moved() == {("promotion", "clearing"): 95_000}
    assert not wallet().frozen


def test_what_holds_need_is_not_taken():
    buy(bonus=0)
    held = hold(30_000)

    result = reverse(PAID)

    assert result.paid_millitokens == 70_000
    assert wallet().posted_millitokens == wallet().held_millitokens == 30_000
    ledger.release_holds([held], now=NOW)
    assert reverse(PAID).paid_millitokens == FACE


def test_a_restored_lot_that_has_expired_expires_again():
    buy(bonus=0, expires_at=NOW + timedelta(days=1))
    reverse(0, PAID)

    late = NOW + timedelta(days=2)
    grant(10, days=1)
    ledger.expire_lots(now=late)  # and now the wallet has nothing that expires
    reverse(0, now=late)
    ledger.expire_lots(now=late)

    audit()
    assert wallet().posted_millitokens == 0
    assert balance("breakage") == FACE + 10


@pytest.mark.parametrize("reference", ["order:ord_2", ORDER])
def test_what_was_not_bought_is_not_taken_back(reference):
    grant(10, reference=ORDER)  # given, without money
    before = read_books()

    with pytest.raises(ledger.UnknownPurchase):
        reverse(1, reference=reference)
    with pytest.raises(ValueError, match="not negative"):
        reverse(-1)

    assert read_books() == before
