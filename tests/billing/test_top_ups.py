"""Automatic top-up, through each payment provider: what is charged, when, and when it is not."""

from datetime import timedelta

import pytest

from accounts.models import Organisation, User
from accounts.services import SYSTEM_ACTOR
from marketplace.billing import services, top_up_state
from marketplace.billing.models import Pack, TopUpRule
from marketplace.billing.services.top_ups import LEASE
from marketplace.ledger import services as ledger
from marketplace.ledger.models import Wallet
from portal.kernel.clock import utc_now
from tests.billing.money_back import approve, ask, send, spend
from tests.billing.processors import Processor, SandboxProcessor, deliver, stand_before_pay_page
from tests.billing.shop import MILLION, balance_of, credited_once
from tests.billing.top_ups import actions, agree, outcomes, run, top_ups_of

MINUTE = timedelta(minutes=1)


def test_below_the_mark_the_pack_is_bought_once_and_told(
    acme: Organisation, ada: User, team_pack: Pack, processor: Processor
) -> None:
    agree(acme, team_pack, processor)
    assert run() == 1
    [order] = top_ups_of(acme)
    assert credited_once(order)
    assert order.ordered_by == ada
    assert balance_of(acme) == 105 * MILLION
    assert processor.count_charged() == 9500
    assert outcomes(acme) == ["paid"]
    assert actions(acme) == [
        "card.saved", "top_up.agreed", "order.started", "order.paid",
    ]  # fmt: skip
    # Enough now: nothing happens until enough is spent.
    assert run(utc_now() + MINUTE) == 0
    spend(acme, 56 * MILLION)
    assert run(utc_now() + 2 * MINUTE) == 1
    assert processor.count_charged() == 19000
    assert balance_of(acme) == (2 * 105 - 56) * MILLION


def test_events_of_a_charge_find_it_credited(
    acme: Organisation, team_pack: Pack, processor: Processor
) -> None:
    agree(acme, team_pack, processor)
    run()
    services.sweep_orders(now=utc_now() + 10 * MINUTE)
    [order] = top_ups_of(acme)
    assert credited_once(order)
    assert balance_of(acme) == 105 * MILLION
    later = utc_now() + 10 * MINUTE
    assert not list(services.find_uncredited_orders(now=later))
    assert not list(services.find_unknown_payments(now=later))
    assert not list(services.find_disputed_orders(now=later))


def test_a_top_up_is_refunded_like_any_order(
    acme: Organisation, sam: User, team_pack: Pack, processor: Processor
) -> None:
    agree(acme, team_pack, processor)
    run()
    [order] = top_ups_of(acme)
    request = ask(order, expected=9500)
    approve(request, sam)
    assert send(request).state == "done"
    order.refresh_from_db()
    assert order.status == "reversed"
    assert balance_of(acme) == 0


@pytest.mark.parametrize("ending", ["off", "card"])
def test_off_is_at_once_and_twice_is_once(
    acme: Organisation, team_pack: Pack, processor: Processor, ending: str
) -> None:
    rule = agree(acme, team_pack, processor)
    for _time in range(2):
        if ending == "off":
            services.switch_off_top_up(organisation=acme, actor=SYSTEM_ACTOR, now=utc_now())
        else:
            services.remove_card(card=rule.card, actor=SYSTEM_ACTOR, now=utc_now())
    assert run() == 0
    assert processor.count_charged() == 0
    assert top_ups_of(acme) == []
    assert actions(acme).count("top_up.ended") == 1
    rule.card.refresh_from_db()
    assert (rule.card.forgotten_at is None) == (ending == "off")
    assert outcomes(acme) == []


def test_a_removed_card_can_be_charged_by_nobody(
    acme: Organisation, team_pack: Pack, processor: Processor
) -> None:
    """Not even under a rule that should not be there any more."""
    rule = agree(acme, team_pack, processor)
    services.remove_card(card=rule.card, actor=SYSTEM_ACTOR, now=utc_now())
    TopUpRule.objects.update(ended_at=None, end_reason="")
    assert run() == 0
    assert processor.count_charged() == 0


def test_nothing_is_charged_while_the_wallet_is_frozen(
    acme: Organisation, team_pack: Pack, processor: Processor
) -> None:
    rule = agree(acme, team_pack, processor)
    run()
    spend(acme, balance_of(acme))
    wallet = Wallet.objects.get(owner_key=acme.public_id, unit="live")
    ledger.freeze_wallet(wallet_pk=wallet.pk, reason="staff", now=utc_now())
    assert run() == 0
    assert top_up_state.judge_rule(rule, now=utc_now()).reason == "frozen"
    assert processor.count_charged() == 9500


def test_who_owes_is_told_that_not_that_the_wallet_is_frozen(
    acme: Organisation, team_pack: Pack
) -> None:
    """A debt freezes too; what ends it is what the page has to say."""
    processor = SandboxProcessor()
    rule = agree(acme, team_pack, processor)
    run()
    [order] = top_ups_of(acme)
    spend(acme, balance_of(acme))
    deliver(processor, *processor.dispute(order.provider_session_id or ""))
    assert Wallet.objects.get(owner_key=acme.public_id, unit="live").frozen
    assert run() == 0
    assert top_up_state.judge_rule(rule, now=utc_now()).reason == "debt"
    assert processor.count_charged() == 9500
    assert outcomes(acme) == ["paid"]


def test_a_dead_workers_turn_is_taken_over(
    acme: Organisation, team_pack: Pack, processor: Processor
) -> None:
    agree(acme, team_pack, processor)
    now = utc_now()
    TopUpRule.objects.update(leased_until=now + LEASE)
    assert run(now) == 0
    assert top_ups_of(acme) == []
    assert run(now + LEASE) == 1


def test_an_order_by_hand_is_no_top_up(
    acme: Organisation, team_pack: Pack, processor: Processor
) -> None:
    """Of a person who buys while the rule looks: both are charged, and only one by itself."""
    agree(acme, team_pack, processor)
    by_hand, session = stand_before_pay_page(acme, team_pack)
    assert run() == 1
    deliver(processor, *processor.pay(session))
    assert credited_once(by_hand)
    assert [one.pk for one in top_ups_of(acme)] != [by_hand.pk]
    assert len(top_ups_of(acme)) == 1
