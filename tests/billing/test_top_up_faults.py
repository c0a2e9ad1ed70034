"""Automatic top-up when things break: whatever dies on the way, one charge and one credit."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from accounts.models import Organisation
from accounts.services import SYSTEM_ACTOR
from marketplace.billing import services, top_up_state
from marketplace.billing.models import Order, Pack, TopUpRule
from marketplace.billing.payment_provider import PaymentOutcomeUnknown, PaymentRefused
from marketplace.billing.sandbox.adapter import SandboxProvider
from marketplace.billing.saved_cards import AuthenticationNeeded
from marketplace.billing.services import settlement, top_ups
from marketplace.billing.services.top_ups import LEASE
from marketplace.billing.stripe import client
from marketplace.ledger import services as ledger
from marketplace.reconciliation.models import Finding, RunKind
from marketplace.reconciliation.services import reconcile_balances
from portal.kernel.clock import utc_now
from tests.billing.money_back import spend
from tests.billing.processors import Processor, SandboxProcessor, StripeProcessor, deliver
from tests.billing.shop import balance_of, credited_once, make_pack
from tests.billing.test_billing_concurrency import at_once, survives_in_child
from tests.billing.top_ups import agree, outcomes, run, top_ups_of
from tests.cast import make_organisation
from tests.databases import CommittedDatabase
from tests.fakes.stripe_server import FakeStripe
from tests.fakes.stripe_server_api import Fault


@pytest.fixture
def impatient(fake_stripe: FakeStripe, monkeypatch: pytest.MonkeyPatch) -> FakeStripe:
    """One try a call, and no waiting: each fault is seen."""
    monkeypatch.setattr(client, "TIMEOUT_SECONDS", (5.0, 0.2))
    monkeypatch.setattr(client, "RETRIES", 0)
    fake_stripe.hang_seconds = 0.3
    return fake_stripe


@pytest.mark.parametrize("fault", list(Fault))
def test_a_charge_fails_on_the_way_and_is_made_again(
    impatient: FakeStripe, acme: Organisation, team_pack: Pack, fault: Fault
) -> None:
    agree(acme, team_pack, StripeProcessor(impatient))
    impatient.break_next(fault, method="POST")
    now = utc_now()
    for _pass in range(3):
        run(now)
    [order] = top_ups_of(acme)
    assert credited_once(order)
    [payment] = impatient.account.payments.values()
    assert payment["amount_received"] == 9500
    assert balance_of(acme) == order.total_millitokens


@pytest.mark.parametrize("fault", [Fault.ERROR_500_AFTER, Fault.DROPPED_AFTER])
def test_a_refusal_that_was_not_heard_is_heard_after_all(
    impatient: FakeStripe, acme: Organisation, team_pack: Pack, fault: Fault
) -> None:
    agree(acme, team_pack, StripeProcessor(impatient), "asks_holder")
    impatient.break_next(fault, method="POST")
    now = utc_now()
    for _pass in range(2):
        run(now)
    [order] = top_ups_of(acme)
    assert order.needs_holder
    [payment] = impatient.account.payments.values()
    assert payment["status"] == "canceled"


def test_a_charge_whose_answer_is_lost_for_good_is_found_by_the_sweep(
    impatient: FakeStripe, acme: Organisation, team_pack: Pack
) -> None:
    """The rule has ended meanwhile: nobody repeats the call."""
    agree(acme, team_pack, StripeProcessor(impatient))
    impatient.break_next(Fault.DROPPED_AFTER, method="POST")
    run()
    impatient.account.events.clear()
    TopUpRule.objects.update(ended_at=utc_now(), end_reason="switched_off")
    run()
    [order] = top_ups_of(acme)
    assert not order.is_credited
    services.settle_order(order_public_id=order.public_id, now=utc_now())
    assert credited_once(order)
    assert len(impatient.account.payments) == 1


@pytest.mark.parametrize("meanwhile", ["replaced", "expired"])
def test_a_charge_that_is_no_longer_wanted_is_not_made_again(
    impatient: FakeStripe, acme: Organisation, team_pack: Pack, meanwhile: str
) -> None:
    rule = agree(acme, team_pack, StripeProcessor(impatient))
    impatient.break_next(Fault.DROPPED_BEFORE, method="POST")
    run()
    [order] = top_ups_of(acme)
    if meanwhile == "replaced":
        assert agree(acme, team_pack, StripeProcessor(impatient), cap_minor=9500) != rule
    run(order.expires_at if meanwhile == "expired" else None)
    assert not impatient.account.payments
    services.sweep_orders(now=order.expires_at)
    [order] = top_ups_of(acme)
    assert order.status == "expired"


def test_a_charge_that_arrives_after_its_order_ended_is_credited(
    impatient: FakeStripe, acme: Organisation, team_pack: Pack
) -> None:
    agree(acme, team_pack, StripeProcessor(impatient))
    impatient.break_next(Fault.DROPPED_AFTER, method="POST")
    run()
    Order.objects.update(status="expired")
    services.sweep_orders(now=utc_now())
    [order] = top_ups_of(acme)
    assert credited_once(order)


def test_what_another_worker_bought_before_the_claim_is_not_bought_again(
    acme: Organisation, team_pack: Pack, processor: Processor, monkeypatch: pytest.MonkeyPatch
) -> None:
    agree(acme, team_pack, processor)
    claim = top_ups._claim

    def be_overtaken(rule: TopUpRule, *, now: datetime) -> bool:
        monkeypatch.setattr(top_ups, "_claim", claim)
        assert run() == 1
        return claim(rule, now=now)

    monkeypatch.setattr(top_ups, "_claim", be_overtaken)
    assert run() == 0
    assert processor.count_charged() == 9500
    assert len(top_ups_of(acme)) == 1


def test_twenty_workers_at_once_charge_once(
    committed_db: CommittedDatabase, processor: Processor
) -> None:
    acme = make_organisation("Acme Ltd", slug="acme")
    agree(acme, make_pack(), processor)
    results = at_once(20, lambda _number: run())
    assert not [result for result in results if isinstance(result, Exception)]
    assert sum(results) == 1
    [order] = top_ups_of(acme)
    assert credited_once(order)
    assert processor.count_charged() == 9500
    assert balance_of(acme) == order.total_millitokens


def test_a_worker_killed_at_any_statement_charges_and_credits_once(
    committed_db: CommittedDatabase, fake_stripe: FakeStripe
) -> None:
    """A child kills itself (-9) before its n-th statement, for every third n until it survives;
    the next pass after the lease finishes what it began."""
    acme, processor = make_organisation("Acme Ltd", slug="acme"), StripeProcessor(fake_stripe)
    agree(acme, make_pack(), processor, cap_minor=9500 * 200)
    found: set[str] = set()
    for number in range(100):
        survived = survives_in_child(run, 3 * number)
        charged, orders = processor.count_charged(), top_ups_of(acme)
        found.add(f"{len(orders) - number} order, {charged // 9500 - number} charge")
        found |= {"credited"} if top_up_state.find_open_order(acme) is None else set()
        run(utc_now() + LEASE)
        orders = top_ups_of(acme)
        assert len(orders) == number + 1
        assert all(credited_once(order) for order in orders[-1:]), number
        assert processor.count_charged() == 9500 * (number + 1), number
        assert balance_of(acme) == orders[-1].total_millitokens
        if survived:
            break
        spend(acme, balance_of(acme))
        TopUpRule.objects.update(leased_until=None)
    assert survived
    assert {"0 order, 0 charge", "1 order, 0 charge", "1 order, 1 charge"} <= found


def test_the_reconciliation_finds_nothing_to_say(
    committed_db: CommittedDatabase, processor: Processor
) -> None:
    """Of one that was credited, and of one whose holder paid it on the page."""
    acme, globex = make_organisation("Acme Ltd"), make_organisation("Globex")
    pack = make_pack()
    agree(acme, pack, processor)
    agree(globex, pack, processor, "asks_holder")
    run()
    [order] = top_ups_of(globex)
    services.open_payment(order=order, now=utc_now())
    order.refresh_from_db()
    deliver(processor, *processor.pay(order.provider_session_id or ""))
    assert credited_once(order)
    now = utc_now() + timedelta(hours=2)
    for number in range(2):
        reconcile_balances(
            trigger="command", kind=RunKind.FULL, now=now + number * timedelta(minutes=5)
        )
    assert [str(finding) for finding in Finding.objects.all()] == []


@pytest.mark.parametrize("refusal", [AuthenticationNeeded(), PaymentRefused(code="declined")])
def test_a_refusal_of_an_order_that_ended_meanwhile_changes_nothing(
    acme: Organisation,
    team_pack: Pack,
    monkeypatch: pytest.MonkeyPatch,
    refusal: Exception,
) -> None:
    agree(acme, team_pack, SandboxProcessor())

    def be_late(*_said: object, **_more: object) -> None:
        Order.objects.update(status="expired")
        raise refusal

    monkeypatch.setattr(SandboxProvider, "charge_card", be_late)
    assert run() == 0
    [order] = top_ups_of(acme)
    assert (order.status, order.failure_code) == ("expired", "")
    assert order.attempts.get().state in ("closed", "refused")
    assert outcomes(acme) == []


def test_what_was_charged_but_not_settled_is_neither_paid_nor_called_off(
    acme: Organisation, team_pack: Pack, processor: Processor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker has died between its two commits."""

    def die(**_said: object) -> bool:
        raise PaymentOutcomeUnknown

    agree(acme, team_pack, processor)
    with monkeypatch.context() as killed:
        killed.setattr(settlement, "settle_order", die)
        assert run() == 0
    [order] = top_ups_of(acme)
    assert order.is_charging
    assert not order.may_be_paid(now=utc_now())
    with pytest.raises(services.OrderClosed):
        services.cancel_order(order=order, actor=SYSTEM_ACTOR, now=utc_now())
    assert run() == 1
    assert credited_once(top_ups_of(acme)[0])
    assert processor.count_charged() == 9500


