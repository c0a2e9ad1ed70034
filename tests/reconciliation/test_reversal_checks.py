"""Check 17: refunds and disputes on one side only. Each drift is injected and seen twice; a shop in
which money went back in every honest way raises nothing but the debts that stand."""

from datetime import timedelta
from typing import Any

import pytest

from accounts.models import Organisation, User
from marketplace.billing import services as billing
from marketplace.billing.models import Order, Pack, Refund, SandboxEvent
from marketplace.billing.sandbox import reversing as sandbox
from marketplace.ledger import selectors, tasks
from marketplace.ledger import services as ledger
from marketplace.ledger.models import Wallet
from marketplace.reconciliation import services
from marketplace.reconciliation.models import Finding, FindingState
from portal.kernel.clock import utc_now
from tests.billing.money_back import approve, ask, buy, decline, send, settle, spend
from tests.billing.processors import SandboxProcessor, deliver
from tests.billing.shop import MILLION, balance_of, make_pack
from tests.ledger.auditor import audit
from tests.reconciliation.book import inject

pytestmark = pytest.mark.usefixtures("committed_db")
PROCESSOR = SandboxProcessor()


@pytest.fixture
def pack(committed_db: Any, acme: Organisation) -> Pack:
    return make_pack()


@pytest.fixture
def order(acme: Organisation, pack: Pack) -> Order:
    return buy(acme, pack, PROCESSOR)


@pytest.fixture
def refunded(order: Order) -> Order:
    """$9.50 of it have gone back."""
    deliver(PROCESSOR, *PROCESSOR.refund(session_of(order), 950))
    order.refresh_from_db()
    return order


def session_of(order: Order) -> str:
    return order.provider_session_id or ""


def run(times: int = 2) -> None:
    now = utc_now() + timedelta(minutes=3)
    for _ in range(times):
        services.reconcile_balances(trigger="command", now=now)
        now += timedelta(minutes=5)


def open_findings() -> list[tuple[int, str]]:
    """Of all checks: a drift of money that went back must not look like another one."""
    return sorted(
        Finding.objects.filter(state=FindingState.OPEN).values_list("check_number", "subject")
    )


def repaired() -> list[str]:
    return sorted(
        Finding.objects.filter(check_number=17, state=FindingState.RESOLVED).values_list(
            "subject", flat=True
        )
    )


def test_every_honest_way_raises_nothing(
    acme: Organisation, globex: Organisation, pack: Pack, sam: User
) -> None:
    won, lost, asked, declined, done = (
        buy(acme, pack, PROCESSOR, key=f"form-{number}") for number in range(5)
    )
    deliver(PROCESSOR, *PROCESSOR.dispute(session_of(won)))
    deliver(PROCESSOR, *PROCESSOR.end_dispute(session_of(won), won=True))
    deliver(PROCESSOR, *PROCESSOR.refund(session_of(won), 333))
    deliver(PROCESSOR, *PROCESSOR.dispute(session_of(lost)))
    deliver(PROCESSOR, *PROCESSOR.end_dispute(session_of(lost), won=False))
    ask(asked, expected=9500)
    decline(ask(declined, expected=9500), sam)
    request = ask(done, expected=9500)
    approve(request, sam)
    send(request)
    deliver(PROCESSOR, *PROCESSOR.fail_refund(Refund.objects.get(request=request).refund_id))
    owing = buy(globex, pack, PROCESSOR, key="form-9")
    spend(globex, 80 * MILLION)
    deliver(PROCESSOR, *PROCESSOR.dispute(session_of(owing)))
    by_hand = buy(acme, pack, PROCESSOR, key="form-10")
    spend(acme, 200 * MILLION)
    deliver(PROCESSOR, *PROCESSOR.refund(session_of(by_hand), 9500))
    tasks.seal_entries()
    # The calls that spent were nobody's, and the book says so; money back adds nothing to that.
    run()

    numbers = {number for number, _subject in open_findings()}
    assert (17, f"debt:live:{globex.public_id}") in open_findings()
    assert [one for one in open_findings() if one[0] == 17] == [
        (17, f"debt:live:{globex.public_id}")
    ]
    assert numbers.isdisjoint({1, 2, 3, 4, 5, 14, 15, 16})
    assert not repaired()
    audit()


