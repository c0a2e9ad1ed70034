"""Stripe slow, broken, lying or gone: nobody pays twice, nobody is credited for nothing."""

import logging
from datetime import timedelta

import pytest
import time_machine

from accounts.models import Organisation
from accounts.services import SYSTEM_ACTOR
from marketplace.billing import services
from marketplace.billing.models import Attempt, Order, Pack
from marketplace.billing.payment_provider import (
    PaymentOutcomeUnknown,
    PaymentRefused,
    PaymentsUnavailable,
)
from marketplace.billing.stripe import client
from portal.kernel.clock import utc_now
from tests.billing.processors import StripeProcessor, deliver, stand_before_pay_page
from tests.billing.shop import credited_once, make_pack, start_order, untouched
from tests.fakes.stripe_server import FakeStripe
from tests.fakes.stripe_server_api import SECRET_KEY, Fault

pytestmark = pytest.mark.django_db

BEFORE = [fault for fault in Fault if fault.endswith("_before")]
AFTER = [fault for fault in Fault if fault.endswith("_after")]


@pytest.fixture
def impatient(fake_stripe: FakeStripe, monkeypatch: pytest.MonkeyPatch) -> FakeStripe:
    """One try a call, and no waiting: each fault is seen."""
    monkeypatch.setattr(client, "TIMEOUT_SECONDS", (5.0, 1.0))
    monkeypatch.setattr(client, "RETRIES", 0)
    return fake_stripe


@pytest.fixture
def order(acme: Organisation, team_pack: Pack) -> Order:
    return start_order(acme, team_pack)


def open_payment(order: Order) -> str:
    return services.open_payment(order=order, now=utc_now())


def settle(order: Order) -> bool:
    return services.settle_order(order_public_id=order.public_id, now=utc_now())


def session_ids(fake: FakeStripe) -> list[str]:
    return list(fake.account.sessions)


@pytest.mark.parametrize("fault", list(Fault))
def test_the_create_call_fails_and_is_made_again(
    impatient: FakeStripe, order: Order, fault: Fault
) -> None:
    impatient.break_next(fault, method="POST")
    if fault is Fault.ERROR_500_AFTER:
        # The session was made, whatever Stripe says: it is found at once.
        assert open_payment(order)
    else:
        with pytest.raises(PaymentsUnavailable):
            open_payment(order)
        order.refresh_from_db()
        assert (order.status, Attempt.objects.get().state) == ("draft", "started")
        assert open_payment(order)
    [session_id] = session_ids(impatient)
    order.refresh_from_db()
    assert (order.status, order.provider_session_id) == ("pending", session_id)
    assert Attempt.objects.get().pay_url == impatient.account.sessions[session_id]["url"]
    deliver(StripeProcessor(impatient), *impatient.account.pay(session_id))
    assert credited_once(order)


@pytest.mark.parametrize("fault", AFTER)
def test_the_answer_is_lost_and_the_session_is_paid_or_closed(
    impatient: FakeStripe, order: Order, fault: Fault
) -> None:
    """Nobody clicks again: the sweep finds what was made, and closes it with the order."""
    impatient.break_next(fault, method="POST")
    if fault is Fault.ERROR_500_AFTER:
        # Looking for it at once fails too.
        impatient.break_next(Fault.TIMEOUT_BEFORE, method="GET")
    with pytest.raises(PaymentOutcomeUnknown):
        open_payment(order)
    [session_id] = session_ids(impatient)
    with time_machine.travel(utc_now() + timedelta(minutes=61), tick=False):
        services.sweep_orders(now=utc_now())
    order.refresh_from_db()
    assert (order.status, impatient.account.sessions[session_id]["status"]) == ("expired",) * 2
    assert untouched(order)


@pytest.mark.parametrize("fault", list(Fault))
def test_asking_fails_and_changes_nothing(
    impatient: FakeStripe, order: Order, fault: Fault
) -> None:
    open_payment(order)
    [session_id] = session_ids(impatient)
    impatient.account.pay(session_id)
    impatient.break_next(fault)
    with pytest.raises(PaymentsUnavailable):
        settle(order)
    assert untouched(order)
    assert settle(order)
    assert credited_once(order)


@pytest.mark.parametrize("fault", list(Fault))
def test_an_event_whose_look_fails_is_tried_again(
    impatient: FakeStripe, order: Order, fault: Fault
) -> None:
    open_payment(order)
    [session_id] = session_ids(impatient)
    event = impatient.account.pay(session_id)[-1]
    impatient.break_next(fault)
    deliver(StripeProcessor(impatient), event)
    assert untouched(order)
    assert services.drive_inbox(now=utc_now() + timedelta(minutes=1)) == 1
    assert credited_once(order)


