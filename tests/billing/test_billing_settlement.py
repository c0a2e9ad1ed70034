"""settle_order: credits what was paid and ordered, exactly once, whoever asks and however often."""

from datetime import timedelta

import pytest
import time_machine

from accounts.models import AuditEvent, Organisation, User
from accounts.services import SYSTEM_ACTOR
from marketplace.billing import selectors, services
from marketplace.billing.models import Attempt, Order, Pack, SandboxSession
from marketplace.billing.sandbox import processor
from portal.kernel.clock import utc_now
from portal.kernel.errors import NotFound
from tests.billing.shop import (
    MILLION,
    balance_of,
    credited_once,
    lots_of,
    make_pack,
    open_order,
    pay,
    purchases_of,
    start_order,
    untouched,
)

pytestmark = pytest.mark.django_db


def settle(order: Order) -> bool:
    return services.settle_order(order_public_id=order.public_id, now=utc_now())


def test_a_paid_order_is_credited_as_the_books_say(acme: Organisation, team_pack: Pack) -> None:
    order, session = open_order(acme, team_pack)
    assert not settle(order)
    assert untouched(order)
    pay(session)
    assert settle(order)
    assert credited_once(order)
    assert order.paid_at is not None
    lots = lots_of(order)
    assert (lots["paid"].paid_minor, lots["paid"].currency) == (9500, "USD")
    assert lots["paid"].face_millitokens == 100 * MILLION
    assert lots["bonus"].paid_minor == 0
    for lot in lots.values():
        assert lot.expires_at == order.paid_at + timedelta(days=365)
        assert lot.wallet.scope == ""
    assert balance_of(acme) == 105 * MILLION
    [event] = AuditEvent.objects.filter(action="order.paid")
    assert event.after["invoice"] == f"TEST-{order.paid_at.year}-000001"


def test_settling_again_changes_nothing(acme: Organisation, team_pack: Pack) -> None:
    order, session = open_order(acme, team_pack)
    pay(session)
    for _ in range(5):
        assert settle(order)
    assert credited_once(order)
    assert balance_of(acme) == 105 * MILLION
    assert AuditEvent.objects.filter(action="order.paid").count() == 1


def test_a_pack_without_bonus_discount_or_expiry_and_with_scope(acme: Organisation) -> None:
    plain = make_pack(
        "plain",
        paid_millitokens=50 * MILLION,
        bonus_millitokens=0,
        prices={"USD": 5000},
        expires_after_days=None,
        scope="modality:chat",
    )
    order, session = open_order(acme, plain, quantity=2)
    pay(session)
    assert settle(order)
    assert purchases_of(order) == [("clearing", "wallet", 100 * MILLION)]
    [lot] = lots_of(order).values()
    assert (lot.kind, lot.expires_at, lot.paid_minor) == ("paid", None, 10_000)
    assert lot.wallet.scope == "modality:chat"


def test_a_sale_in_yen_uses_the_packs_tariff_value(acme: Organisation, team_pack: Pack) -> None:
    order, session = open_order(acme, team_pack, currency="JPY")
    pay(session)
    assert settle(order)
    assert purchases_of(order)[0] == ("clearing", "wallet", 95 * MILLION)
    paid = lots_of(order)["paid"]
    assert (paid.paid_minor, paid.currency) == (14_500, "JPY")


def test_completed_is_not_paid(acme: Organisation, team_pack: Pack) -> None:
    """Delayed methods complete the session long before the money comes, if it does."""
    order, session = open_order(acme, team_pack)
    with time_machine.travel(utc_now(), tick=False) as clock:
        processor.pay_later(
            session_id=session.session_id, delay=timedelta(seconds=30), now=utc_now()
        )
        assert not settle(order)
        assert untouched(order)
        assert order.status == "processing"
        clock.shift(29)
        assert not settle(order)
        clock.shift(1)
        assert settle(order)
    assert credited_once(order)


@pytest.mark.parametrize(
    "change",
    [
        {"amount_minor": 9499},
        {"amount_minor": 9501},
        {"amount_minor": 95},
        {"currency": "EUR"},
        {"currency": "usd"},
        {"metadata": {}},
        {"metadata": {"order": "ord_other", "organisation": "org_other"}},
    ],
)
def test_another_payment_than_the_ordered_one_is_never_credited(
    acme: Organisation, team_pack: Pack, change: dict
) -> None:
    order, session = open_order(acme, team_pack)
    SandboxSession.objects.update(**change)
    pay(session)
    for _ in range(3):
        assert not settle(order)
    assert untouched(order)
    assert (order.status, order.failure_code) == ("pending", "mismatch")
    assert list(selectors.list_mismatched_orders()) == [order]
    [event] = AuditEvent.objects.filter(action="order.mismatched")
    assert event.target_id == order.public_id
    assert event.after["differences"]
    # Nothing but a look at it by staff ends this: neither time nor a new payment.
    services.sweep_orders(now=utc_now() + timedelta(days=2))
    assert untouched(order)
    assert order.status == "pending"
    with pytest.raises(services.OrderClosed):
        services.open_payment(order=order, now=utc_now())