def test_a_refund_that_nobody_told_us_about(acme: Organisation, order: Order) -> None:
    PROCESSOR.refund(session_of(order), 950)
    SandboxEvent.objects.update(delivered_at=utc_now())

    run()

    order.refresh_from_db()
    assert (order.status, order.reversed_minor) == ("partially_reversed", 950)
    assert balance_of(acme) == 90 * MILLION
    assert repaired() == [f"provider:{order.public_id}"]
    run()
    assert open_findings() == []


def test_one_that_is_not_final_is_for_a_person(acme: Organisation, order: Order) -> None:
    sandbox.refund(session_id=session_of(order), amount_minor=950, state="pending", now=utc_now())
    SandboxEvent.objects.update(delivered_at=utc_now())

    run()

    assert open_findings() == [(17, f"provider:{order.public_id}")]
    order.refresh_from_db()
    assert order.status == "paid"


def test_a_refund_that_the_provider_does_not_know(acme: Organisation, refunded: Order) -> None:
    Refund.objects.create(order=refunded, refund_id="re_made_up", amount_minor=5, state="succeeded")

    run()

    assert (17, f"provider:{refunded.public_id}") in open_findings()


def test_a_row_that_is_gone_comes_back_from_the_provider(refunded: Order) -> None:
    inject("DELETE FROM billing_refund")

    run()
    run()

    assert Refund.objects.get().amount_minor == 950
    assert open_findings() == []
    assert settle(refunded).reversed_minor == 950


@pytest.mark.parametrize(
    "change",
    ["reversed_minor = 0", "reversed_minor = 9500", "status = 'paid'", "status = 'reversed'"],
)
def test_an_order_that_says_otherwise_follows(
    acme: Organisation, refunded: Order, change: str
) -> None:
    inject(f"UPDATE billing_order SET {change}")  # noqa: S608 (the test's own)

    run()

    refunded.refresh_from_db()
    assert (refunded.status, refunded.reversed_minor) == ("partially_reversed", 950)
    assert repaired() == [f"order:{refunded.public_id}"]
    assert balance_of(acme) == 90 * MILLION


def test_tokens_that_were_taken_for_nothing_come_back(acme: Organisation, order: Order) -> None:
    ledger.reverse_purchase(reference=order.reference, refunded_minor=9500, now=utc_now())

    run()

    assert balance_of(acme) == 105 * MILLION
    assert repaired() == [f"order:{order.public_id}"]
    audit()


def test_a_debt_for_nothing_is_lifted(acme: Organisation, order: Order) -> None:
    spend(acme, 105 * MILLION)
    ledger.reverse_purchase(
        reference=order.reference, refunded_minor=0, charged_back_minor=9500, now=utc_now()
    )

    run()
    run()

    assert selectors.get_debt(owner_key=acme.public_id, unit="live") == 0
    assert f"order:{order.public_id}" in repaired()
    assert not selectors.list_freezes(owner_key=acme.public_id, unit="live").filter(reason="debt")


def test_a_reversal_without_an_order(acme: Organisation, refunded: Order) -> None:
    inject("UPDATE ledger_transaction SET reference = 'order:ord_x' WHERE kind = 'refund'")

    run()

    subjects = [subject for number, subject in open_findings() if number == 17]
    assert any(subject.startswith("transaction:txn_") for subject in subjects)


@pytest.mark.parametrize("owes", [True, False])
def test_freezes_fit_debts(acme: Organisation, order: Order, owes: bool) -> None:
    wallet = Wallet.objects.get(owner_key=acme.public_id, unit="live")
    if owes:
        spend(acme, 105 * MILLION)
        deliver(PROCESSOR, *PROCESSOR.dispute(session_of(order)))
        inject("DELETE FROM ledger_freeze WHERE reason = 'debt'")
        inject("UPDATE ledger_wallet SET frozen = %s", False)
    else:
        ledger.freeze_wallet(wallet_pk=wallet.pk, reason="debt", now=utc_now())

    run()

    assert wallet.freezes.filter(reason="debt").exists() is owes
    assert f"debtor:live:{acme.public_id}" in repaired()


def test_a_provider_that_is_away_accuses_nobody(
    order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    from marketplace.billing.payment_provider import PaymentsUnavailable
    from marketplace.billing.sandbox.adapter import SandboxProvider

    PROCESSOR.refund(session_of(order), 950)
    SandboxEvent.objects.update(delivered_at=utc_now())

    def away(*_: object) -> None:
        raise PaymentsUnavailable

    monkeypatch.setattr(SandboxProvider, "retrieve_money_back", away)

    run()

    assert [one for one in open_findings() if one[0] == 17] == []
    assert list(billing.find_reversals_apart(now=utc_now())) == []
