"""Automatic top-up when the bank says no, or wants to ask the card's holder."""

from datetime import timedelta

from accounts.models import Organisation
from accounts.services import SYSTEM_ACTOR
from marketplace.billing import services, top_up_state
from marketplace.billing.models import Pack
from marketplace.billing.services.top_ups import HOLDER_HAS
from portal.kernel.clock import utc_now
from tests.billing.processors import Processor, deliver
from tests.billing.shop import MILLION, balance_of, credited_once
from tests.billing.top_ups import actions, agree, outcomes, run, top_ups_of

MINUTE = timedelta(minutes=1)


def test_declined_it_backs_off_and_switches_itself_off_after_three(
    acme: Organisation, team_pack: Pack, processor: Processor
) -> None:
    rule = agree(acme, team_pack, processor, "declines")
    start = utc_now()
    run(start)
    [first] = top_ups_of(acme)
    assert (first.status, first.failure_code) == ("failed", "card_declined")
    assert not first.may_be_paid(now=start)
    run(start + 14 * MINUTE)
    assert len(top_ups_of(acme)) == 1
    run(start + 16 * MINUTE)
    run(start + 100 * MINUTE)
    assert len(top_ups_of(acme)) == 2
    run(start + 137 * MINUTE)
    rule.refresh_from_db()
    assert rule.end_reason == "failures"
    run(start + timedelta(days=2))
    assert len(top_ups_of(acme)) == 3
    assert processor.count_charged() == 0
    assert balance_of(acme) == 0
    assert outcomes(acme) == ["declined"] * 3 + ["failures"]
    assert actions(acme).count("top_up.ended") == 1


def test_a_success_in_between_forgets_the_failures(
    acme: Organisation, team_pack: Pack, processor: Processor
) -> None:
    rule = agree(acme, team_pack, processor, "declines")
    start = utc_now()
    run(start)
    run(start + 16 * MINUTE)
    processor.change_card("good")
    run(start + timedelta(hours=3))
    assert top_up_state.count_failures(rule) == 0
    assert balance_of(acme) == 105 * MILLION


def test_when_the_bank_asks_for_the_holder_the_order_waits_for_its_pay_page(
    acme: Organisation, team_pack: Pack, processor: Processor
) -> None:
    agree(acme, team_pack, processor, "asks_holder")
    start = utc_now()
    run(start)
    [order] = top_ups_of(acme)
    assert order.needs_holder
    assert order.may_be_paid(now=start)
    assert outcomes(acme) == ["authenticate"]
    if processor.name == "stripe":
        [payment] = processor.fake.account.payments.values()  # type: ignore[attr-defined]
        assert payment["status"] == "canceled"
    # What the provider tells of it, and time, change nothing; and nothing else is charged.
    services.sweep_orders(now=start + 10 * MINUTE)
    run(start + timedelta(hours=5))
    [order] = top_ups_of(acme)
    assert order.needs_holder
    services.open_payment(order=order, now=start + MINUTE)
    order.refresh_from_db()
    assert order.expires_at == start + HOLDER_HAS
    # Who left the page may go there again.
    assert order.may_be_paid(now=start + MINUTE)
    deliver(processor, *processor.pay(order.provider_session_id or ""))
    assert credited_once(order)
    assert processor.count_charged() == 9500
    assert outcomes(acme) == ["authenticate", "paid"]


def test_an_order_whose_holder_never_comes_expires_and_counts_as_failed(
    acme: Organisation, team_pack: Pack, processor: Processor
) -> None:
    rule = agree(acme, team_pack, processor, "asks_holder")
    start = utc_now()
    run(start)
    services.sweep_orders(now=start + HOLDER_HAS + MINUTE)
    [order] = top_ups_of(acme)
    assert order.status == "expired"
    assert top_up_state.count_failures(rule) == 1


def test_an_order_that_is_called_off_counts_as_failed(
    acme: Organisation, team_pack: Pack, processor: Processor
) -> None:
    rule = agree(acme, team_pack, processor, "asks_holder")
    run()
    [order] = top_ups_of(acme)
    services.cancel_order(order=order, actor=SYSTEM_ACTOR, now=utc_now())
    assert top_up_state.count_failures(rule) == 1
    assert run() == 0
    assert len(top_ups_of(acme)) == 1
