"""Automatic top-up, through each payment provider: what is charged, when, and when it is not."""

from datetime import timedelta
from typing import Any

import pytest

from accounts.models import AuditEvent, Notice, Organisation, User
from accounts.services import SYSTEM_ACTOR
from marketplace.billing import services, top_up_state
from marketplace.billing.models import (
    InboxEvent,
    Order,
    Pack,
    PackPrice,
    SavedCard,
    StrayPayment,
    TopUpRule,
)
from marketplace.billing.services.top_ups import HOLDER_HAS, LEASE
from marketplace.ledger import services as ledger
from marketplace.ledger.models import Wallet
from portal.kernel.clock import utc_now
from tests.billing.money_back import approve, ask, send, spend
from tests.billing.processors import (
    Processor,
    SandboxProcessor,
    StripeProcessor,
    deliver,
    stand_before_pay_page,
)
from tests.billing.shop import MILLION, balance_of, credited_once
from tests.billing.top_ups import agree, make_terms, owner_of, run, save_card, top_ups_of
from tests.fakes.stripe_server import FakeStripe

MINUTE = timedelta(minutes=1)


def outcomes(organisation: Organisation) -> list[str]:
    """What its first owner was told of top-ups, in order."""
    told = Notice.objects.filter(
        organisation=organisation,
        person=owner_of(organisation),
        kind__in=["top_up_paid", "top_up_failed"],
    )
    return [one.params.get("outcome", "paid") for one in told.order_by("id")]


def actions(organisation: Organisation) -> list[str]:
    kept = AuditEvent.objects.filter(organisation=organisation).order_by("id")
    return list(kept.values_list("action", flat=True))


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


def test_the_cap_of_the_month_holds_and_is_told_once(
    acme: Organisation, team_pack: Pack, processor: Processor
) -> None:
    agree(acme, team_pack, processor, cap_minor=19_000)
    for number in range(4):
        if run(utc_now() + number * MINUTE):
            spend(acme, balance_of(acme))
    assert processor.count_charged() == 19_000
    assert len(top_ups_of(acme)) == 2
    assert outcomes(acme) == ["paid", "paid", "cap"]


def test_of_the_organisations_month_not_of_utc(
    acme: Organisation, team_pack: Pack, processor: Processor
) -> None:
    acme.timezone = "Pacific/Auckland"
    acme.save()
    rule = agree(acme, team_pack, processor, cap_minor=9_500)
    run()
    spend(acme, balance_of(acme))
    began = top_up_state.begin_of_month(acme.timezone, now=utc_now())
    next_month = top_up_state.begin_of_month(acme.timezone, now=began + timedelta(days=40))
    rule.refresh_from_db()
    assert top_up_state.judge_rule(rule, now=next_month - MINUTE).reason == "cap"
    assert top_up_state.judge_rule(rule, now=next_month).reason == ""


def test_the_month_stays_the_one_that_was_agreed_to(
    acme: Organisation, team_pack: Pack, processor: Processor
) -> None:
    """Whoever moves to another time zone does not get a month's worth twice."""
    rule = agree(acme, team_pack, processor, cap_minor=9_500)
    assert "(time zone UTC)" in rule.consent_text
    run()
    spend(acme, balance_of(acme))
    began = top_up_state.begin_of_month("UTC", now=utc_now())
    next_month = top_up_state.begin_of_month("UTC", now=began + timedelta(days=40))
    acme.timezone = "Pacific/Auckland"
    acme.save()
    assert run(next_month - MINUTE) == 0
    assert processor.count_charged() == 9_500
    rule = TopUpRule.objects.get()
    assert top_up_state.judge_rule(rule, now=next_month - MINUTE).reason == "cap"
    assert top_up_state.judge_rule(rule, now=next_month).reason == ""


def test_what_was_ordered_last_month_and_paid_in_this_one_counts(
    acme: Organisation, team_pack: Pack, processor: Processor
) -> None:
    rule = agree(acme, team_pack, processor, cap_minor=9_500)
    run()
    spend(acme, balance_of(acme))
    began = top_up_state.begin_of_month(acme.timezone, now=utc_now())
    rule.orders.update(created_at=began - MINUTE)
    assert run() == 0
    assert top_up_state.judge_rule(rule, now=utc_now()).reason == "cap"
    assert processor.count_charged() == 9_500


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


@pytest.mark.parametrize("change", ["price", "off_sale", "tax"])
def test_another_offer_than_was_agreed_to_is_never_charged(
    acme: Organisation, team_pack: Pack, processor: Processor, settings: Any, change: str
) -> None:
    rule = agree(acme, team_pack, processor)
    if change == "price":
        PackPrice.objects.filter(currency="USD").update(amount_minor=9501)
    elif change == "off_sale":
        Pack.objects.update(on_sale=False)
    else:
        settings.TAX_BASIS_POINTS, settings.TAX_NAME = 1900, "VAT"
    assert run() == 0
    rule.refresh_from_db()
    assert rule.end_reason == "offer_changed"
    assert top_ups_of(acme) == []
    assert processor.count_charged() == 0
    assert outcomes(acme) == ["offer_changed"]


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


