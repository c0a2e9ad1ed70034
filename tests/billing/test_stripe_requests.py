"""What Stripe is asked for, and what its answers mean: its own types hold us and the fake to it."""

from datetime import datetime, timedelta
from typing import Any, Literal

import pytest
import stripe
import time_machine
from stripe.params.checkout import SessionCreateParams

from marketplace.billing.currencies import SALE_CURRENCIES
from marketplace.billing.payment_provider import (
    PaymentRefused,
    SessionRequest,
    SessionUnknown,
)
from marketplace.billing.stripe.adapter import StripeProvider
from marketplace.billing.stripe.sessions import OUTLIVES_ORDER, build_parameters
from portal.kernel.clock import utc_now
from tests.fakes.stripe_server import FakeStripe
from tests.fakes.stripe_server_schema import (
    WrongParameter,
    find_invented_fields,
    require_parameters,
)


def make_request(**changes: Any) -> SessionRequest:
    wanted: dict[str, Any] = {
        "amount_minor": 9500,
        "currency": "USD",
        "description": "Team × 1",
        "customer_email": "ada@acme.example",
        "language": "en",
        "return_url": "http://localhost:8000/o/acme/orders/ord_1/",
        "cancel_url": "http://localhost:8000/o/acme/orders/ord_1/",
        "expires_at": (utc_now() + timedelta(hours=1)).isoformat(),
        "metadata": {"order": "ord_1", "organisation": "org_1"},
        **changes,
    }
    return SessionRequest(**wanted)


def create(fake: FakeStripe, key: str = "ord_1-1", **changes: Any) -> Any:
    """The session at Stripe, as an integrator would see it there."""
    session = StripeProvider().create_session(make_request(**changes), idempotency_key=key)
    return fake.account.sessions[session.session_id]


def test_what_is_asked_for(fake_stripe: FakeStripe) -> None:
    create(fake_stripe)
    [asked] = fake_stripe.api.requests
    assert (asked.method, asked.path) == ("POST", "/v1/checkout/sessions")
    assert asked.headers["idempotency-key"] == "ord_1-1"
    assert asked.headers["stripe-version"] == "2026-10-28.endive"
    assert "telemetry" not in str(asked.headers).lower()
    marks = {"order": "ord_1", "organisation": "org_1", "attempt": "ord_1-1"}
    params = asked.params
    assert int(params.pop("expires_at")) > 0
    assert params == {
        "mode": "payment",
        "ui_mode": "hosted_page",
        "submit_type": "pay",
        "line_items": {
            "0": {
                "quantity": "1",
                "price_data": {
                    "currency": "usd",
                    "unit_amount": "9500",
                    "product_data": {"name": "Team × 1"},
                },
            }
        },
        "adaptive_pricing": {"enabled": "false"},
        "allowed_payment_method_types": {"0": "card", "1": "alipay", "2": "wechat_pay"},
        "payment_method_options": {"wechat_pay": {"client": "web"}},
        "client_reference_id": "ord_1",
        "customer_email": "ada@acme.example",
        "locale": "en",
        "metadata": marks,
        "payment_intent_data": {"description": "Team × 1", "metadata": marks},
        "success_url": "http://localhost:8000/o/acme/orders/ord_1/",
        "cancel_url": "http://localhost:8000/o/acme/orders/ord_1/",
        "expand": {"0": "payment_intent"},
    }


@pytest.mark.parametrize(("language", "locale"), [("en", "en"), ("zh-hans", "zh"), ("sw", "auto")])
def test_the_pay_page_speaks_the_buyers_language(
    fake_stripe: FakeStripe, language: str, locale: str
) -> None:
    assert create(fake_stripe, language=language)["locale"] == locale


@pytest.mark.parametrize("methods", [["card"], ["alipay"], []])
def test_payment_methods_are_the_sites_choice(
    fake_stripe: FakeStripe, settings: Any, methods: list[str]
) -> None:
    settings.STRIPE_PAYMENT_METHODS = methods
    create(fake_stripe)
    params = fake_stripe.api.requests[0].params
    assert list(params.get("allowed_payment_method_types", {}).values()) == methods
    assert "payment_method_options" not in params
    assert "payment_method_types" not in params


@pytest.mark.parametrize("currency", SALE_CURRENCIES)
def test_every_currency_on_sale_is_charged_in_our_minor_unit(currency: str) -> None:
    asked = build_parameters(make_request(currency=currency), attempt="k", payment_methods=[])
    price = asked["line_items"][0]["price_data"]
    assert (price["unit_amount"], price["currency"]) == (9500, currency.lower())


@pytest.mark.parametrize("currency", ["ISK", "UGX", "KWD", "XYZ", "usd"])
def test_other_currencies_are_refused_before_stripe_hears_of_them(
    fake_stripe: FakeStripe, currency: str
) -> None:
    with pytest.raises(PaymentRefused) as refusal:
        create(fake_stripe, currency=currency)
    assert refusal.value.code == "currency_not_chargeable"
    assert not fake_stripe.api.requests


@pytest.mark.parametrize("minutes", [1, 30, 60, 23 * 60])
def test_the_page_lives_as_long_as_stripe_allows_whatever_is_left_of_the_order(
    fake_stripe: FakeStripe, minutes: int
) -> None:
    ends = utc_now() + timedelta(minutes=minutes)
    session = create(fake_stripe, expires_at=ends.isoformat())
    assert session["expires_at"] == int((ends + OUTLIVES_ORDER).timestamp())


