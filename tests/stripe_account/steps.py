"""What the adapter relies on at Stripe, step by step; each is an assertion about Stripe."""

import secrets
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.conf import settings

from marketplace.billing.currencies import SALE_CURRENCIES
from marketplace.billing.models import DisputeState, MovementKind, RefundState
from marketplace.billing.money_back import RefundOrder
from marketplace.billing.payment_provider import (
    PaymentRefused,
    PaymentSession,
    SessionRequest,
    SessionState,
    SessionUnknown,
)
from marketplace.billing.saved_cards import AuthenticationNeeded, CardRequest, ChargeRequest
from marketplace.billing.stripe.adapter import StripeProvider
from marketplace.billing.stripe.client import connect
from portal.kernel.clock import utc_now


def walk(*, patience: float) -> Iterator[str]:
    """What was tried, after it went well. ``patience``: seconds for what comes by itself."""
    began_at = utc_now() - timedelta(seconds=5)
    provider = StripeProvider()
    assert not provider.livemode
    order = f"ord_{secrets.token_hex(8)}"
    yield from _open_and_close(provider, order)
    payment = _pay("pm_card_visa", order)
    yield from _give_back(provider, payment, order)
    disputed = _pay("pm_card_createDispute", order)
    yield from _dispute(provider, disputed, patience)
    yield from _saved_cards(provider, order)
    yield from _account(provider, payment, disputed, began_at, patience)


def _open_and_close(provider: StripeProvider, order: str) -> Iterator[str]:
    key, request = f"{order}-1", _request(order)
    made = provider.create_session(request, idempotency_key=key)
    assert provider.create_session(request, idempotency_key=key) == made
    assert (made.state, made.amount_minor, made.currency) == (SessionState.OPEN, 9500, "USD")
    assert made.metadata["order"] == order
    yield "one key makes one session"
    with pytest.raises(PaymentRefused) as refused:
        provider.create_session(_request(order, amount_minor=9600), idempotency_key=key)
    assert refused.value.code == "idempotency_key_reused"
    yield "a key with other parameters is refused"
    assert provider.find_session(order_id=order) == made
    assert provider.retrieve_session(made.session_id) == made
    yield "a session is found by its order and by its id"
    assert provider.expire_session(made.session_id).state is SessionState.EXPIRED
    assert provider.expire_session(made.session_id).state is SessionState.EXPIRED
    yield "a closed session stays closed"
    with pytest.raises(SessionUnknown):
        provider.retrieve_session("cs_test_nothing")
    yield "an unknown session is unknown"
    for number, currency in enumerate(SALE_CURRENCIES, start=2):
        asked = _request(order, currency=currency, amount_minor=95_000)
        made = provider.create_session(asked, idempotency_key=f"{order}-{number}")
        assert (made.amount_minor, made.currency) == (95_000, currency)
        provider.expire_session(made.session_id)
    yield f"all of {', '.join(SALE_CURRENCIES)} are charged in our minor unit"


def _give_back(provider: StripeProvider, payment: str, order: str) -> Iterator[str]:
    refund = RefundOrder(
        payment_id=payment, amount_minor=950, currency="USD", request_id="rfq_1", order_id=order
    )
    sent = provider.send_refund(refund)
    assert provider.send_refund(refund) == sent
    assert (sent.amount_minor, sent.currency, sent.request_id) == (950, "USD", "rfq_1")
    assert sent.state in (RefundState.SUCCEEDED, RefundState.PENDING)
    assert [one.refund_id for one in provider.retrieve_money_back(payment).refunds] == [
        sent.refund_id
    ]
    assert provider.find_payment(sent.refund_id) == payment
    yield "a refund goes once, and says whose it is"
    more = RefundOrder(
        payment_id=payment, amount_minor=9000, currency="USD", request_id="rfq_2", order_id=order
    )
    with pytest.raises(PaymentRefused):
        provider.send_refund(more)
    yield "no more goes back than is left"


def _dispute(provider: StripeProvider, payment: str, patience: float) -> Iterator[str]:
    [dispute] = _wait_for(lambda: provider.retrieve_money_back(payment).disputes, patience)
    assert (dispute.amount_minor, dispute.currency) == (9500, "USD")
    assert dispute.state is DisputeState.OPEN
    assert provider.find_payment(dispute.dispute_id) == payment
    yield "a dispute is told, and whose it is"