def test_the_consent_is_kept_word_by_word(
    acme: Organisation, ada: User, team_pack: Pack, processor: Processor
) -> None:
    rule = agree(acme, team_pack, processor)
    for said in ("$95.00", "$200.00", "50,000,000", "105,000,000", "Visa •••• 4242", "Team × 1"):
        assert said in rule.consent_text
    assert rule.agreed_by == ada
    again = agree(acme, team_pack, processor)
    assert again == rule
    other = agree(acme, team_pack, processor, cap_minor=30_000)
    rule.refresh_from_db()
    assert (rule.end_reason, other.ended_at) == ("replaced", None)
    assert actions(acme)[-2:] == ["top_up.ended", "top_up.agreed"]


def test_what_was_not_shown_is_not_agreed_to(
    acme: Organisation, team_pack: Pack, processor: Processor
) -> None:
    card = save_card(acme, processor)
    shown = make_terms(card, team_pack)
    PackPrice.objects.filter(currency="USD").update(amount_minor=9900)
    team_pack = Pack.objects.get()
    with pytest.raises(services.ConsentChanged):
        services.agree_to_top_up(
            terms=make_terms(card, team_pack),
            digest=shown.digest,
            user=owner_of(acme),
            actor=SYSTEM_ACTOR,
            now=utc_now(),
        )
    assert not TopUpRule.objects.exists()
    assert actions(acme) == ["card.saved"]


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("threshold", {"threshold_millitokens": 0}),
        ("threshold", {"threshold_millitokens": 106 * MILLION}),
        ("cap", {"cap_minor": 9_499}),
        ("pack", {"scope": "modality:chat"}),
    ],
)
def test_terms_that_no_rule_can_have(
    acme: Organisation, team_pack: Pack, field: str, changes: dict[str, Any]
) -> None:
    if scope := changes.pop("scope", ""):
        team_pack.scope = scope
    with pytest.raises(services.TopUpTermsRejected) as refusal:
        agree(acme, team_pack, SandboxProcessor(), **changes)
    assert refusal.value.data == {"field": field}
    assert not TopUpRule.objects.exists()


def test_one_card_at_a_time(acme: Organisation, team_pack: Pack, processor: Processor) -> None:
    card = save_card(acme, processor)
    with pytest.raises(services.CardSavedAlready):
        services.begin_card_visit(organisation=acme, user=owner_of(acme), now=utc_now())
    services.remove_card(card=card, actor=SYSTEM_ACTOR, now=utc_now())
    other = save_card(acme, processor)
    assert other.customer_id == card.customer_id
    assert SavedCard.objects.count() == 2


def test_a_second_click_leads_to_the_same_page(acme: Organisation, processor: Processor) -> None:
    addresses = {
        services.begin_card_visit(organisation=acme, user=owner_of(acme), now=utc_now())
        for _time in range(2)
    }
    assert len(addresses) == 1
    assert top_up_state.find_card(acme) is None


def test_a_visit_that_saves_a_card_is_no_payment_to_the_inbox(
    acme: Organisation, fake_stripe: FakeStripe
) -> None:
    processor = StripeProcessor(fake_stripe)
    services.begin_card_visit(organisation=acme, user=owner_of(acme), now=utc_now())
    visit = SavedCard.objects.get().visit_id or ""
    deliver(processor, *fake_stripe.account.cards.save(visit, "good"))
    assert InboxEvent.objects.get().state == "done"
    assert not Order.objects.exists()
    assert not StrayPayment.objects.exists()
    services.look_at_card_visits(organisation=acme, now=utc_now())
    assert top_up_state.find_card(acme) is not None


def test_of_two_visits_the_first_card_is_kept_and_the_other_forgotten(
    acme: Organisation, processor: Processor
) -> None:
    services.begin_card_visit(organisation=acme, user=owner_of(acme), now=utc_now())
    first = SavedCard.objects.get()
    SavedCard.objects.update(asked_at=utc_now() - timedelta(hours=25))
    services.begin_card_visit(organisation=acme, user=owner_of(acme), now=utc_now())
    SavedCard.objects.update(asked_at=utc_now())
    for card in SavedCard.objects.all():
        processor.save_card(card.visit_id or "", "good")
    services.look_at_card_visits(organisation=acme, now=utc_now())
    run()
    assert top_up_state.find_card(acme) == first
    other = SavedCard.objects.latest("id")
    assert other.saved_at is None
    assert other.forgotten_at is not None


def test_what_stripe_is_asked_for(
    acme: Organisation, team_pack: Pack, fake_stripe: FakeStripe
) -> None:
    """One customer for all cards of a company; the key beside the parameters, not among them."""
    agree(acme, team_pack, StripeProcessor(fake_stripe))
    run()
    [order] = top_ups_of(acme)
    asked = {(one.method, one.path.removeprefix("/v1/")): one for one in fake_stripe.api.requests}
    visit = asked["POST", "checkout/sessions"].params
    assert (visit["mode"], visit["allowed_payment_method_types"]) == ("setup", {"0": "card"})
    charge = asked["POST", "payment_intents"]
    assert charge.headers["idempotency-key"] == f"{order.public_id}-1"
    assert charge.params == {
        "amount": "9500",
        "currency": "usd",
        "customer": visit["customer"],
        "payment_method": next(iter(fake_stripe.account.cards.methods)),
        "allowed_payment_method_types": {"0": "card"},
        "off_session": "true",
        "confirm": "true",
        "description": f"Team × 1, order {order.public_id}",
        "metadata": {
            "order": order.public_id,
            "organisation": acme.public_id,
            "attempt": f"{order.public_id}-1",
        },
    }


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
