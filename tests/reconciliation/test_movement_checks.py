"""Check 18: the payment providers' accounts against what we booked. Each kind of difference is made
at one side only and seen; what went right raises nothing, at either provider."""

from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse

from accounts.models import Organisation, User
from marketplace.billing import services as billing
from marketplace.billing.models import (
    Attempt,
    MoneyMovement,
    Order,
    Pack,
    Refund,
    SandboxRefund,
    StrayPayment,
)
from marketplace.ledger.models import Wallet
from marketplace.reconciliation.models import Finding, FindingState
from portal.kernel.clock import utc_now
from portal.ops.records import link_reference
from tests.billing import top_ups
from tests.billing.money_back import approve, ask, buy, send, settle
from tests.billing.processors import (
    Processor,
    SandboxProcessor,
    StripeProcessor,
    deliver,
    stand_before_pay_page,
)
from tests.billing.shop import MILLION, make_pack
from tests.fakes.stripe_server import FakeStripe
from tests.reconciliation.book import inject
from tests.reconciliation.movements import (
    decide,
    forget_charges,
    forget_orders,
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


def test_a_payment_that_we_know_nothing_of(
    processor: Processor, acme: Organisation, pack: Pack, sam: User
) -> None:
    """Too long ago for check 15, and its events are gone. What was given back of it counts."""
    _order, session = stand_before_pay_page(acme, pack)
    processor.pay(session)
    processor.refund(session, 500)
    processor.forget_events()
    forget_orders()

    run(1)
    assert told() == []
    run(1, after=timedelta(hours=3))

    [(kind, detail)] = told()
    assert (kind, detail["provider_took_minor"], detail["provider_keeps_minor"]) == (
        "payment",
        "9500",
        "9000",
    )
    assert detail["booked_minor"] is None
    finding = Finding.objects.get(check_number=18)
    lines = f"{reverse('admin:billing_moneymovement_changelist')}?q={finding.subject.split(':')[2]}"
    assert link_reference(finding.subject) == lines
    decide(sam)
    run(after=timedelta(hours=4))
    assert told() == []


def test_a_payment_that_was_given_back_whole_is_nobodys(acme: Organisation, pack: Pack) -> None:
    processor = SandboxProcessor()
    _order, session = stand_before_pay_page(acme, pack)
    processor.pay(session)
    processor.refund(session, 9500)
    processor.forget_events()
    forget_orders()

    run()

    assert told() == []


def test_a_payment_of_another_amount_than_was_booked(acme: Organisation, pack: Pack) -> None:
    processor = SandboxProcessor()
    order = buy(acme, pack, processor)
    inject("UPDATE billing_order SET amount_minor = 9400")

    run()

    [(kind, detail)] = told()
    assert (kind, detail["provider_took_minor"], detail["booked_minor"]) == (
        "payment",
        "9500",
        "9400",
    )
    assert detail["order_id"] == order.public_id


def test_a_payment_in_another_currency_than_was_booked(acme: Organisation, pack: Pack) -> None:
    processor = SandboxProcessor()
    buy(acme, pack, processor)
    inject("UPDATE billing_order SET currency = 'EUR'")

    run()

    [(kind, detail)] = told()
    assert (kind, detail["provider_currency"], detail["booked_currency"]) == (
        "payment",
        "USD",
        "EUR",
    )


def test_a_refund_in_another_currency_than_was_paid(
    fake_stripe: FakeStripe, acme: Organisation, pack: Pack
) -> None:
    processor = StripeProcessor(fake_stripe)
    order = buy(acme, pack, processor)
    deliver(processor, *processor.refund(session_of(order), 950))
    line = fake_stripe.account.balance.lines[-1]
    line["currency"] = line["source"]["currency"] = "zar"

    run(1)

    (_payment, _taken), (_reversal, detail) = told(FindingState.SUSPECTED)
    assert (detail["provider_currency"], detail["booked_currency"]) == ("ZAR", "USD")


def test_a_purchase_that_the_provider_never_saw(
    processor: Processor, acme: Organisation, pack: Pack, sam: User
) -> None:
    """Made up with all that belongs to it, even the session. A refund of it is no payment."""
    order = buy(acme, pack, processor)
    deliver(processor, *processor.refund(session_of(order), 950))
    forget_charges(processor)

    run()

    [(kind, detail)] = told()
    assert (kind, detail["provider_took_minor"], detail["order_id"]) == (
        "payment",
        "0",
        order.public_id,
    )
    [finding] = Finding.objects.filter(check_number=18)
    assert finding.at_stake_millitokens == 95 * MILLION
    assert finding.wallet == Wallet.objects.get(owner_key=acme.public_id)
    assert not finding.froze_wallet
    decide(sam)
    run(after=timedelta(hours=4))
    assert told() == []


def test_a_refund_that_the_provider_never_made(acme: Organisation, pack: Pack, sam: User) -> None:
    processor = SandboxProcessor()
    order = buy(acme, pack, processor)
    Refund.objects.create(order=order, refund_id="re_made_up", amount_minor=5, state="succeeded")

    run()

    [(kind, detail)] = told()
    assert (kind, detail["provider_moved_minor"], detail["booked_minor"]) == ("reversal", "0", "-5")
    decide(sam)
    run(after=timedelta(hours=4))
    assert told() == []


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE billing_refund SET amount_minor = 940",
        "UPDATE billing_refund SET state = 'failed'",
        "DELETE FROM billing_refund",
    ],
)
def test_a_refund_that_we_say_otherwise(acme: Organisation, pack: Pack, change: str) -> None:
    """Found even when the provider's events of it are long gone."""
    processor = SandboxProcessor()
    order = buy(acme, pack, processor)
    deliver(processor, *processor.refund(session_of(order), 950))
    processor.forget_events()
    inject(change)

    run(1)

    [(kind, detail)] = told(FindingState.SUSPECTED)
    assert (kind, detail["provider_moved_minor"]) == ("reversal", "-950")
    assert detail["order_id"] == order.public_id


