"""Refund requests, from the buyer's wish to the money's way back, through either provider."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine

from accounts.models import Organisation, User
from marketplace.billing import services
from marketplace.billing.models import Order, Pack, Refund, RefundRequest
from marketplace.billing.payment_provider import PaymentOutcomeUnknown, PaymentRefused
from marketplace.billing.refund_rule import quote_refund
from marketplace.billing.sandbox import reversing as sandbox
from portal.kernel.clock import utc_now
from tests.billing.money_back import (
    approve,
    ask,
    buy,
    decline,
    everything,
    send,
    settle,
    spend,
    withdraw,
)
from tests.billing.processors import Processor, SandboxProcessor, deliver
from tests.billing.shop import MILLION, balance_of, lots_of, make_pack
from tests.cast import make_person
from tests.ledger.auditor import audit
from tests.ledger.cast import hold as place_hold

pytestmark = pytest.mark.django_db


@pytest.fixture
def order(acme: Organisation, team_pack: Pack) -> Order:
    """Paid through the sandbox."""
    return buy(acme, team_pack, SandboxProcessor())


@pytest.fixture
def tom(db: None) -> User:
    """Another of staff."""
    return make_person("tom@market.example", is_staff=True)


def quote(order: Order) -> Any:
    order.refresh_from_db()
    return quote_refund(order=order, now=utc_now())


def test_unused_tokens_go_back_for_what_was_paid(
    acme: Organisation, team_pack: Pack, processor: Processor, sam: User
) -> None:
    """60M of 100M used: 40M unused, $38.00, and of the bonus nothing is left."""
    order = buy(acme, team_pack, processor)
    spend(acme, 65 * MILLION)
    offered = quote(order)
    assert (offered.amount_minor, offered.paid_millitokens) == (3800, 40 * MILLION)
    assert offered.bonus_millitokens == 0

    request = ask(order, expected=3800)
    assert balance_of(acme) == 0  # set aside at once
    order.refresh_from_db()
    assert (order.status, order.reversed_minor) == ("paid", 0)

    assert approve(request, sam)
    assert send(request).state == "done"

    order.refresh_from_db()
    assert (order.status, order.reversed_minor) == ("partially_reversed", 3800)
    refund = Refund.objects.get(request=request)
    assert (refund.amount_minor, refund.state) == (3800, "succeeded")
    audit()
    before = everything()[0]
    settle(order)
    services.drive_inbox(now=utc_now())
    assert everything()[0] == before


def test_an_untouched_pack_goes_back_whole_with_its_bonus(
    acme: Organisation, order: Order, sam: User
) -> None:
    assert quote(order).bonus_millitokens == 5 * MILLION
    request = ask(order, expected=9500)
    approve(request, sam)
    send(request)

    assert settle(order).status == "reversed"
    assert balance_of(acme) == 0
    assert quote(order).refusal == "not_paid"


def test_a_price_that_does_not_divide_rounds_down_and_leaves_crumbs(acme: Organisation) -> None:
    """$0.95 for 1,000 tokens and a third of them used: what is less than a cent stays."""
    pack = make_pack("small", paid_millitokens=MILLION, bonus_millitokens=0, prices={"USD": 95})
    order = buy(acme, pack, SandboxProcessor())
    spend(acme, MILLION // 3)

    offered = quote(order)

    assert offered.amount_minor == 95 * (MILLION - MILLION // 3) // MILLION == 63
    assert offered.paid_millitokens == MILLION * 63 // 95
    ask(order, expected=63)
    assert balance_of(acme) == MILLION - MILLION // 3 - MILLION * 63 // 95
    assert balance_of(acme) * 95 < MILLION


def test_what_a_hold_needs_is_not_offered(acme: Organisation, order: Order) -> None:
    place_hold(60 * MILLION, owner_key=acme.public_id, now=utc_now(),
               expires_at=utc_now() + timedelta(minutes=1))  # fmt: skip

    assert quote(order).paid_millitokens <= 45 * MILLION


def test_declined_tokens_come_back(acme: Organisation, order: Order, sam: User) -> None:
    before = {kind: lot.remaining_millitokens for kind, lot in lots_of(order).items()}
    request = ask(order, expected=9500)

    decline(request, sam)

    request.refresh_from_db()
    assert (request.state, request.note) == ("declined", "Not now.")
    assert {kind: lot.remaining_millitokens for kind, lot in lots_of(order).items()} == before
    audit()
    ask(order, expected=9500)  # and may be asked again


def test_withdrawn_tokens_come_back_and_nobody_decides_any_more(
    acme: Organisation, order: Order, sam: User
) -> None:
    before = {kind: lot.remaining_millitokens for kind, lot in lots_of(order).items()}
    request = ask(order, expected=9500)

    withdraw(request)

    request.refresh_from_db()
    assert (request.state, request.decided_by) == ("withdrawn", None)
    assert {kind: lot.remaining_millitokens for kind, lot in lots_of(order).items()} == before
    audit()
    gone = everything()
    for late in (withdraw, lambda request: approve(request, sam), lambda r: decline(r, sam)):
        with pytest.raises(services.RefundDecided):
            late(request)
    assert send(request).state == "withdrawn"
    assert everything() == gone
    ask(order, expected=9500)  # and may be asked again


def test_what_was_approved_is_not_withdrawn(order: Order, sam: User) -> None:
    request = ask(order, expected=9500)
    approve(request, sam)
    before = everything()
    with pytest.raises(services.RefundDecided):
        withdraw(request)
    assert everything() == before


def test_above_the_limit_a_second_person_has_to_agree(
    order: Order, sam: User, tom: User, settings: Any
) -> None:
    settings.REFUND_SECOND_PERSON_ABOVE = 94
    request = ask(order, expected=9500)

    assert not approve(request, sam)
    before = everything()
    with pytest.raises(services.AnotherPersonNeeded):
        approve(request, sam)
    assert everything() == before
    assert approve(request, tom)

    request.refresh_from_db()
    assert (request.state, request.seconded_by, request.decided_by) == ("approved", sam, tom)


def test_the_limit_itself_takes_one(order: Order, sam: User, settings: Any) -> None:
    settings.REFUND_SECOND_PERSON_ABOVE = 95

    assert approve(ask(order, expected=9500), sam)


def test_nobody_approves_their_own(order: Order) -> None:
    request = ask(order, expected=9500)
    before = everything()

    with pytest.raises(services.AnotherPersonNeeded):
        approve(request, order.ordered_by)

    assert everything() == before


def test_decided_is_decided(order: Order, sam: User, tom: User) -> None:
    request = ask(order, expected=9500)
    approve(request, sam)
    before = everything()

    for decide in (approve, decline):
        with pytest.raises(services.RefundDecided):
            decide(request, tom)

    assert everything() == before


def _use_all(order: Order, settings: Any) -> None:
    spend(order.organisation, 105 * MILLION)


def _ask(order: Order, settings: Any) -> None:
    ask(order, expected=9500)


def _dispute(order: Order, settings: Any) -> None:
    deliver(SandboxProcessor(), *SandboxProcessor().dispute(order.provider_session_id or ""))
    order.refresh_from_db()
    # Paid in the eyes of whoever looks only at the money: won, the next one only begins.
    Order.objects.filter(pk=order.pk).update(status="paid")


def _switch_off(order: Order, settings: Any) -> None:
    settings.REFUND_DAYS = 0


def _wait(order: Order, settings: Any) -> None:
    settings.REFUND_DAYS = 14
    Order.objects.filter(pk=order.pk).update(paid_at=utc_now() - timedelta(days=15))


def _expire(order: Order, settings: Any) -> None:
    Order.objects.filter(pk=order.pk).update(paid_at=utc_now() - timedelta(days=365))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_use_all, "used_up"),
        (_ask, "under_way"),
        (_dispute, "disputed"),
        (_switch_off, "off"),
        (_wait, "too_late"),
        (_expire, "expired"),
    ],
)
def test_what_cannot_be_refunded(order: Order, settings: Any, spoil: Any, reason: str) -> None:
    spoil(order, settings)
    before = everything()

    with pytest.raises(services.RefundNotPossible) as refusal:
        ask(order, expected=9500)

    assert refusal.value.data == {"reason": reason}
    assert quote(order).refusal == reason
    assert everything() == before


def test_an_order_that_is_not_paid(acme: Organisation, team_pack: Pack) -> None:
    from tests.billing.shop import start_order

    unpaid = start_order(acme, team_pack)
    before = everything()
    with pytest.raises(services.RefundNotPossible):
        ask(unpaid, expected=9500)
    assert everything() == before


def test_another_amount_than_was_shown(acme: Organisation, order: Order) -> None:
    spend(acme, 65 * MILLION)  # since the page was opened
    before = everything()

    with pytest.raises(services.RefundChanged):
        ask(order, expected=9500)

    assert everything() == before


def test_the_window_is_kept_to_the_second(order: Order, settings: Any) -> None:
    settings.REFUND_DAYS = 14
    assert order.paid_at
    end = order.paid_at + timedelta(days=14)
    assert not quote_refund(order=order, now=end).refusal
    assert quote_refund(order=order, now=end + timedelta(seconds=1)).refusal == "too_late"


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


def test_two_parts_of_one_order(acme: Organisation, order: Order, sam: User) -> None:
    """By hand first, the rest by request: never more than was paid or granted."""
    deliver(SandboxProcessor(), *SandboxProcessor().refund(order.provider_session_id or "", 1234))
    left = quote(order).amount_minor
    assert left == 9500 - 1234

    request = ask(order, expected=left)
    approve(request, sam)
    send(request)

    assert settle(order).status == "reversed"
    assert balance_of(acme) == 0
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
