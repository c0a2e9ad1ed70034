"""The same purchases through the sandbox and through Stripe, with the same ends."""

from datetime import timedelta

import pytest
import time_machine

from accounts.models import Organisation, User
from accounts.services import SYSTEM_ACTOR
from marketplace.billing import selectors, services
from marketplace.billing.models import Attempt, InboxEvent, Order, Pack, StrayPayment
from portal.kernel.clock import utc_now
from tests.billing.processors import Processor, deliver, post_event, stand_before_pay_page
from tests.billing.shop import (
    MILLION,
    balance_of,
    credited_once,
    lots_of,
    purchases_of,
    start_order,
    untouched,
)
from tests.cast import signed_in

pytestmark = pytest.mark.django_db


def settle(order: Order) -> bool:
    return services.settle_order(order_public_id=order.public_id, now=utc_now())


def sweep_after(**later: float) -> services.SweepResult:
    with time_machine.travel(utc_now() + timedelta(**later), tick=False):
        return services.sweep_orders(now=utc_now())


def lose_the_answer() -> None:
    """The create call was made; what it answered never arrived here."""
    Attempt.objects.update(state="started", session_id="", pay_url="")
    Order.objects.update(status="draft", provider_session_id=None, provider_payment_id=None)


def test_paid_and_told(processor: Processor, acme: Organisation, team_pack: Pack) -> None:
    order, session_id = stand_before_pay_page(acme, team_pack)
    assert (order.provider, order.status, order.livemode) == (processor.name, "pending", False)
    deliver(processor, *processor.pay(session_id))
    assert credited_once(order)
    assert order.provider_payment_id
    assert balance_of(acme) == 105 * MILLION
    assert set(InboxEvent.objects.values_list("state", flat=True)) == {"done"}


def test_back_before_the_webhook(
    processor: Processor, acme: Organisation, ada: User, team_pack: Pack
) -> None:
    """The buyer is redirected before we are told; "Check again" need not wait for that."""
    order, session_id = stand_before_pay_page(acme, team_pack)
    events = processor.pay(session_id)
    page = f"/o/{acme.slug}/orders/{order.public_id}/"
    client = signed_in(ada)
    assert client.get(page).status_code == 200
    assert untouched(order)
    assert client.post(f"{page}check/").status_code == 302
    assert credited_once(order)
    deliver(processor, *events, *events)
    assert credited_once(order)
    assert balance_of(acme) == 105 * MILLION


def test_back_without_having_paid(
    processor: Processor, acme: Organisation, ada: User, team_pack: Pack
) -> None:
    """The address of the return page is no proof of anything, however often it is opened."""
    order, session_id = stand_before_pay_page(acme, team_pack)
    page = f"/o/{acme.slug}/orders/{order.public_id}/"
    client = signed_in(ada)
    for _ in range(2):
        assert client.get(page).status_code == 200
        assert client.post(f"{page}check/").status_code == 302
    assert untouched(order)
    assert (order.status, processor.state_of(session_id)) == ("pending", "open")


def test_two_tabs_pay_one_order_once(
    processor: Processor, acme: Organisation, team_pack: Pack
) -> None:
    """The second tab finds the page paid, and another page of the order is not to be had."""
    order, session_id = stand_before_pay_page(acme, team_pack)
    page = services.open_payment(order=order, now=utc_now())
    events = processor.pay(session_id)
    assert not processor.pay(session_id)
    assert services.open_payment(order=order, now=utc_now()) == page
    deliver(processor, *events, *events)
    assert credited_once(order)
    assert processor.count_sessions() == 1
    assert not StrayPayment.objects.exists()


def test_the_webhook_overtakes_our_own_commit(
    processor: Processor, acme: Organisation, team_pack: Pack
) -> None:
    order, session_id = stand_before_pay_page(acme, team_pack)
    lose_the_answer()
    deliver(processor, *processor.pay(session_id))
    assert credited_once(order)


def test_paid_later(processor: Processor, acme: Organisation, team_pack: Pack) -> None:
    order, session_id = stand_before_pay_page(acme, team_pack)
    deliver(processor, *processor.pay_later(session_id))
    assert untouched(order)
    assert order.status == "processing"
    with pytest.raises(services.OrderClosed, match="under way"):
        services.cancel_order(order=order, actor=SYSTEM_ACTOR, now=utc_now())
    deliver(processor, *processor.receive_money(session_id))
    assert credited_once(order)