def test_while_the_ledger_is_unguarded_nothing_is_charged(
    acme: Organisation, team_pack: Pack, processor: Processor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise ledger.LedgerUnguarded

    agree(acme, team_pack, processor)
    with monkeypatch.context() as unguarded:
        unguarded.setattr(ledger, "refuse_when_unguarded", refuse)
        assert run() == 0
    assert top_ups_of(acme) == []
    assert processor.count_charged() == 0
    assert run() == 1


def test_a_bug_about_one_rule_leaves_the_others_their_turn(
    acme: Organisation, globex: Organisation, team_pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, _sound = (agree(one, team_pack, SandboxProcessor()) for one in (acme, globex))
    advance = top_ups._advance

    def crash(rule: TopUpRule, *, now: datetime) -> bool:
        if rule == broken:
            raise ZeroDivisionError
        return advance(rule, now=now)

    monkeypatch.setattr(top_ups, "_advance", crash)
    assert run() == 1
    assert top_ups_of(acme) == []
    broken.refresh_from_db()
    assert broken.leased_until is None


def test_a_payment_that_succeeds_before_it_is_cancelled_is_credited(
    acme: Organisation, team_pack: Pack, fake_stripe: FakeStripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bank said that it wants the holder, and let it through after all."""
    agree(acme, team_pack, StripeProcessor(fake_stripe), "asks_holder")
    cancel = fake_stripe.account.cards.cancel_payment

    def be_late(payment_id: str) -> dict[str, Any]:
        fake_stripe.account.receive(fake_stripe.account.payments[payment_id])
        return cancel(payment_id)

    monkeypatch.setattr(fake_stripe.account.cards, "cancel_payment", be_late)
    assert run() == 1
    [order] = top_ups_of(acme)
    assert credited_once(order)
    assert not order.needs_holder
    assert outcomes(acme) == ["paid"]