def _saved_cards(provider: StripeProvider, order: str) -> Iterator[str]:
    client = connect(settings.STRIPE_SECRET_KEY, settings.STRIPE_API_URL)
    organisation = order.replace("ord", "org")
    who: dict[str, str] = {"name": "Acme", "email": "buyer@example.com"}
    customer = provider.create_customer(organisation_id=organisation, **who)
    assert provider.create_customer(organisation_id=organisation, **who) == customer
    yield "an organisation is one customer"
    site = "https://market.example.com/"
    request = CardRequest(
        customer_id=customer,
        currency="USD",
        language="en",
        return_url=site,
        cancel_url=site,
        metadata={"organisation": organisation},
    )
    visit = provider.begin_card_visit(request, idempotency_key=f"{order}-card")
    assert provider.retrieve_card_visit(visit.visit_id).card is None
    client.v1.checkout.sessions.expire(visit.visit_id)
    assert provider.retrieve_card_visit(visit.visit_id).is_over
    yield "a page that saves a card opens, and is over when it is closed"

    def charge(method: str) -> PaymentSession:
        attached = client.v1.payment_methods.attach(method, {"customer": customer})
        asked = ChargeRequest(
            customer_id=customer,
            card_id=attached.id,
            amount_minor=9500,
            currency="USD",
            description="Team: 100M tokens",
            metadata={"order": order, "organisation": organisation},
        )
        key = f"{order}-{method}"
        paid = provider.charge_card(asked, idempotency_key=key)
        assert provider.charge_card(asked, idempotency_key=key) == paid
        provider.forget_card(attached.id)
        with pytest.raises(PaymentRefused):
            provider.charge_card(asked, idempotency_key=f"{key}-again")
        return paid

    paid = charge("pm_card_visa")
    assert (paid.is_paid, paid.amount_minor, paid.currency) == (True, 9500, "USD")
    yield "a saved card is charged once a key, and not when it was forgotten"
    with pytest.raises(PaymentRefused) as declined:
        charge("pm_card_chargeCustomerFail")
    assert declined.value.code == "card_declined"
    yield "a card that is declined is told"
    with pytest.raises(AuthenticationNeeded):
        charge("pm_card_authenticationRequired")
    yield "a card whose holder is needed is told"


def _account(
    provider: StripeProvider, payment: str, disputed: str, since: datetime, patience: float
) -> Iterator[str]:
    def read() -> list[tuple[MovementKind, int, str]]:
        lines = provider.list_movements(since=since)
        return sorted(
            (line.kind, line.amount_minor, line.currency)
            for line in lines
            if line.payment_id in (payment, disputed)
        )

    expected = [
        (MovementKind.CHARGE, 9500, "USD"),
        (MovementKind.CHARGE, 9500, "USD"),
        (MovementKind.DISPUTE, -9500, "USD"),
        (MovementKind.REFUND, -950, "USD"),
    ]
    _wait_for(lambda: read() == expected, patience)
    yield "the account has a line for each charge, refund and dispute, and what moved it"
    _wait_for(
        lambda: payment in {event.object_id for event in provider.list_events(since=since)},
        patience,
    )
    yield "events are listed by our kinds"


def _request(order: str, **more: Any) -> SessionRequest:
    site = "https://market.example.com/"
    asked = {
        "amount_minor": 9500,
        "currency": "USD",
        "description": "Team: 100M tokens",
        "customer_email": "buyer@example.com",
        "language": "zh-hans",
        "return_url": site,
        "cancel_url": site,
        "expires_at": (utc_now() + timedelta(minutes=60)).isoformat(),
        "metadata": {"order": order, "organisation": "org_1"},
    }
    return SessionRequest(**{**_FIXED.setdefault(order, asked), **more})


# The same order is asked for in the same words, its end included.
_FIXED: dict[str, dict[str, Any]] = {}


def _pay(method: str, order: str) -> str:
    """As a buyer on the pay page, which no program can use: $95 by a card of Stripe's tests."""
    client = connect(settings.STRIPE_SECRET_KEY, settings.STRIPE_API_URL)
    payment = client.v1.payment_intents.create(
        {
            "amount": 9500,
            "currency": "usd",
            "payment_method": method,
            "confirm": True,
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
            "metadata": {"order": order},
        }
    )
    assert payment.status == "succeeded", payment.status
    return payment.id


def _wait_for(call: Callable[[], Any], patience: float) -> Any:
    """The first answer that is not empty."""
    ends_at = time.monotonic() + patience
    while not (answer := call()):
        assert time.monotonic() < ends_at, "Stripe did not come to this"
        time.sleep(2)
    return answer
