"""Reading the payment providers' accounts for check 18: whole, once, and never taken for read."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine

from accounts.models import Organisation
from marketplace.billing import services as billing
from marketplace.billing.models import (
    MoneyMovement,
    MovementCursor,
    Pack,
    Refund,
    SandboxMovement,
)
from marketplace.billing.payment_provider import PaymentsUnavailable
from marketplace.billing.sandbox.adapter import SandboxProvider
from marketplace.billing.services import movements
from marketplace.billing.stripe.adapter import StripeProvider
from marketplace.ledger.models import Entry
from marketplace.reconciliation.models import FindingState, RunKind
from portal.kernel.clock import utc_now
from tests.billing.money_back import buy, spend
from tests.billing.processors import (
    SandboxProcessor,
    StripeProcessor,
    deliver,
    stand_before_pay_page,
)
from tests.billing.shop import MILLION, make_pack
from tests.fakes.stripe_server import FakeStripe
from tests.fakes.stripe_server_api import Fault
from tests.reconciliation.book import inject
from tests.reconciliation.movements import (
    report_of,
    run,
    session_of,
    told,
)

pytest_plugins = [
    "tests.billing.fixtures",
]
pytestmark = pytest.mark.usefixtures("committed_db")


@pytest.fixture
def pack(committed_db: Any, acme: Organisation) -> Pack:
    return make_pack()


@pytest.mark.parametrize("missing", ["amount", "reporting_category"])
def test_a_line_that_cannot_be_read_is_not_left_out(
    fake_stripe: FakeStripe, acme: Organisation, pack: Pack, missing: str
) -> None:
    buy(acme, pack, StripeProcessor(fake_stripe))
    del fake_stripe.account.balance.lines[0][missing]

    last = run(1)

    assert "AccountUnread: stripe" in report_of(last)["error"]
    assert not MovementCursor.objects.exists()


@pytest.mark.parametrize(
    ("name", "nonsense"), [("amount", 10**30), ("created", 10**18)], ids=["amount", "created"]
)
def test_a_line_that_cannot_be_kept_stops_no_other_providers_account(
    fake_stripe: FakeStripe,
    acme: Organisation,
    pack: Pack,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    nonsense: int,
) -> None:
    """Stripe is read first, and its line breaks the database or our own arithmetic."""
    buy(acme, pack, StripeProcessor(fake_stripe))
    fake_stripe.account.balance.lines[0][name] = nonsense
    both = [StripeProvider(), SandboxProvider()]
    monkeypatch.setattr(movements, "list_payment_providers", lambda: both)

    with pytest.raises(billing.AccountUnread, match="stripe") as unread:
        billing.read_movements(now=utc_now())

    assert "sandbox" not in str(unread.value)
    assert [cursor.provider for cursor in MovementCursor.objects.all()] == ["sandbox"]
    assert not MoneyMovement.objects.exists()


def test_what_moved_just_now_is_not_judged_yet(acme: Organisation, pack: Pack) -> None:
    """On neither side, and not by light runs: a dispute is won between two readings."""
    processor = SandboxProcessor()
    order, refunded = (buy(acme, pack, processor, key=key) for key in ("a", "b"))
    told_of = [*processor.dispute(session_of(order)), *processor.refund(session_of(refunded), 700)]
    _unheard_of, session = stand_before_pay_page(acme, pack, key="c")
    told_of += processor.pay(session)
    for minutes in (5, 10):
        run(1, after=timedelta(minutes=minutes))
        assert told() == told(FindingState.SUSPECTED) == []
    deliver(processor, *told_of)
    run()
    refund_id = Refund.objects.get().refund_id
    with time_machine.travel(utc_now() + timedelta(hours=4), tick=False):
        told_of = processor.end_dispute(session_of(order), won=True)
        told_of += processor.fail_refund(refund_id)
        run(1, after=timedelta(minutes=1))
        assert told() == told(FindingState.SUSPECTED) == []
        deliver(processor, *told_of)
    run(1, after=timedelta(hours=4, minutes=2), kind=RunKind.LIGHT)
    run(1, after=timedelta(hours=4, minutes=5))
    assert told() == told(FindingState.SUSPECTED) == []
    run(after=timedelta(hours=6))
    assert told() == told(FindingState.SUSPECTED) == []


def test_what_was_booked_just_now_may_have_its_line_later(
    acme: Organisation, pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The account was read before it moved, or does not show it yet."""
    processor = SandboxProcessor()
    order = buy(acme, pack, processor)
    deliver(processor, *processor.dispute(session_of(order)))
    monkeypatch.setattr(SandboxProvider, "list_movements", lambda *_, **__: [])

    run(1, after=timedelta(minutes=59))
    assert told() == told(FindingState.SUSPECTED) == []

    run(1, after=timedelta(minutes=62))
    assert len(told(FindingState.SUSPECTED)) == 2


