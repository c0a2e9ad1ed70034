"""Check 18: what went right, or rights itself, raises nothing, at either provider."""

from datetime import timedelta
from typing import Any

import pytest

from accounts.models import Organisation, User
from marketplace.billing import services as billing
from marketplace.billing.models import (
    Attempt,
    MoneyMovement,
    Order,
    Pack,
    Refund,
    StrayPayment,
)
from marketplace.ledger.models import Wallet
from marketplace.reconciliation.models import FindingState
from portal.kernel.clock import utc_now
from tests.billing import top_ups
from tests.billing.money_back import approve, ask, buy, send, settle
from tests.billing.processors import (
    Processor,
    SandboxProcessor,
    StripeProcessor,
    deliver,
    stand_before_pay_page,
)
from tests.billing.shop import make_pack
from tests.fakes.stripe_server import FakeStripe
from tests.reconciliation.movements import (
    report_of,
    run,
    session_of,
    told,
)

pytest_plugins = [
    "tests.billing.fixtures",
    "tests.partners.fixtures",
    "tests.reconciliation.fixtures",
]
pytestmark = pytest.mark.usefixtures("committed_db")


@pytest.fixture
def pack(committed_db: Any, acme: Organisation) -> Pack:
    return make_pack()


def buy_and_reverse_in_every_way(
    processor: Processor, acme: Organisation, globex: Organisation, pack: Pack, sam: User
) -> None:
    plain, won, lost, failed, asked = (
        buy(acme, pack, processor, key=f"form-{number}") for number in range(5)
    )
    yen = buy(acme, pack, processor, key="yen", currency="JPY", quantity=2)
    deliver(processor, *processor.refund(session_of(plain), 950))
    deliver(processor, *processor.refund(session_of(plain), 50))
    deliver(processor, *processor.refund(session_of(yen), 29_000))
    deliver(processor, *processor.dispute(session_of(won)))
    deliver(processor, *processor.end_dispute(session_of(won), won=True))
    deliver(processor, *processor.dispute(session_of(lost)))
    deliver(processor, *processor.end_dispute(session_of(lost), won=False))
    deliver(processor, *processor.refund(session_of(failed), 700))
    deliver(processor, *processor.fail_refund(Refund.objects.get(order=failed).refund_id))
    request = ask(asked, expected=9500)
    approve(request, sam)
    send(request)
    _later, session = stand_before_pay_page(acme, pack, key="later")
    deliver(processor, *processor.pay_later(session))
    deliver(processor, *processor.receive_money(session))
    stand_before_pay_page(acme, pack, key="left open")
    top_ups.agree(globex, pack, processor)
    assert top_ups.run() == 1


def test_what_went_right_raises_nothing(
    processor: Processor, acme: Organisation, globex: Organisation, pack: Pack, sam: User
) -> None:
    buy_and_reverse_in_every_way(processor, acme, globex, pack, sam)

    last = run()

    assert told() == told(FindingState.SUSPECTED) == []
    assert report_of(last) | {"milliseconds": 0} == {
        "number": 18, "examined": 17, "differences": 0, "milliseconds": 0,
    }  # fmt: skip
    net = sum(MoneyMovement.objects.filter(currency="USD").values_list("amount_minor", flat=True))
    kept = Order.objects.filter(currency="USD", paid_at__isnull=False)
    assert net == sum(order.amount_minor - order.reversed_minor for order in kept)


def test_a_busy_healthy_book_raises_nothing(busy: Wallet) -> None:
    run()

    assert told() == told(FindingState.SUSPECTED) == []
    assert MoneyMovement.objects.count() == 2


def test_an_account_in_another_currency(
    fake_stripe: FakeStripe, acme: Organisation, globex: Organisation, pack: Pack, sam: User
) -> None:
    fake_stripe.account.balance.currency = "eur"

    buy_and_reverse_in_every_way(StripeProcessor(fake_stripe), acme, globex, pack, sam)
    run()

    assert told() == []
    first = MoneyMovement.objects.order_by("id")[0]
    assert (first.amount_minor, first.currency) == (9500, "USD")
    assert (first.gross_minor, first.fee_minor, first.account_currency) == (10_450, 305, "EUR")


def test_a_second_payment_is_expected_and_may_be_given_back(acme: Organisation, pack: Pack) -> None:
    """Check 15 tells of it; here it only has to be what we remember of it."""
    processor = SandboxProcessor()
    order, first = stand_before_pay_page(acme, pack)
    Attempt.objects.update(state="closed")
    Order.objects.update(status="failed")
    order.refresh_from_db()
    billing.open_payment(order=order, now=utc_now())
    order.refresh_from_db()
    deliver(processor, *processor.pay(session_of(order)))
    deliver(processor, *processor.pay(first))
    assert StrayPayment.objects.get().session_id == first
    run()
    processor.refund(first, 9500)
    run(after=timedelta(hours=4))
    assert told() == []
    StrayPayment.objects.update(amount_minor=9400)
    run(after=timedelta(hours=6))
    [(kind, detail)] = told()
    assert (kind, detail["provider_took_minor"], detail["booked_minor"]) == (
        "payment",
        "9500",
        "9400",
    )


def test_a_refund_that_nobody_told_us_about_mends_itself(acme: Organisation, pack: Pack) -> None:
    """Check 17 follows the provider's word long before; nothing is left for a person."""
    processor = SandboxProcessor()
    order = buy(acme, pack, processor)
    processor.refund(session_of(order), 950)

    run(after=timedelta(minutes=3))
    run()

    assert settle(order).reversed_minor == 950
    assert told() == []
