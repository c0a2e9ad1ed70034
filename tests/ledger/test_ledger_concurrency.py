"""Many real processes on one database: exactly what there is, once, and no deadlock."""

from collections import Counter

from marketplace.ledger.models import Hold, Lot, Transaction
from tests.databases import CommittedDatabase
from tests.ledger import crowd
from tests.ledger.auditor import audit
from tests.ledger.cast import ACME, capture, grant, hold, remainders, wallet
from tests.ledger.crowd import run_crowd
from tests.ledger.purchases import (
    BONUS,
    FACE,
    ORDER,
    PAID,
    SCOPE,
    balance,
    buy,
    moved,
    reverse,
    spend,
)


def test_64_workers_drain_a_wallet_to_exactly_zero(committed_db: CommittedDatabase) -> None:
    grant(10_000)
    held = run_crowd(committed_db, crowd.drain, 64, amount=50)
    assert sum(held) == 200
    assert wallet().held_millitokens == wallet().posted_millitokens == 10_000
    assert Hold.objects.filter(state="declined").count() == 64
    audit()


def test_captures_over_their_holds_never_overdraw(committed_db: CommittedDatabase) -> None:
    grant(3000)
    captured = run_crowd(committed_db, crowd.drain_by_captures, 16, amount=43)
    assert wallet().held_millitokens == 0
    assert sum(captured) == 3000 - wallet().posted_millitokens
    assert wallet().posted_millitokens < 43
    audit()


def test_same_key_50_times_at_once_is_one_hold(committed_db: CommittedDatabase) -> None:
    grant(1000)
    results = run_crowd(committed_db, crowd.hold_same_key, 50)
    assert {outcome for outcome, _, _ in results} == {"held"}
    assert len({hold_id for _, hold_id, _ in results}) == 1
    assert Counter(replayed for _, _, replayed in results) == {True: 49, False: 1}
    assert wallet().held_millitokens == 10
    audit()


def test_same_purchase_20_times_at_once_is_one_lot(committed_db: CommittedDatabase) -> None:
    created = run_crowd(committed_db, crowd.grant_same_reference, 20)
    assert sum(created) == 1
    assert remainders() == {"order:the-same": 1000}
    audit()


def test_capture_against_release(committed_db: CommittedDatabase) -> None:
    grant(1000)
    hold_ids = [hold(20) for _ in range(25)]
    won = run_crowd(committed_db, crowd.race_for_holds, 6, hold_ids=hold_ids, against="release")
    winners = Counter(word.split()[1] for words in won for word in words)
    assert winners == dict.fromkeys(hold_ids, 1)
    captures = Hold.objects.filter(state="captured").count()
    assert wallet().posted_millitokens == 1000 - 10 * captures
    assert wallet().held_millitokens == 0
    audit()


def test_capture_against_the_sweeper_at_the_very_instant(committed_db: CommittedDatabase) -> None:
    grant(1000)
    hold_ids = [hold(20) for _ in range(25)]
    won = run_crowd(committed_db, crowd.race_for_holds, 6, hold_ids=hold_ids, against="sweeper")
    words = [word.split() for words in won for word in words]
    captured = Counter(hold_id for what, hold_id in words if what == "capture")
    # A hold that the sweeper got first is captured late, from what is spendable.
    assert captured == dict.fromkeys(hold_ids, 1)
    assert Transaction.objects.filter(kind="capture").count() == 25
    assert wallet().posted_millitokens == 750
    assert wallet().held_millitokens == 0
    audit()


def test_reversals_at_once_never_give_back_more_than_was_taken(
    committed_db: CommittedDatabase,
) -> None:
    grant(1000)
    charged = capture(hold(1000), 1000)  # 900 to the provider
    answers = run_crowd(
        committed_db,
        crowd.reverse_a_part,
        16,
        transaction_id=charged.transaction_id,
        amount=250,
        key="reversal {number}",
    )
    assert Counter(answers) == {"created": 3, "refused": 13}
    assert wallet().posted_millitokens == remainders()[Lot.objects.get().reference] == 750
    audit()


def test_same_reversal_20_times_at_once_is_one(committed_db: CommittedDatabase) -> None:
    grant(1000)
    charged = capture(hold(1000), 1000)
    answers = run_crowd(
        committed_db,
        crowd.reverse_a_part,
        20,
        transaction_id=charged.transaction_id,
        amount=10,
        key="the same",
    )
    assert Counter(answers) == {"created": 1, "known": 19}
    assert wallet().posted_millitokens == 10
    audit()


def test_same_charge_back_20_times_at_once_is_taken_once(committed_db: CommittedDatabase) -> None:
    buy()
    spend(FACE)  # all of the bonus among it, which is given before what is paid
    created = run_crowd(committed_db, crowd.take_back, 20)
    assert sum(created) == 1
    assert Transaction.objects.filter(kind="chargeback").count() == 1
    assert (wallet().posted_millitokens, balance("clearing", "sandbox")) == (0, 0)
    assert balance("receivable", ACME) == -90_250
    audit()


def test_refunds_charge_backs_and_calls_at_once_end_as_the_last_totals_say(
    committed_db: CommittedDatabase,
) -> None:
    grant(20_000)
    buy(scope=SCOPE)
    spent = run_crowd(committed_db, crowd.take_back_or_spend, 9, turns=12)
    audit()
    assert sum(spent) > 0
    assert Transaction.objects.filter(reference=ORDER, kind="reversal").exists()
    reverse(0, PAID)
    assert balance("clearing", "sandbox") == -20_000
    assert wallet(scope=SCOPE).posted_millitokens == 0
    assert wallet().frozen == wallet(scope=SCOPE).frozen == (balance("receivable", ACME) < 0)
    reverse(0, 0)
    assert moved() == {}
    assert not wallet().frozen
    assert wallet().posted_millitokens + wallet(scope=SCOPE).posted_millitokens == (
        20_000 + FACE + BONUS - sum(spent)
    )


def test_freezes_at_once_leave_the_wallet_as_its_reasons_say(
    committed_db: CommittedDatabase,
) -> None:
    grant(1000)
    put = run_crowd(committed_db, crowd.freeze_and_lift, 8, wallet_pk=wallet().pk, turns=6)
    assert sum(put) >= 1
    assert not wallet().frozen
    audit()


def test_anything_at_once_balances_and_never_deadlocks(committed_db: CommittedDatabase) -> None:
    for number in range(4):
        grant(1500, owner=f"org_{number}", days=-1 if number == 3 else None)
        grant(300, owner=f"org_{number}", scope="service:1")
    run_crowd(committed_db, crowd.mix, 8, turns=15)
    assert Lot.objects.filter(remaining_millitokens__gt=0).exists()
    audit()