def test_a_provider_that_does_not_show_its_account_is_not_called_all_right(
    acme: Organisation, pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was suspected before is neither confirmed nor forgotten, and the gap is read later."""
    processor = SandboxProcessor()
    order = buy(acme, pack, processor)
    run(1)
    Refund.objects.create(order=order, refund_id="re_made_up", amount_minor=5, state="succeeded")
    run(1, after=timedelta(hours=3))
    assert len(told(FindingState.SUSPECTED)) == 1
    until = MovementCursor.objects.get().read_until

    def away(*_: object, **__: object) -> None:
        raise PaymentsUnavailable

    with monkeypatch.context() as patched:
        patched.setattr(SandboxProvider, "list_movements", away)
        inject("DELETE FROM billing_refund")
        last = run(1, after=timedelta(hours=4))

    assert "sandbox (payments_unavailable)" in report_of(last)["error"]
    assert "check 18" in last.error
    assert MovementCursor.objects.get().read_until == until
    assert len(told(FindingState.SUSPECTED)) == 1
    assert run(1, after=timedelta(hours=5)).error == ""
    assert told(FindingState.SUSPECTED) == []


@pytest.mark.parametrize(
    "fault", [Fault.HTML_200_AFTER, Fault.RATE_LIMITED_BEFORE, Fault.KEY_REVOKED_BEFORE]
)
def test_an_account_that_stripe_does_not_show_moves_no_cursor(
    fake_stripe: FakeStripe, acme: Organisation, pack: Pack, fault: Fault
) -> None:
    buy(acme, pack, StripeProcessor(fake_stripe))
    fake_stripe.break_next(fault, times=3)
    with pytest.raises(billing.AccountUnread, match="stripe"):
        billing.read_movements(now=utc_now())
    assert not MovementCursor.objects.exists()
    assert not MoneyMovement.objects.exists()


def test_the_account_is_read_page_by_page_and_each_line_once(
    fake_stripe: FakeStripe, acme: Organisation, pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    processor = StripeProcessor(fake_stripe)
    order = buy(acme, pack, processor)
    for _ in range(5):
        processor.refund(session_of(order), 100)
    monkeypatch.setattr("marketplace.billing.stripe.adapter._PAGE", 2)

    assert billing.read_movements(now=utc_now()) == 6
    assert billing.read_movements(now=utc_now() + timedelta(hours=1)) == 0

    kinds = list(MoneyMovement.objects.order_by("id").values_list("kind", flat=True))
    assert kinds == ["charge"] + ["refund"] * 5
    assert MoneyMovement.objects.values("movement_id").distinct().count() == 6


def test_a_line_that_appears_late_is_read_and_the_cursor_never_goes_back(
    acme: Organisation, pack: Pack
) -> None:
    """It is dated before where the last reading ended; and a clock that is behind reads last."""
    buy(acme, pack, SandboxProcessor())
    later = utc_now() + timedelta(hours=12)
    assert billing.read_movements(now=later) == 1
    until = MovementCursor.objects.get().read_until
    line = SandboxMovement.objects.get()
    line.pk, line.movement_id, line.created_at = None, "late", until - timedelta(hours=11)
    line.save(force_insert=True)

    assert billing.read_movements(now=later - timedelta(minutes=30)) == 1

    assert MovementCursor.objects.get().read_until == until


def test_an_order_of_the_first_day_may_be_paid_by_an_older_payment(
    acme: Organisation, pack: Pack
) -> None:
    """Whose event came late: the order is judged, so its line must have been read."""
    processor = SandboxProcessor()
    with time_machine.travel(utc_now() - timedelta(days=31), tick=False) as clock:
        order, session = stand_before_pay_page(acme, pack)
        processor.pay(session)
        clock.shift(timedelta(days=2))
        assert billing.settle_order(order_public_id=order.public_id, now=utc_now())
    run()
    assert told() == told(FindingState.SUSPECTED) == []
    assert MoneyMovement.objects.count() == 1


def test_a_statement_that_began_later_accuses_no_older_order(
    acme: Organisation, pack: Pack
) -> None:
    """The first reading goes back thirty days; what is older cannot be judged, even if some of
    it was given back since."""
    processor = SandboxProcessor()
    with time_machine.travel(utc_now() - timedelta(days=45), tick=False):
        order, other = (buy(acme, pack, processor, key=key) for key in ("a", "b"))
        deliver(processor, *processor.refund(session_of(order), 700))
    with time_machine.travel(utc_now() - timedelta(days=2), tick=False):
        buy(acme, pack, processor, key="later")
        deliver(processor, *processor.fail_refund(Refund.objects.get().refund_id))
        deliver(processor, *processor.refund(session_of(other), 950))
    spend(acme, MILLION)
    run()
    assert told() == []
    assert MoneyMovement.objects.count() == 3
    assert Entry.objects.exists()
