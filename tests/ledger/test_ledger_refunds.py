"""Purchases taken back: refunds, charge-backs and their debts, always recomputed from totals."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from marketplace.ledger import selectors
from marketplace.ledger import services as ledger
from marketplace.ledger.models import Entry, Freeze, Transaction
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

pytestmark = pytest.mark.django_db

ORDER = "order:ord_1"
FACE, BONUS, PAID = 100_000, 5_000, 9_500


def buy(*, bonus: int = BONUS, face: int = FACE, worth: int = 95_000, **changes: Any) -> None:
    """The pack of docs/money.md, a thousand times smaller: 100,000 millitokens for 95.00."""
    values: dict[str, Any] = {
        "owner_key": ACME,
        "unit": "live",
        "reference": ORDER,
        "transaction_kind": "purchase",
        "now": NOW,
        **changes,
    }
    discount = [("discount", ledger.OPERATOR, face - worth)] if face > worth else []
    ledger.grant_lot(
        kind="paid",
        face_millitokens=face,
        debits=[("clearing", "sandbox", worth), *discount],
        paid_minor=PAID,
        currency="USD",
        **values,
    )
    if bonus:
        ledger.grant_lot(
            kind="bonus",
            face_millitokens=bonus,
            debits=[("promotion", ledger.OPERATOR, bonus)],
            **values,
        )


def spend(amount: int) -> ledger.CaptureResult:
    return capture(hold(amount), amount)


def reverse(refunded: int = 0, charged_back: int = 0, **more: Any) -> ledger.PurchaseReversal:
    result = ledger.reverse_purchase(
        **{"reference": ORDER, "now": NOW, **more},
        refunded_minor=refunded,
        charged_back_minor=charged_back,
    )
    audit()
    return result


def moved() -> dict[tuple[str, str], int]:
    """Net of what refunds, charge-backs and their reversals moved, by kinds of accounts."""
    net: dict[tuple[str, str], int] = {}
    for entry in Entry.objects.filter(transaction__reference=ORDER).exclude(
        transaction__kind="purchase"
    ):
        sides = (entry.debit_account.kind, entry.credit_account.kind)
        sign = 1
        if entry.transaction.kind == "reversal":
            sides, sign = sides[::-1], -1
        net[sides] = net.get(sides, 0) + sign * entry.amount_millitokens
    return {sides: amount for sides, amount in net.items() if amount}


def balance(kind: str, owner: str = ledger.OPERATOR) -> int:
    return selectors.get_account_balance(kind=kind, owner_key=owner, unit="live")


def test_a_refund_takes_the_unused_paid_tokens_and_the_bonus():
    buy()
    spend(65_000)  # all of the bonus and 60,000 paid

    result = reverse(3800)

    assert result == ledger.PurchaseReversal(True, 40_000, 0, 0)
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


def test_a_charge_back_after_tokens_were_used_is_a_debt():
    """docs/money.md: 60M left of 100M."""
    buy(bonus=0)
    spend(40_000)

    result = reverse(0, PAID)

    assert result.debt_millitokens == 38_000
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


def test_what_was_refunded_although_it_was_used_is_the_operators_cost():
    """Staff give money back at the processor by hand: nobody owes anything."""
    buy(bonus=0)
    spend(FACE)

    result = reverse(PAID)

    assert result.debt_millitokens == 0
    assert moved() == {("promotion", "clearing"): 95_000}
    assert not wallet().frozen


def test_refund_and_dispute_together_owe_only_the_disputed():
    buy(bonus=0)
    spend(FACE)

    assert reverse(1000, 8500).debt_millitokens == 85_000


def test_what_holds_need_is_not_taken():
    buy(bonus=0)
    held = hold(30_000)

    result = reverse(PAID)

    assert result.paid_millitokens == 70_000
    assert wallet().posted_millitokens == wallet().held_millitokens == 30_000
    ledger.release_holds([held], now=NOW)
    assert reverse(PAID).paid_millitokens == FACE


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
    buy(bonus=0, scope="modality:chat")
    grant(10)
    grant(10, unit="test")
    grant(10, owner=GLOBEX)
    [held] = ledger.place_holds([_scoped(FACE)], now=NOW)
    capture(held.hold_id, FACE)

    reverse(0, PAID)

    assert wallet().frozen
    assert wallet(scope="modality:chat").frozen
    assert not wallet(unit="test").frozen
    assert not wallet(owner=GLOBEX).frozen


def _scoped(amount: int) -> ledger.HoldRequest:
    return ask(amount, scopes=("modality:chat",))


def test_a_wallet_that_is_made_for_a_debtor_is_frozen():
    buy(bonus=0)
    spend(FACE)
    reverse(0, PAID)

    grant(10, scope="modality:chat")

    assert wallet(scope="modality:chat").frozen
    audit()


def test_a_restored_lot_that_has_expired_expires_again():
    buy(bonus=0, expires_at=NOW + timedelta(days=1))
    reverse(0, PAID)

    late = NOW + timedelta(days=2)
    reverse(0, now=late)
    ledger.expire_lots(now=late)

    audit()
    assert wallet().posted_millitokens == 0
    assert balance("breakage") == FACE


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

    with pytest.raises(ValueError, match="more is settled"):
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


@pytest.mark.parametrize("reference", ["order:ord_2", ORDER])
def test_what_was_not_bought_is_not_taken_back(reference):
    grant(10, reference=ORDER)  # given, without money
    before = read_books()

    with pytest.raises(ledger.UnknownPurchase):
        reverse(1, reference=reference)
    with pytest.raises(ValueError, match="not negative"):
        reverse(-1)

    assert read_books() == before


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


_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("spend"), st.integers(1, 60_000)),
        st.tuples(st.just("hold"), st.integers(1, 60_000)),
        st.tuples(st.just("release"), st.just(0)),
        st.tuples(st.just("refunded"), st.integers(0, PAID)),
        st.tuples(st.just("charged_back"), st.integers(0, PAID)),
        st.tuples(st.just("other"), st.integers(1, 5_000)),
    ),
    max_size=14,
)


class TestAnyHistory(TestCase):
    @settings(max_examples=60, deadline=None)
    @given(steps=_STEPS, face=st.integers(1, FACE), share=st.integers(1, 100), bonus=st.booleans())
    # A paid token that comes back makes room for one more of the bonus.
    @example(steps=[("hold", 3), ("refunded", 3167), ("refunded", 1)], face=3, share=1, bonus=True)
    def test_the_books_follow_the_totals(self, steps, face, share, bonus):
        """Whatever happened before: clearing has given back exactly what the money says, no more
        than was granted was taken, and asking again changes nothing."""
        worth = max(1, face * share // 100)
        buy(face=face, worth=worth, bonus=BONUS if bonus else 0)
        totals = {"refunded": 0, "charged_back": 0}
        holds: list[str] = []
        others = 0
        for step, amount in steps:
            if step in totals:
                totals[step] = amount
            elif step == "other":
                grant(amount)
                others += amount
            elif step == "release":
                ledger.release_holds([holds.pop()] if holds else [], now=NOW)
            else:
                placed = place(amount)
                if placed.outcome == "held" and step == "spend":
                    capture(placed.hold_id, amount)
                elif placed.outcome == "held":
                    holds.append(placed.hold_id)
            result = reverse(**totals)
            total = min(PAID, sum(totals.values()))
            target = face * total // PAID
            assert -balance("clearing", "sandbox") == worth - worth * target // face + others
            assert 0 <= result.paid_millitokens <= target
            assert result.bonus_millitokens <= BONUS
            assert wallet().frozen == bool(result.debt_millitokens)
            assert not totals["charged_back"] <= 0 < result.debt_millitokens
            before = read_books()
            assert not reverse(**totals).created
            assert read_books() == before
        reverse(0, 0)
        assert moved() == {}
        assert not wallet().frozen