def test_a_refund_that_we_never_heard_of(acme: Organisation, pack: Pack, sam: User) -> None:
    """Staff decide it once; one that came to nothing needs no decision."""
    processor = SandboxProcessor()
    order, other = (buy(acme, pack, processor, key=key) for key in ("a", "b"))
    processor.refund(session_of(order), 950)
    processor.refund(session_of(other), 700)
    processor.fail_refund(SandboxRefund.objects.latest("pk").refund_id)
    processor.forget_events()

    run()

    assert [detail["order_id"] for _kind, detail in told()] == [order.public_id]
    decide(sam)
    run(after=timedelta(hours=4))
    assert told() == []


def test_a_stray_payment_that_the_provider_never_saw(acme: Organisation, pack: Pack) -> None:
    """Money in suspense that is not there."""
    buy(acme, pack, SandboxProcessor())
    StrayPayment.objects.create(
        provider="sandbox", payment_id="made_up", session_id="made_up", kind="unmatched",
        amount_minor=5, currency="USD", suspense_millitokens=50,
    )  # fmt: skip

    run(1)

    [(kind, detail)] = told(FindingState.SUSPECTED)
    assert (kind, detail["provider_took_minor"], detail["booked_minor"]) == ("payment", "0", "5")


def test_a_dispute_that_we_believe_won(acme: Organisation, pack: Pack) -> None:
    processor = SandboxProcessor()
    order = buy(acme, pack, processor)
    deliver(processor, *processor.dispute(session_of(order)))
    inject("UPDATE billing_dispute SET state = 'won'")

    run(1)

    [(kind, detail)] = told(FindingState.SUSPECTED)
    assert (kind, detail["provider_moved_minor"], detail["booked_minor"]) == (
        "reversal",
        "-9500",
        "0",
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


def test_a_charge_that_failed_after_all_is_told(
    fake_stripe: FakeStripe, acme: Organisation, pack: Pack
) -> None:
    """The bank took back what it had paid, without any dispute."""
    buy(acme, pack, StripeProcessor(fake_stripe))
    balance = fake_stripe.account.balance
    balance.note("charge_failure", balance.lines[0]["source"], -9500)

    run()

    [(kind, detail)] = told()
    assert (kind, detail["provider_took_minor"], detail["booked_minor"]) == ("payment", "0", "9500")


def test_a_line_of_no_payment_is_told_and_the_operators_own_are_not(
    fake_stripe: FakeStripe, acme: Organisation, pack: Pack, sam: User
) -> None:
    balance = fake_stripe.account.balance
    payout = {"id": "po_1", "object": "payout", "currency": "usd", "amount": 5000}
    balance.note("payout", payout, -5000)
    balance.note("fee", {"currency": "usd"}, -700)
    _order, session = stand_before_pay_page(acme, pack)
    processor = StripeProcessor(fake_stripe)
    processor.pay(session)
    processor.refund(session, 9500)
    balance.note("fee", balance.lines[-2]["source"], -30)
    processor.forget_events()
    forget_orders()
    balance.note("transfer", {**payout, "id": "tr_1", "object": "transfer"}, -300)

    run()

    [(kind, detail)] = told()
    assert (kind, detail["provider_moved_minor"], detail["source_id"]) == (
        "movement",
        "-300",
        "tr_1",
    )
    kinds = set(MoneyMovement.objects.values_list("kind", flat=True))
    assert kinds == {"own", "other", "charge", "refund"}
    decide(sam)
    run(after=timedelta(hours=4))
    assert told() == []