def test_abandoned(processor: Processor, acme: Organisation, team_pack: Pack) -> None:
    order, session_id = stand_before_pay_page(acme, team_pack)
    assert sweep_after(minutes=59).closed == 0
    sweep_after(minutes=61)
    assert untouched(order)
    assert (order.status, processor.state_of(session_id)) == ("expired", "expired")
    assert not processor.pay(session_id)


def test_no_webhook_at_all(processor: Processor, acme: Organisation, team_pack: Pack) -> None:
    order, session_id = stand_before_pay_page(acme, team_pack)
    processor.pay(session_id)
    processor.forget_events()
    assert services.sweep_orders(now=utc_now()).checked == 0, "young orders are left alone"
    assert untouched(order)
    assert sweep_after(minutes=3).credited == 1
    assert credited_once(order)


def test_webhooks_found_in_the_list_of_events(
    processor: Processor, acme: Organisation, team_pack: Pack
) -> None:
    order, session_id = stand_before_pay_page(acme, team_pack)
    events = processor.pay(session_id)
    assert services.sweep_orders(now=utc_now()).events_found == len(events)
    assert credited_once(order)
    assert services.sweep_orders(now=utc_now()).events_found == 0
    deliver(processor, *events)
    assert InboxEvent.objects.count() == len(events)


def test_a_double_click_makes_one_session(
    processor: Processor, acme: Organisation, team_pack: Pack
) -> None:
    order, _ = stand_before_pay_page(acme, team_pack)
    pages = {services.open_payment(order=order, now=utc_now()) for _ in range(3)}
    lose_the_answer()
    pages.add(services.open_payment(order=Order.objects.get(), now=utc_now()))
    assert len(pages) == 1
    assert processor.count_sessions() == 1


def test_a_lost_answer_is_found_by_the_order(
    processor: Processor, acme: Organisation, team_pack: Pack
) -> None:
    order, session_id = stand_before_pay_page(acme, team_pack)
    stand_before_pay_page(acme, team_pack, key="newer")
    lost = Attempt.objects.filter(order=order)
    lost.update(state="started", session_id="", pay_url="")
    Order.objects.filter(pk=order.pk).update(
        status="draft", provider_session_id=None, provider_payment_id=None
    )
    assert not settle(order)
    order.refresh_from_db()
    assert (order.status, order.provider_session_id) == ("pending", session_id)
    lost.update(state="started", session_id="", pay_url="")
    Order.objects.filter(pk=order.pk).update(status="draft", provider_session_id=None)
    processor.pay(session_id)
    assert settle(order)
    assert credited_once(order)


@pytest.mark.parametrize(
    "change",
    [
        {"amount_minor": 9499},
        {"amount_minor": 95},
        {"currency": "EUR"},
        {"metadata": {}},
        {"metadata": {"order": "ord_other", "organisation": "org_other"}},
    ],
)
def test_another_payment_than_was_ordered(
    processor: Processor, acme: Organisation, team_pack: Pack, change: dict
) -> None:
    order, session_id = stand_before_pay_page(acme, team_pack)
    processor.tamper(session_id, **change)
    deliver(processor, *processor.pay(session_id))
    assert not settle(order)
    assert untouched(order)
    assert (order.status, order.failure_code) == ("pending", "mismatch")
    assert list(selectors.list_mismatched_orders()) == [order]


def test_an_event_of_another_accounts_session(
    processor: Processor, acme: Organisation, team_pack: Pack
) -> None:
    order, session_id = stand_before_pay_page(acme, team_pack)
    assert post_event(processor, processor.pay(session_id)[-1]) == 200
    processor.forget_session(session_id)
    lose_the_answer()
    assert services.drive_inbox(now=utc_now()) == 0
    row = InboxEvent.objects.get()
    assert (row.state, row.last_error) == ("failed", "session_unknown")
    assert untouched(order)


