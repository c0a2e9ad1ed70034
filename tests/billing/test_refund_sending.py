"""Approved refunds on the money's way back, through either provider."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine

from accounts.models import Organisation, User
from marketplace.billing import services
from marketplace.billing.models import Order, Pack, Refund, RefundRequest
from marketplace.billing.payment_provider import PaymentOutcomeUnknown, PaymentRefused
from marketplace.billing.sandbox import reversing as sandbox
from portal.kernel.clock import utc_now
from tests.billing.money_back import (
    approve,
    ask,
    buy,
    everything,
    send,
    settle,
)
from tests.billing.processors import Processor, SandboxProcessor, deliver
from tests.billing.shop import MILLION, balance_of, lots_of
from tests.ledger.auditor import audit

pytestmark = pytest.mark.django_db


@pytest.fixture
def order(acme: Organisation, team_pack: Pack) -> Order:
    """Paid through the sandbox."""
    return buy(acme, team_pack, SandboxProcessor())


def test_the_provider_refuses_for_good(acme: Organisation, order: Order, sam: User) -> None:
    """Somebody refunded by hand meanwhile: the tokens of what did not go back return."""
    request = ask(order, expected=9500)
    approve(request, sam)
    sandbox.refund(session_id=order.provider_session_id or "", amount_minor=500, now=utc_now())

    assert send(request).state == "failed"
    settle(order)

    assert request.failure_code == "refund_too_large"
    assert (order.status, order.reversed_minor) == ("partially_reversed", 500)
    assert (
        lots_of(order)["paid"].remaining_millitokens == 100 * MILLION - 100 * MILLION * 500 // 9500
    )
    audit()


@pytest.mark.parametrize("arrives", [True, False])
def test_an_unknown_outcome_is_asked_again_under_the_same_key(
    order: Order, sam: User, monkeypatch: pytest.MonkeyPatch, arrives: bool
) -> None:
    from marketplace.billing.sandbox.adapter import SandboxProvider

    request = ask(order, expected=9500)
    approve(request, sam)
    real = SandboxProvider.send_refund

    def lose(self: Any, refund: Any) -> None:
        if arrives:
            real(self, refund)
        raise PaymentOutcomeUnknown

    monkeypatch.setattr(SandboxProvider, "send_refund", lose)
    with pytest.raises(PaymentOutcomeUnknown):
        send(request)
    request.refresh_from_db()
    assert request.state == "approved"
    monkeypatch.setattr(SandboxProvider, "send_refund", real)
    services.send_due_refunds(now=utc_now())  # too early: another may be at it
    request.refresh_from_db()
    assert request.state == "approved"

    services.send_due_refunds(now=utc_now() + timedelta(minutes=3))

    request.refresh_from_db()
    assert request.state == "done"
    assert Refund.objects.count() == 1
    assert settle(order).status == "reversed"


def test_a_refund_that_the_bank_sends_back(
    acme: Organisation, team_pack: Pack, processor: Processor, sam: User
) -> None:
    order = buy(acme, team_pack, processor)
    request = ask(order, expected=9500)
    approve(request, sam)
    send(request)

    deliver(processor, *processor.fail_refund(Refund.objects.get().refund_id))

    order.refresh_from_db()
    request.refresh_from_db()
    assert (order.status, order.reversed_minor, request.state) == ("paid", 0, "failed")
    assert balance_of(acme) == 105 * MILLION
    audit()


def test_the_sweep_sends_and_settles_what_nobody_told(
    acme: Organisation, team_pack: Pack, processor: Processor, sam: User
) -> None:
    order = buy(acme, team_pack, processor)
    approve(ask(order, expected=9500), sam)
    processor.forget_events()

    services.sweep_orders(now=utc_now())

    order.refresh_from_db()
    assert order.status == "reversed"


def test_a_refund_under_way_is_asked_about(acme: Organisation, team_pack: Pack, fake_stripe: Any,
                                           sam: User) -> None:  # fmt: skip
    from tests.billing.processors import StripeProcessor

    order = buy(acme, team_pack, StripeProcessor(fake_stripe))
    fake_stripe.account.money_back.next_status = "pending"
    request = ask(order, expected=9500)
    approve(request, sam)
    assert send(request).state == "sent"
    assert Refund.objects.get().state == "pending"
    fake_stripe.account.money_back.end_refund(Refund.objects.get().refund_id, "succeeded")
    fake_stripe.account.events.clear()

    with time_machine.travel(utc_now() + timedelta(minutes=40), tick=True):
        services.sweep_orders(now=utc_now())

    request.refresh_from_db()
    assert (request.state, Refund.objects.get().state) == ("done", "succeeded")


def test_a_refund_of_another_currency_changes_nothing(
    order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    from marketplace.billing.models import SandboxSession

    sandbox.refund(session_id=order.provider_session_id or "", amount_minor=500, now=utc_now())
    SandboxSession.objects.update(currency="EUR")
    before = everything()

    with pytest.raises(services.MoneyBackMismatch):
        settle(order)

    assert everything() == before


def test_the_sandbox_gives_back_no_more_than_was_paid(order: Order) -> None:
    session = order.provider_session_id or ""
    sandbox.refund(session_id=session, amount_minor=9000, now=utc_now())
    for amount in (501, 0, -1):
        with pytest.raises(PaymentRefused):
            sandbox.refund(session_id=session, amount_minor=amount, now=utc_now())
    assert RefundRequest.objects.count() == 0
