"""What webhooks forgot: nothing paid stays uncredited, nothing unpaid stays open."""

from datetime import timedelta

import pytest
import time_machine

from accounts.models import AuditEvent, Organisation
from marketplace.billing import services
from marketplace.billing.models import (
    Attempt,
    EventCursor,
    InboxEvent,
    Order,
    Pack,
    SandboxSession,
)
from marketplace.billing.sandbox import processor
from portal.kernel.clock import utc_now
from tests.billing.shop import credited_once, open_order, pay, start_order, untouched

pytestmark = pytest.mark.django_db


def sweep_after(**later) -> services.SweepResult:
    with time_machine.travel(utc_now() + timedelta(**later), tick=False):
        return services.sweep_orders(now=utc_now())


def test_no_webhook_at_all_and_the_sweep_credits(acme: Organisation, team_pack: Pack) -> None:
    order, session = open_order(acme, team_pack)
    pay(session)
    # The list of events, too, would do; here it is empty, and asking the order itself does it.
    session.events.all().delete()
    assert services.sweep_orders(now=utc_now()).checked == 0, "young orders are left alone"
    assert untouched(order)
    result = sweep_after(minutes=3)
    assert (result.checked, result.credited, result.closed) == (1, 1, 0)
    assert credited_once(order)


def test_missed_webhooks_are_found_in_the_list_of_events(
    acme: Organisation, team_pack: Pack
) -> None:
    order, session = open_order(acme, team_pack)
    pay(session)
    result = services.sweep_orders(now=utc_now())
    assert result.events_found == 2
    assert credited_once(order)
    assert InboxEvent.objects.filter(state="done").count() == 2
    assert services.sweep_orders(now=utc_now()).events_found == 0


def test_events_listed_late_are_caught_by_the_overlap(acme: Organisation, team_pack: Pack) -> None:
    order, session = open_order(acme, team_pack)
    services.sweep_orders(now=utc_now() + timedelta(minutes=5))
    pay(session)
    read_until = EventCursor.objects.get(provider="sandbox").read_until
    assert read_until > session.events.latest("id").created_at
    assert services.sweep_orders(now=utc_now() + timedelta(minutes=5)).events_found == 2
    assert credited_once(order)


def test_a_clock_that_was_ahead_leaves_no_event_out(acme: Organisation, team_pack: Pack) -> None:
    order, session = open_order(acme, team_pack)
    EventCursor.objects.create(provider="sandbox", read_until=utc_now() + timedelta(hours=3))
    pay(session)
    assert services.sweep_orders(now=utc_now()).events_found == 2
    assert credited_once(order)


def test_unpaid_orders_expire_here_and_at_the_processor(
    acme: Organisation, team_pack: Pack
) -> None:
    order, session = open_order(acme, team_pack)
    assert sweep_after(minutes=59).closed == 0
    sweep_after(minutes=61)
    assert untouched(order)
    session.refresh_from_db()
    assert (order.status, session.state) == ("expired", "expired")
    assert not processor.pay(session_id=session.session_id, now=utc_now())
    assert Attempt.objects.get().state == "closed"


def test_drafts_expire_without_ever_having_been_at_the_provider(
    acme: Organisation, team_pack: Pack
) -> None:
    order = start_order(acme, team_pack)
    assert sweep_after(minutes=61).closed == 1
    assert untouched(order)
    assert order.status == "expired"
    [event] = AuditEvent.objects.filter(action="order.expired")
    assert event.actor_id == "system"
    assert not SandboxSession.objects.exists()


def test_a_lost_create_call_is_looked_up_and_closed(acme: Organisation, team_pack: Pack) -> None:
    order, session = open_order(acme, team_pack)
    Attempt.objects.update(state="started", session_id="", pay_url="")
    Order.objects.update(status="draft", provider_session_id=None, provider_payment_id=None)
    sweep_after(minutes=61)
    assert untouched(order)
    session.refresh_from_db()
    assert (order.status, session.state) == ("expired", "expired")


def test_a_payment_in_the_last_second_beats_the_expiry(acme: Organisation, team_pack: Pack) -> None:
    order, session = open_order(acme, team_pack)
    with time_machine.travel(order.expires_at - timedelta(seconds=1), tick=False):
        pay(session)
        session.events.all().delete()
    assert sweep_after(hours=2).credited == 1
    assert credited_once(order)


def test_money_under_way_keeps_the_order_open(acme: Organisation, team_pack: Pack) -> None:
    order, session = open_order(acme, team_pack)
    with time_machine.travel(order.expires_at - timedelta(seconds=1), tick=False) as clock:
        processor.pay_later(
            session_id=session.session_id, delay=timedelta(minutes=10), now=utc_now()
        )
        clock.shift(timedelta(minutes=9))
        services.sweep_orders(now=utc_now())
        order.refresh_from_db()
        assert order.status == "processing"
        clock.shift(timedelta(minutes=10))
        services.sweep_orders(now=utc_now())
    assert credited_once(order)


def test_open_orders_are_not_asked_about_all_the_time(acme: Organisation, team_pack: Pack) -> None:
    open_order(acme, team_pack)
    with time_machine.travel(utc_now() + timedelta(minutes=3), tick=False) as clock:
        assert services.sweep_orders(now=utc_now()).checked == 1
        clock.shift(60)
        assert services.sweep_orders(now=utc_now()).checked == 0
        clock.shift(300)
        assert services.sweep_orders(now=utc_now()).checked == 1


def test_one_order_that_cannot_be_asked_about_does_not_stop_the_others(
    acme: Organisation, team_pack: Pack
) -> None:
    stuck, _ = open_order(acme, team_pack, key="stuck")
    order, session = open_order(acme, team_pack, key="fine")
    Order.objects.filter(pk=stuck.pk).update(provider="gone")
    pay(session)
    session.events.all().delete()
    assert sweep_after(minutes=3).credited == 1
    assert credited_once(order)
    assert untouched(stuck)


def test_where_the_sandbox_is_off_the_sweep_has_nothing_to_say(
    acme: Organisation, team_pack: Pack, settings
) -> None:
    order, session = open_order(acme, team_pack)
    pay(session)
    settings.SANDBOX_PAYMENTS = False
    result = sweep_after(minutes=3)
    assert (result.credited, result.closed, result.events_found) == (0, 0, 0)
    assert untouched(order)