@pytest.mark.parametrize("fault", list(Fault))
def test_the_list_of_events_fails_and_the_sweep_goes_on(
    impatient: FakeStripe, order: Order, fault: Fault
) -> None:
    open_payment(order)
    [session_id] = session_ids(impatient)
    impatient.account.pay(session_id)
    impatient.break_next(fault)
    with time_machine.travel(utc_now() + timedelta(minutes=3), tick=False):
        result = services.sweep_orders(now=utc_now())
    assert (result.events_found, result.credited) == (0, 1)
    assert credited_once(order)


@pytest.mark.parametrize("fault", list(Fault))
def test_closing_fails_and_the_order_stays_open(
    impatient: FakeStripe, order: Order, fault: Fault
) -> None:
    open_payment(order)
    impatient.break_next(fault)
    with pytest.raises(PaymentsUnavailable):
        services.cancel_order(order=order, actor=SYSTEM_ACTOR, now=utc_now())
    order.refresh_from_db()
    assert order.status == "pending"
    services.cancel_order(order=order, actor=SYSTEM_ACTOR, now=utc_now())
    order.refresh_from_db()
    assert order.status == "cancelled"
    assert [one["status"] for one in impatient.account.sessions.values()] == ["expired"]


def test_one_fault_is_mended_by_the_sdk_itself(
    fake_stripe: FakeStripe, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "TIMEOUT_SECONDS", (5.0, 1.0))
    fake_stripe.break_next(Fault.TIMEOUT_AFTER)
    fake_stripe.break_next(Fault.DROPPED_BEFORE)
    assert open_payment(order)
    posts = fake_stripe.api.requests
    assert [one.method for one in posts] == ["POST"] * 3
    assert len({one.headers["idempotency-key"] for one in posts}) == 1
    assert len(session_ids(fake_stripe)) == 1


def test_an_attempt_outlives_failures_that_stripe_keeps(
    impatient: FakeStripe, order: Order
) -> None:
    """A 500 is answered again and again under its key: each click goes on under the next one."""
    impatient.break_next(Fault.ERROR_500_BEFORE, times=3, method="POST")
    for _ in range(3):
        with pytest.raises(PaymentOutcomeUnknown):
            open_payment(order)
    assert open_payment(order)
    assert len(session_ids(impatient)) == 1
    assert Attempt.objects.count() == 1
    keys = [one.headers.get("idempotency-key") for one in impatient.api.requests]
    assert f"{order.public_id}-1-4" in keys


def test_failures_without_end_end(impatient: FakeStripe, order: Order) -> None:
    impatient.break_next(Fault.ERROR_500_BEFORE, times=5, method="POST")
    for _ in range(8):
        with pytest.raises(PaymentOutcomeUnknown):
            open_payment(order)
    assert not session_ids(impatient)
    order.refresh_from_db()
    assert (order.status, Attempt.objects.get().state) == ("draft", "started")


def test_the_same_key_with_other_parameters_is_refused(
    fake_stripe: FakeStripe, order: Order, settings
) -> None:
    """Another choice of payment methods, set between a lost answer and its repetition."""
    fake_stripe.break_next(Fault.HTML_200_AFTER)
    with pytest.raises(PaymentOutcomeUnknown):
        open_payment(order)
    settings.STRIPE_PAYMENT_METHODS = ["card"]
    with pytest.raises(PaymentRefused) as refusal:
        open_payment(order)
    assert refusal.value.code == "idempotency_key_reused"
    order.refresh_from_db()
    assert order.status == "failed"
    # The next attempt has a key of its own.
    assert open_payment(order)
    assert [one.state for one in order.attempts.order_by("number")] == ["refused", "created"]


def test_what_stripe_never_takes_fails_the_order(
    fake_stripe: FakeStripe, acme: Organisation
) -> None:
    tiny = make_pack("tiny", prices={"USD": 49}, paid_millitokens=10**9, bonus_millitokens=0)
    order = start_order(acme, tiny)
    with pytest.raises(PaymentRefused):
        open_payment(order)
    order.refresh_from_db()
    assert (order.status, order.failure_code) == ("failed", "amount_too_small")
    assert Attempt.objects.get().state == "refused"
    assert untouched(order)


def test_the_key_of_another_account_opens_nothing(
    fake_stripe: FakeStripe, acme: Organisation, team_pack: Pack, settings
) -> None:
    order, session_id = stand_before_pay_page(acme, team_pack)
    fake_stripe.account.pay(session_id)
    settings.STRIPE_SECRET_KEY = "sk_test_another000000000000"
    with pytest.raises(PaymentsUnavailable):
        settle(order)
    assert untouched(order)


def test_faults_are_logged_without_secrets_or_persons(
    impatient: FakeStripe, order: Order, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for fault in (Fault.ERROR_500_BEFORE, Fault.KEY_REVOKED_BEFORE, Fault.TIMEOUT_BEFORE):
        impatient.break_next(fault, method="POST")
        with pytest.raises(PaymentsUnavailable):
            open_payment(order)
    open_payment(order)
    said = caplog.text
    assert "stripe_failed" in said
    for secret in (SECRET_KEY, "whsec_", order.ordered_by.email):
        assert secret not in said
