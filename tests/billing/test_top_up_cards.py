"""Saved cards: one at a time, seen when the provider has it, and what it is asked to charge."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import stripe

from accounts.models import Organisation
from accounts.services import SYSTEM_ACTOR
from marketplace.billing import services, top_up_state
from marketplace.billing.models import InboxEvent, Order, Pack, SavedCard, StrayPayment
from marketplace.billing.payment_provider import PaymentRefused
from marketplace.billing.sandbox.adapter import SandboxProvider
from marketplace.billing.saved_cards import AuthenticationNeeded, CardVisit, ChargeRequest
from marketplace.billing.stripe import cards
from portal.kernel.clock import utc_now
from tests.billing.processors import Processor, SandboxProcessor, StripeProcessor, deliver
from tests.billing.top_ups import actions, agree, owner_of, run, save_card, top_ups_of
from tests.fakes.stripe_server import FakeStripe


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


def test_a_visit_is_its_organisations_alone(
    acme: Organisation, globex: Organisation, processor: Processor
) -> None:
    pages = [
        services.begin_card_visit(organisation=company, user=owner_of(company), now=utc_now())
        for company in (acme, globex)
    ]
    assert pages[0] != pages[1]
    ours, theirs = SavedCard.objects.order_by("pk")
    assert ours.customer_id != theirs.customer_id
    processor.save_card(ours.visit_id or "", "good")
    services.look_at_card_visits(organisation=globex, now=utc_now())
    assert (top_up_state.find_card(acme), top_up_state.find_card(globex)) == (None, None)


def test_another_provider_knows_neither_the_customer_nor_the_visit(acme: Organisation) -> None:
    """Of before the site took payments through this one; it cannot be asked any more either."""
    services.begin_card_visit(organisation=acme, user=owner_of(acme), now=utc_now())
    SavedCard.objects.update(provider="stripe", customer_id="cus_1")
    services.begin_card_visit(organisation=acme, user=owner_of(acme), now=utc_now())
    before, now = SavedCard.objects.order_by("pk")
    assert (before.provider, before.removed_at) == ("stripe", None)
    assert now.provider == "sandbox"
    assert now.customer_id not in ("", "cus_1")


def test_a_card_whose_provider_does_not_answer_is_forgotten_later(
    acme: Organisation, globex: Organisation
) -> None:
    gone, other = (save_card(company, SandboxProcessor()) for company in (acme, globex))
    SavedCard.objects.filter(pk=gone.pk).update(provider="stripe")
    for card in (gone, other):
        services.remove_card(card=card, actor=SYSTEM_ACTOR, now=utc_now())
        card.refresh_from_db()
    assert (gone.forgotten_at, gone.removed_at is None) == (None, False)
    assert other.forgotten_at is not None
    SavedCard.objects.filter(pk=gone.pk).update(provider="sandbox")
    run()
    gone.refresh_from_db()
    assert gone.forgotten_at is not None


@pytest.mark.parametrize("end", ["over", "unknown"])
def test_a_visit_that_came_to_nothing_makes_room_for_another(
    acme: Organisation, fake_stripe: FakeStripe, end: str
) -> None:
    first = services.begin_card_visit(organisation=acme, user=owner_of(acme), now=utc_now())
    visit = SavedCard.objects.get().visit_id or ""
    if end == "over":
        fake_stripe.account.sessions[visit]["status"] = "expired"
    else:
        del fake_stripe.account.sessions[visit]
    services.look_at_card_visits(organisation=acme, now=utc_now())
    ended = SavedCard.objects.get()
    assert ended.removed_at is not None
    assert ended.forgotten_at is not None
    again = services.begin_card_visit(organisation=acme, user=owner_of(acme), now=utc_now())
    assert again != first
    assert SavedCard.objects.count() == 2


def test_two_looks_at_once_save_the_card_once(
    acme: Organisation, monkeypatch: pytest.MonkeyPatch
) -> None:
    services.begin_card_visit(organisation=acme, user=owner_of(acme), now=utc_now())
    SandboxProcessor().save_card(SavedCard.objects.get().visit_id or "", "good")
    retrieve = SandboxProvider.retrieve_card_visit

    def be_overtaken(provider: SandboxProvider, visit_id: str) -> CardVisit:
        monkeypatch.setattr(SandboxProvider, "retrieve_card_visit", retrieve)
        services.look_at_card_visits(organisation=acme, now=utc_now())
        return retrieve(provider, visit_id)

    monkeypatch.setattr(SandboxProvider, "retrieve_card_visit", be_overtaken)
    services.look_at_card_visits(organisation=acme, now=utc_now())
    assert top_up_state.find_card(acme) == SavedCard.objects.get()
    assert actions(acme) == ["card.saved"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"customer_id": "cus_other"}, "card_unknown"),
        ({"amount_minor": 9501}, "idempotency_key_reused"),
        ({"currency": "EUR"}, "idempotency_key_reused"),
    ],
)
def test_the_sandbox_charges_no_other_customer_and_nothing_else_under_a_key(
    acme: Organisation, change: dict[str, Any], code: str
) -> None:
    card, provider = save_card(acme, SandboxProcessor()), SandboxProvider()
    request = ChargeRequest(
        customer_id=card.customer_id,
        card_id=card.card_id,
        amount_minor=9500,
        currency="USD",
        description="Team",
        metadata={"order": "ord_1"},
    )
    if code == "idempotency_key_reused":
        provider.charge_card(request, idempotency_key="key")
    charged = SandboxProcessor().count_charged()
    with pytest.raises(PaymentRefused) as refused:
        provider.charge_card(replace(request, **change), idempotency_key="key")
    assert refused.value.code == code
    assert SandboxProcessor().count_charged() == charged


@pytest.mark.parametrize(
    ("status", "code", "is_lost", "refusal"),
    [
        ("succeeded", "", False, None),
        ("processing", "", False, None),
        ("requires_payment_method", "card_declined", True, PaymentRefused),
        ("requires_payment_method", "authentication_required", True, AuthenticationNeeded),
        ("requires_action", "", True, AuthenticationNeeded),
        ("requires_confirmation", "", True, PaymentRefused),
        ("canceled", "card_declined", False, PaymentRefused),
        ("canceled", "authentication_required", False, AuthenticationNeeded),
    ],
)
def test_what_a_charge_at_stripe_has_come_to(
    status: str, code: str, is_lost: bool, refusal: type[Exception] | None
) -> None:
    payment = stripe.PaymentIntent.construct_from(
        {"status": status, "last_payment_error": {"code": code} if code else None}, "key"
    )
    assert cards.is_lost(payment) is is_lost
    refused = cards.refusal_of(payment)
    assert refused is None if refusal is None else isinstance(refused, refusal)