def test_test_money_does_not_pay_a_live_order(acme: Organisation, team_pack: Pack) -> None:
    order, session = open_order(acme, team_pack)
    Order.objects.update(livemode=True)
    pay(session)
    assert not settle(order)
    assert untouched(order)
    assert order.failure_code == "mismatch"


def test_a_mismatch_that_was_put_right_is_credited(acme: Organisation, team_pack: Pack) -> None:
    order, session = open_order(acme, team_pack)
    SandboxSession.objects.update(amount_minor=1)
    pay(session)
    assert not settle(order)
    SandboxSession.objects.update(amount_minor=9500)
    assert settle(order)
    assert credited_once(order)
    assert order.failure_code == ""


def test_a_decline_charges_nothing_and_the_next_try_is_another_attempt(
    acme: Organisation, team_pack: Pack
) -> None:
    order, session = open_order(acme, team_pack)
    processor.decline(session_id=session.session_id, now=utc_now())
    assert not settle(order)
    assert untouched(order)
    assert (order.status, order.failure_code) == ("failed", "card_declined")
    [event] = AuditEvent.objects.filter(action="order.declined")
    assert (event.before, event.after) == ({"status": "pending"}, {"status": "failed"})
    assert not processor.pay(session_id=session.session_id, now=utc_now())
    services.open_payment(order=order, now=utc_now())
    order.refresh_from_db()
    assert (order.status, order.failure_code) == ("pending", "")
    first, second = Attempt.objects.order_by("number")
    assert (first.state, second.state) == ("closed", "created")
    assert first.session_id != second.session_id == order.provider_session_id
    pay(SandboxSession.objects.get(session_id=second.session_id))
    assert settle(order)
    assert credited_once(order)


def test_declines_end_after_ten_attempts(acme: Organisation, team_pack: Pack) -> None:
    order, session = open_order(acme, team_pack)
    for _ in range(9):
        processor.decline(session_id=session.session_id, now=utc_now())
        settle(order)
        services.open_payment(order=order, now=utc_now())
        order.refresh_from_db()
        session = SandboxSession.objects.get(session_id=order.provider_session_id)
    processor.decline(session_id=session.session_id, now=utc_now())
    settle(order)
    with pytest.raises(Exception, match="declined too often"):
        services.open_payment(order=order, now=utc_now())
    assert Attempt.objects.count() == 10
    assert untouched(order)


def test_a_cancelled_order_cannot_be_paid_any_more(acme: Organisation, team_pack: Pack) -> None:
    order, session = open_order(acme, team_pack)
    cancelled = services.cancel_order(order=order, actor=SYSTEM_ACTOR, now=utc_now())
    assert cancelled.status == "cancelled"
    session.refresh_from_db()
    assert session.state == "expired"
    assert not processor.pay(session_id=session.session_id, now=utc_now())
    assert not settle(order)
    assert untouched(order)
    assert order.status == "cancelled"
    with pytest.raises(services.OrderClosed):
        services.open_payment(order=order, now=utc_now())
    with pytest.raises(services.OrderClosed):
        services.cancel_order(order=cancelled, actor=SYSTEM_ACTOR, now=utc_now())


def test_cancelling_a_draft_needs_no_provider(acme: Organisation, team_pack: Pack) -> None:
    order = start_order(acme, team_pack)
    services.cancel_order(order=order, actor=SYSTEM_ACTOR, now=utc_now())
    order.refresh_from_db()
    assert order.status == "cancelled"


def test_cancelling_what_was_just_paid_credits_it_instead(
    acme: Organisation, team_pack: Pack
) -> None:
    order, session = open_order(acme, team_pack)
    pay(session)
    with pytest.raises(services.OrderClosed, match="just been paid"):
        services.cancel_order(order=order, actor=SYSTEM_ACTOR, now=utc_now())
    assert credited_once(order)


