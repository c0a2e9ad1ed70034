"""Every check finds the drift that is injected here, acts on it when seen twice, and a healthy
book raises nothing. Clones of the database, since the snapshot reads what is committed."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from accounts.models import Organisation, User
from accounts.services import SYSTEM_ACTOR
from marketplace.catalog.models import Service
from marketplace.ledger.models import Entry, Hold, Lot, Wallet
from marketplace.ledger.selectors import get_balance
from marketplace.metering import services as metering
from marketplace.metering.models import Call
from marketplace.reconciliation import services
from marketplace.reconciliation.models import Finding, FindingState
from portal.kernel.clock import utc_now
from tests.market import give_tokens, open_call
from tests.reconciliation.book import (
    change_first_charge,
    grant,
    inject,
    raise_held,
    raise_posted,
    run_twice,
)

pytest_plugins = ["tests.partners.fixtures", "tests.reconciliation.fixtures"]
pytestmark = pytest.mark.usefixtures("committed_db")


def test_a_healthy_book_raises_nothing(book: Wallet) -> None:
    run = run_twice()
    assert not Finding.objects.exists()
    assert [row["differences"] for row in run.checks] == [0] * len(run.checks)
    assert run.error == ""


def _break_chain(wallet: Wallet) -> None:
    entry = Entry.objects.filter(wallet=wallet).order_by("wallet_seq")[1]
    inject(
        "UPDATE ledger_entry SET wallet_after_millitokens = wallet_after_millitokens + 1"
        " WHERE id = %s",
        entry.pk,
    )


def _lose_an_entry(wallet: Wallet) -> None:
    entry = Entry.objects.filter(wallet=wallet).order_by("wallet_seq")[1]
    inject("DELETE FROM ledger_entry WHERE id = %s", entry.pk)


def _skip_a_number(wallet: Wallet) -> None:
    inject("UPDATE ledger_wallet SET seq = seq + 1 WHERE id = %s", wallet.pk)


def _forget_a_reservation(wallet: Wallet) -> None:
    inject("UPDATE ledger_wallet SET held_millitokens = 0 WHERE id = %s", wallet.pk)


def _shrink_a_lot(wallet: Wallet) -> None:
    inject(
        "UPDATE ledger_lot SET remaining_millitokens = remaining_millitokens - 1"
        " WHERE wallet_id = %s",
        wallet.pk,
    )


def _charge_less_than_captured(_wallet: Wallet) -> None:
    change_first_charge(by=-1)


@pytest.mark.parametrize(
    ("number", "drift"),
    [
        (1, raise_posted),
        (2, _break_chain),
        (2, _lose_an_entry),
        (2, _skip_a_number),
        (3, _forget_a_reservation),
        (4, _shrink_a_lot),
        (9, _charge_less_than_captured),
    ],
)
def test_a_drift_is_found_and_the_wallet_frozen(
    book: Wallet, key: str, rhine_service: Service, number: int, drift: Callable[[Wallet], None]
) -> None:
    drift(book)
    services.reconcile_balances(trigger="command", now=utc_now())
    assert set(Finding.objects.values_list("state", flat=True)) == {FindingState.SUSPECTED}
    book.refresh_from_db()
    assert not book.frozen  # seen once: nothing is done yet

    services.reconcile_balances(trigger="command", now=utc_now())
    found = Finding.objects.filter(check_number=number)
    assert found
    assert all(finding.state == FindingState.OPEN for finding in found)
    assert all(finding.froze_wallet for finding in found)
    book.refresh_from_db()
    assert book.frozen
    with pytest.raises(AssertionError, match="wallet_frozen"):
        open_call(key, rhine_service)


def test_entries_that_join_two_units_are_found(book: Wallet, acme: Organisation) -> None:
    grant(acme, 1000, unit="test", reference="test-grant")
    inject(
        "UPDATE ledger_entry SET debit_account_id ="
        " (SELECT id FROM ledger_account WHERE kind = 'promotion' AND unit = 'test')"
        " WHERE id = (SELECT MIN(id) FROM ledger_entry)"
    )
    run_twice()
    subjects = set(Finding.objects.filter(check_number=5).values_list("subject", flat=True))
    assert {"unit:live", "unit:test"} < subjects
    assert any(subject.startswith("entry:") for subject in subjects)


def test_an_empty_transaction_is_found(book: Wallet) -> None:
    entry = Entry.objects.filter(wallet=book).order_by("wallet_seq")[1]
    inject("DELETE FROM ledger_entry WHERE transaction_id = %s", entry.transaction_id)
    run_twice()
    assert Finding.objects.filter(
        check_number=5, subject=f"transaction:{entry.transaction.public_id}"
    ).exists()


def test_a_stray_reservation_is_freed(book: Wallet) -> None:
    held = book.held_millitokens
    raise_held(book)
    run_twice()
    book.refresh_from_db()
    assert book.held_millitokens == held
    assert not book.frozen
    finding = Finding.objects.get()
    assert (finding.check_number, finding.state) == (3, FindingState.RESOLVED)
    assert "77" in finding.note


def test_an_overdue_hold_is_expired_and_its_call_lost(book: Wallet) -> None:
    call = Call.objects.get(status="open")
    inject("UPDATE ledger_hold SET expires_at = %s WHERE state = 'pending'", _long_ago())
    run_twice()
    book.refresh_from_db()
    call.refresh_from_db()
    assert book.held_millitokens == 0
    assert (call.status, call.cost_millitokens) == ("lost", 0)
    assert Hold.objects.filter(state="pending").count() == 0
    assert Finding.objects.get(check_number=6).state == FindingState.RESOLVED


def test_an_overdue_lot_goes_to_breakage(acme: Organisation, book: Wallet) -> None:
    make_lot = give_tokens(acme, 5000, reference="short")
    inject("UPDATE ledger_lot SET expires_at = %s WHERE id = %s", _long_ago(), make_lot.pk)
    inject("UPDATE ledger_wallet SET next_expiry_at = %s WHERE id = %s", _long_ago(), book.pk)
    before = get_balance(owner_key=acme.public_id, unit="live").posted
    run_twice()
    assert get_balance(owner_key=acme.public_id, unit="live").posted == before - 5000
    assert Lot.objects.get(pk=make_lot.pk).remaining_millitokens == 0
    assert Finding.objects.get(check_number=7).state == FindingState.RESOLVED
    assert run_twice().equation["live"]["gap"] == "0"


def _long_ago() -> datetime:
    return utc_now() - timedelta(hours=1)


def test_lost_calls_are_told_once_per_service_and_day(book: Wallet, sam: User) -> None:
    inject("UPDATE ledger_hold SET expires_at = %s WHERE state = 'pending'", _long_ago())
    metering.sweep_open_calls(now=utc_now())
    run_twice()
    finding = Finding.objects.get(check_number=22)
    assert (finding.state, finding.froze_wallet) == (FindingState.OPEN, False)
    assert finding.detail["reason"] == "lost"
    assert finding.detail["calls"] == 1
    services.resolve_finding(
        finding=finding, note="The process was killed.", user=sam, actor=SYSTEM_ACTOR, now=utc_now()
    )
    run_twice()
    assert Finding.objects.filter(check_number=22).count() == 1


def test_what_is_seen_once_only_is_forgotten(book: Wallet) -> None:
    raise_posted(book)
    services.reconcile_balances(trigger="command", now=utc_now())
    assert Finding.objects.filter(state=FindingState.SUSPECTED).exists()
    raise_posted(book, by=-5)
    services.reconcile_balances(trigger="command", now=utc_now())
    assert not Finding.objects.exists()