def test_yen_are_whole(processor: Processor, acme: Organisation, team_pack: Pack) -> None:
    order, session_id = stand_before_pay_page(acme, team_pack, currency="JPY")
    deliver(processor, *processor.pay(session_id))
    order.refresh_from_db()
    assert order.status == "paid"
    assert purchases_of(order)[0] == ("clearing", "wallet", 95 * MILLION)
    paid = lots_of(order)["paid"]
    assert (paid.paid_minor, paid.currency) == (14_500, "JPY")


def test_cancelled(processor: Processor, acme: Organisation, team_pack: Pack) -> None:
    order, session_id = stand_before_pay_page(acme, team_pack)
    services.cancel_order(order=order, actor=SYSTEM_ACTOR, now=utc_now())
    assert processor.state_of(session_id) == "expired"
    assert not processor.pay(session_id)
    assert not settle(order)
    assert untouched(order)
    assert order.status == "cancelled"


def test_cancelling_what_was_just_paid_credits_it(
    processor: Processor, acme: Organisation, team_pack: Pack
) -> None:
    order, session_id = stand_before_pay_page(acme, team_pack)
    processor.pay(session_id)
    with pytest.raises(services.OrderClosed, match="just been paid"):
        services.cancel_order(order=order, actor=SYSTEM_ACTOR, now=utc_now())
    assert credited_once(order)


def test_a_second_payment_credits_nothing(
    processor: Processor, acme: Organisation, team_pack: Pack
) -> None:
    order, first = stand_before_pay_page(acme, team_pack)
    Attempt.objects.update(state="closed")
    Order.objects.update(status="failed")
    order.refresh_from_db()
    services.open_payment(order=order, now=utc_now())
    order.refresh_from_db()
    second = order.provider_session_id
    assert second not in (None, first)
    deliver(processor, *processor.pay(str(second)), *processor.pay(first))
    assert credited_once(order)
    assert balance_of(acme) == 105 * MILLION
    assert StrayPayment.objects.get().kind == "surplus"


def test_a_payment_of_an_unknown_order_is_seen(
    processor: Processor, acme: Organisation, team_pack: Pack
) -> None:
    order, session_id = stand_before_pay_page(acme, team_pack)
    processor.pay(session_id)
    Order.objects.update(public_id="ord_later", provider_session_id=None, provider_payment_id=None)
    Attempt.objects.update(session_id="")
    soon = utc_now() + timedelta(minutes=3)
    found = list(services.find_unknown_payments(now=soon))
    assert {(one.amount_minor, one.currency) for one in found} == {(9500, "USD")}
    assert len({one.payment_id for one in found}) == 1
    for one in found:
        services.place_payment(provider=one.provider, object_id=one.object_id, final=True, now=soon)
    assert StrayPayment.objects.get().kind == "unmatched"
    assert untouched(order)


def test_a_processor_that_disagrees_afterwards_is_heard(
    processor: Processor, acme: Organisation, team_pack: Pack
) -> None:
    order, session_id = stand_before_pay_page(acme, team_pack)
    deliver(processor, *processor.pay(session_id))
    assert list(services.find_disputed_orders(now=utc_now())) == []
    processor.tamper(session_id, amount_minor=100)
    [disputed] = services.find_disputed_orders(now=utc_now())
    assert (disputed.order, disputed.differences) == (order, {"amount_minor": [9500, 100]})


def test_events_of_unknown_kinds_and_forged_ones(
    processor: Processor, acme: Organisation, team_pack: Pack, client
) -> None:
    order, session_id = stand_before_pay_page(acme, team_pack)
    event = processor.pay(session_id)[-1]
    body, headers = processor.signed(event)
    for spoiled_body, spoiled in ((body + b" ", headers), (body, {})):
        answer = client.post(
            f"/webhooks/payments/{processor.name}/",
            data=spoiled_body,
            content_type="application/json",
            headers=spoiled,
        )
        assert answer.status_code == 400
    assert not InboxEvent.objects.exists()
    assert untouched(order)
    assert post_event(processor, event) == 200


def test_nothing_is_asked_about_a_draft(
    processor: Processor, acme: Organisation, team_pack: Pack
) -> None:
    order = start_order(acme, team_pack)
    services.cancel_order(order=order, actor=SYSTEM_ACTOR, now=utc_now())
    assert processor.count_sessions() == 0