def test_cancelling_while_the_money_is_under_way_waits_for_it(
    acme: Organisation, team_pack: Pack
) -> None:
    order, session = open_order(acme, team_pack)
    with time_machine.travel(utc_now(), tick=False) as clock:
        processor.pay_later(
            session_id=session.session_id, delay=timedelta(seconds=60), now=utc_now()
        )
        with pytest.raises(services.OrderClosed, match="under way"):
            services.cancel_order(order=order, actor=SYSTEM_ACTOR, now=utc_now())
        order.refresh_from_db()
        assert order.status == "processing"
        clock.shift(60)
        assert settle(order)
    assert credited_once(order)


@pytest.mark.parametrize("status", ["expired", "cancelled", "failed"])
def test_money_that_came_after_all_is_honoured_whatever_was_shown(
    acme: Organisation, team_pack: Pack, status: str
) -> None:
    order, session = open_order(acme, team_pack)
    pay(session)
    Order.objects.update(status=status)
    Attempt.objects.update(state="closed")
    assert services.settle_order(
        order_public_id=order.public_id, object_id=session.session_id, now=utc_now()
    )
    assert credited_once(order)


def test_the_reconciliation_repairs_what_was_paid_after_all(
    acme: Organisation, team_pack: Pack
) -> None:
    order, session = open_order(acme, team_pack)
    pay(session)
    Order.objects.update(status="cancelled")
    Attempt.objects.update(state="closed")
    soon = utc_now() + timedelta(minutes=3)
    [(found, _)] = services.find_uncredited_orders(now=soon)
    assert services.settle_order(order_public_id=found, now=soon)
    assert credited_once(order)


def test_the_answer_of_the_create_call_was_lost(acme: Organisation, team_pack: Pack) -> None:
    """The session exists over there, was even paid, and we never noted it."""
    order, session = open_order(acme, team_pack)
    Attempt.objects.update(state="started", session_id="", pay_url="")
    Order.objects.update(status="draft", provider_session_id=None, provider_payment_id=None)
    # Asking again under the same key finds the same session.
    assert session.session_id in services.open_payment(order=Order.objects.get(), now=utc_now())
    assert SandboxSession.objects.count() == 1
    Attempt.objects.update(state="started", session_id="", pay_url="")
    Order.objects.update(status="draft", provider_session_id=None, provider_payment_id=None)
    pay(session)
    assert settle(order)
    assert credited_once(order)
    assert order.provider_session_id == session.session_id


def test_a_lost_session_is_adopted_while_still_unpaid(acme: Organisation, team_pack: Pack) -> None:
    order, session = open_order(acme, team_pack)
    Attempt.objects.update(state="started", session_id="", pay_url="")
    Order.objects.update(status="draft", provider_session_id=None, provider_payment_id=None)
    assert not settle(order)
    order.refresh_from_db()
    assert (order.status, order.provider_session_id) == ("pending", session.session_id)
    attempt = Attempt.objects.get()
    assert (attempt.state, attempt.session_id) == ("created", session.session_id)
    assert attempt.pay_url


def test_cancelled_while_the_create_call_was_under_way(acme: Organisation, team_pack: Pack) -> None:
    order = start_order(acme, team_pack)
    from marketplace.billing.payment_provider import SessionRequest
    from marketplace.billing.providers import get_default_provider
    from marketplace.billing.services import attempts

    attempt = attempts.begin_attempt(order_pk=order.pk, now=utc_now())
    assert attempt is not None
    services.cancel_order(order=order, actor=SYSTEM_ACTOR, now=utc_now())
    session = get_default_provider().create_session(
        SessionRequest.from_parameters(attempt.parameters),
        idempotency_key=attempt.idempotency_key,
    )
    assert not attempts.record_session(attempt_pk=attempt.pk, session=session)
    order.refresh_from_db()
    assert order.status == "cancelled"


def test_an_unknown_order_is_not_found() -> None:
    with pytest.raises(NotFound):
        services.settle_order(order_public_id="ord_nothing", now=utc_now())


def test_uncredited_payments_are_found_for_the_reconciliation(
    acme: Organisation, ada: User, team_pack: Pack
) -> None:
    order, session = open_order(acme, team_pack)
    other, _ = open_order(acme, team_pack, key="other")
    pay(session)
    soon = utc_now() + timedelta(minutes=3)
    assert list(services.find_uncredited_orders(now=utc_now())) == []
    assert list(services.find_uncredited_orders(now=soon)) == [(order.public_id, 105 * MILLION)]
    settle(order)
    assert list(services.find_uncredited_orders(now=soon)) == []
    assert untouched(other)
