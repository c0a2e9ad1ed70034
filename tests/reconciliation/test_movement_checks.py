"""Check 18: payments, and lines of none, at one side only are told."""

from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse

from accounts.models import Organisation, User
from marketplace.billing.models import (
    MoneyMovement,
    Pack,
    StrayPayment,
)
from marketplace.ledger.models import Wallet
from marketplace.reconciliation.models import Finding, FindingState
from portal.ops.records import link_reference
from tests.billing.money_back import buy
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
