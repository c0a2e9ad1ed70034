"""Check 18: what went back at one side only, or otherwise, is told."""

from datetime import timedelta
from typing import Any

import pytest

from accounts.models import Organisation, User
from marketplace.billing.models import (
    Pack,
    Refund,
    SandboxRefund,
)
from marketplace.reconciliation.models import FindingState
from tests.billing.money_back import buy
from tests.billing.processors import (
    SandboxProcessor,
    StripeProcessor,
    deliver,
)
from tests.billing.shop import make_pack
from tests.fakes.stripe_server import FakeStripe
from tests.reconciliation.book import inject
from tests.reconciliation.movements import (
    decide,
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


def test_a_refund_that_is_under_way_has_no_line_yet(acme: Organisation, pack: Pack) -> None:
    order = buy(acme, pack, SandboxProcessor())
    Refund.objects.create(order=order, refund_id="re_slow", amount_minor=5, state="pending")

    run()

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
