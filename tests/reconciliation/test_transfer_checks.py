"""Check 15 and 16 of bank transfers: what waits is reported, and what was forged is found."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.db.models import F

from accounts.models import Organisation, User
from accounts.services import SYSTEM_ACTOR
from marketplace.billing.models import BankTransfer, Order, Pack, StrayPayment
from marketplace.billing.providers import get_payment_provider
from marketplace.billing.services import crediting
from marketplace.ledger.models import Wallet
from marketplace.reconciliation import services
from marketplace.reconciliation.models import Finding, FindingState
from portal.kernel.clock import utc_now
from tests.billing.money_back import approve, ask, send
from tests.billing.shop import credited_once, make_pack
from tests.billing.transfers import match, open_transfer, receive

pytestmark = pytest.mark.usefixtures("committed_db")


@pytest.fixture
def pack(committed_db: Any, acme: Organisation) -> Pack:
    return make_pack()


def run_twice(*, after: int = 3) -> None:
    """So many minutes later, when webhooks and staff have had their time."""
    for minutes in (after, after + 5):
        services.reconcile_balances(trigger="command", now=utc_now() + timedelta(minutes=minutes))


def found() -> set[tuple[int, str, bool]]:
    """(check, first word of the subject, whether it froze) of open findings."""
    return {
        (finding.check_number, finding.subject.split(":")[0], finding.froze_wallet)
        for finding in Finding.objects.filter(state=FindingState.OPEN)
    }


def test_a_healthy_account_raises_nothing(acme: Organisation, pack: Pack, sam: User) -> None:
    """Paid at once and refunded, in parts, in yen that are worth no tokens; another waits."""
    order = open_transfer(acme, pack)
    match(receive(sam), order, sam)
    parts = open_transfer(acme, pack, key="parts")
    match(receive(sam, bank_id="B-2", amount_minor=500), parts, sam)
    match(receive(sam, bank_id="B-3", amount_minor=9000), parts, sam)
    yen = open_transfer(acme, pack, key="yen", currency="JPY")
    match(receive(sam, bank_id="B-4", amount_minor=4500, currency="JPY"), yen, sam)
    assert match(receive(sam, bank_id="B-5", amount_minor=10000, currency="JPY"), yen, sam)
    open_transfer(acme, pack, key="waits")
    order.refresh_from_db()
    request = ask(order, expected=9500)
    approve(request, sam)
    send(request)
    run_twice()
    assert not Finding.objects.exists(), list(Finding.objects.values("check_number", "detail"))


def test_what_waits_is_reported_once(acme: Organisation, pack: Pack, sam: User) -> None:
    order = open_transfer(acme, pack)
    match(receive(sam, amount_minor=9000), order, sam)
    receive(sam, bank_id="B-2", currency="EUR")
    run_twice()
    assert found() == {(15, "payment", False)}
    assert Finding.objects.count() == 2
    part = Finding.objects.get(detail__kind="part")
    assert part.detail["order_id"] == order.public_id
    match(receive(sam, bank_id="B-3", amount_minor=500), order, sam)
    services.resolve_finding(
        finding=part, note="Whole now.", user=sam, actor=SYSTEM_ACTOR, now=utc_now()
    )
    run_twice(after=20)
    assert Finding.objects.count() == 2


def test_more_than_it_costs_is_reported(acme: Organisation, pack: Pack, sam: User) -> None:
    order = open_transfer(acme, pack)
    match(receive(sam, amount_minor=9700), order, sam)
    assert credited_once(order)
    run_twice()
    assert found() == {(15, "payment", False)}


def test_an_order_that_nobody_transferred_is_found(
    acme: Organisation, pack: Pack, sam: User
) -> None:
    """Credited past the door; and matched to a transfer that was never recorded by it."""
    order = open_transfer(acme, pack)
    session = get_payment_provider("bank").retrieve_session(order.provider_session_id or "")
    with transaction.atomic():
        crediting.credit_order(order=order, session=session, now=utc_now())
    run_twice()
    assert found() == {(15, "order", True), (16, "order", True)}
    assert Wallet.objects.get(owner_key=acme.public_id).frozen


def test_a_transfer_that_was_changed_is_found(acme: Organisation, pack: Pack, sam: User) -> None:
    order = open_transfer(acme, pack)
    match(receive(sam), order, sam)
    BankTransfer.objects.update(amount_minor=F("amount_minor") + 1)
    run_twice()
    assert found() == {(15, "transfer", False)}


def test_a_transfer_that_was_slipped_in_is_found(acme: Organisation, pack: Pack, sam: User) -> None:
    order = open_transfer(acme, pack)
    match(receive(sam, amount_minor=1), order, sam)
    first = BankTransfer.objects.get()
    BankTransfer.objects.bulk_create(
        [
            BankTransfer(
                account=first.account,
                bank_id="forged",
                amount_minor=9499,
                currency="USD",
                value_date=first.value_date,
                recorded_by=sam,
                slip=first.slip,
                matched_by=sam,
                matched_at=utc_now(),
            )
        ]
    )
    match(first, order, sam)
    assert Order.objects.get().status == "paid"
    run_twice()
    assert found() == {(15, "transfer", False), (15, "order", True)}
    assert StrayPayment.objects.count() == 1