def test_the_fake_invents_no_fields(fake_stripe: FakeStripe) -> None:
    session = create(fake_stripe)
    fake_stripe.account.decline(session["id"])
    [payment] = fake_stripe.account.payments.values()
    [event] = fake_stripe.account.events
    fake_stripe.account.pay(session["id"])
    [line] = fake_stripe.account.balance.list()
    assert not find_invented_fields(line, stripe.BalanceTransaction)
    assert not find_invented_fields(line["source"], stripe.Charge)
    setup = fake_stripe.account.setup
    setup.add_endpoint("https://market.example.com/", ["*"])
    assert not find_invented_fields(setup.endpoints[0], stripe.WebhookEndpoint)
    assert not find_invented_fields(setup.show_profile(), stripe.Account)
    assert not find_invented_fields(setup.show_tax(), stripe.tax.Settings)
    for one in setup.list_configurations():
        assert not find_invented_fields(one, stripe.PaymentMethodConfiguration)
    assert not find_invented_fields(session, stripe.checkout.Session)
    assert not find_invented_fields(payment, stripe.PaymentIntent)
    assert not find_invented_fields(event, stripe.Event)


@pytest.mark.parametrize(
    ("form", "param"),
    [
        ({"payment_method_types": {"0": "card"}, "mode": "payment"}, "payment_method_types"),
        ({"idempotency_key": "k"}, "idempotency_key"),
        ({"ui_mode": "hosted"}, "ui_mode"),
        ({"locale": "zh-CN"}, "locale"),
        ({"line_items": {"0": {"quantity": "one"}}}, "line_items[0][quantity]"),
        ({"line_items": {"1": {"quantity": "1"}}}, "line_items"),
        ({"line_items": {"0": {"price_data": {"unit_amount": "1"}}}}, "line_items[0]"),
        ({"adaptive_pricing": {"enabled": "no"}}, "adaptive_pricing[enabled]"),
        ({"allowed_payment_method_types": {"0": "barter"}}, "allowed_payment_method_types[0]"),
    ],
)
def test_the_fake_is_as_strict_as_the_types(form: dict[str, Any], param: str) -> None:
    with pytest.raises(WrongParameter) as wrong:
        require_parameters(form, SessionCreateParams)
    assert wrong.value.param.startswith(param)


def test_the_sdk_still_calls_its_states_as_we_read_them() -> None:
    """A new state of a session would be read as no session at all."""
    said = stripe.checkout.Session.__annotations__
    assert said["status"] == Literal["complete", "expired", "open"] | str | None
    assert said["payment_status"] == Literal["no_payment_required", "paid", "unpaid"] | str


@pytest.mark.parametrize("object_id", ["", "cs_nobody", "pi_nobody", "re_1", "../events", "sbx_1"])
def test_what_stripe_does_not_know_is_unknown(fake_stripe: FakeStripe, object_id: str) -> None:
    create(fake_stripe)
    with pytest.raises(SessionUnknown):
        StripeProvider().retrieve_session(object_id)


def test_a_session_is_found_by_its_payment(fake_stripe: FakeStripe) -> None:
    create(fake_stripe, key="other")
    session = create(fake_stripe)
    fake_stripe.account.pay(session["id"])
    create(fake_stripe, key="another")
    found = StripeProvider().retrieve_session(session["payment_intent"])
    assert (found.session_id, found.payment_id) == (session["id"], session["payment_intent"])
    assert found.is_paid


def test_long_lists_are_read_to_their_end(fake_stripe: FakeStripe) -> None:
    since = utc_now()
    first = create(fake_stripe, key="first", metadata={"order": "ord_first"})
    for number in range(130):
        session = create(fake_stripe, key=f"k{number}")
        fake_stripe.account.decline(session["id"])
    found = StripeProvider().find_session(order_id="ord_first")
    assert found is not None
    assert found.session_id == first["id"]
    events = StripeProvider().list_events(since=since)
    assert [event.event_id for event in events] == [e["id"] for e in fake_stripe.account.events]
    assert StripeProvider().find_session(order_id="ord_nobody") is None


def test_events_are_listed_since_then_and_of_our_kinds_only(fake_stripe: FakeStripe) -> None:
    session = create(fake_stripe)
    with time_machine.travel(utc_now() + timedelta(hours=1), tick=False):
        later = utc_now()
        fake_stripe.account.note("customer.created", {"id": "cus_1", "object": "customer"})
        fake_stripe.account.pay(session["id"])
    listed = StripeProvider().list_events(since=later)
    assert [event.type for event in listed] == [
        "session.payment_succeeded",
        "session.completed",
    ]
    assert {event.livemode for event in listed} == {False}
    assert listed[0].created_at == datetime.fromtimestamp(int(later.timestamp()), later.tzinfo)
    assert StripeProvider().list_events(since=later + timedelta(seconds=1)) == []


def test_other_uses_of_the_account_hide_nothing(fake_stripe: FakeStripe) -> None:
    """A session in setup mode has no amount, another shop's no metadata."""
    ours = create(fake_stripe)
    in_setup = create(fake_stripe, key="setup", metadata={"order": "of_theirs"})
    in_setup |= {"amount_total": None, "currency": None, "status": None, "mode": "setup"}
    create(fake_stripe, key="theirs")["metadata"] = None
    found = StripeProvider().find_session(order_id="ord_1")
    assert found is not None
    fake_stripe.account.pay(ours["id"])
    broken = fake_stripe.account.note("checkout.session.expired", {"id": "", "object": "x"})
    events = StripeProvider().list_events(since=utc_now() - timedelta(minutes=1))
    assert broken["id"] not in {event.event_id for event in events}
    assert len(events) == 2
