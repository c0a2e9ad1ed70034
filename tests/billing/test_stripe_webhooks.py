"""Stripe at the inbox's door: its own signature scheme, two forms of events, and much nonsense."""

import itertools
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import stripe
from django.test import Client

from accounts.models import Organisation
from marketplace.billing import services
from marketplace.billing.models import InboxEvent, Order, Pack
from marketplace.billing.payment_provider import EventRefused
from marketplace.billing.stripe import events
from portal.kernel.clock import utc_now
from tests.billing.processors import StripeProcessor, deliver, stand_before_pay_page
from tests.billing.shop import credited_once, untouched
from tests.fakes.stripe_server import WEBHOOK_SECRET, FakeStripe

pytestmark = pytest.mark.django_db

DOOR = "/webhooks/payments/stripe/"


def post(body: bytes, signature: str | None) -> Any:
    headers = {} if signature is None else {"stripe-signature": signature}
    return Client(enforce_csrf_checks=True).post(
        DOOR, data=body, content_type="application/json", headers=headers
    )


@pytest.fixture
def paid(fake_stripe: FakeStripe, acme: Organisation, team_pack: Pack) -> tuple[Order, bytes]:
    """A paid order of which we know nothing yet, and the event that tells."""
    order, session_id = stand_before_pay_page(acme, team_pack)
    event = fake_stripe.account.pay(session_id)[-1]
    assert event["type"] == "checkout.session.completed"
    return order, json.dumps(event).encode()


def test_the_sdk_signs_as_the_fake_does(fake_stripe: FakeStripe) -> None:
    body = b'{"a": "\xe6\xb5\x8b"}'
    theirs = stripe.WebhookSignature.generate_signature_header(
        body.decode(), WEBHOOK_SECRET, timestamp=1_800_000_000
    )
    assert fake_stripe.sign(body, at=1_800_000_000) == theirs


def test_every_kind_of_event_is_one_that_stripe_has() -> None:
    for kind in events.EVENT_TYPES:
        path = "".join(part.title().replace("_", "") for part in kind.split("."))
        assert hasattr(stripe.events, f"V1{path}EventNotification"), kind


@pytest.mark.parametrize("order_of", list(itertools.permutations(range(4))))
def test_snapshots_and_thin_events_in_any_order(
    fake_stripe: FakeStripe, acme: Organisation, team_pack: Pack, order_of: tuple[int, ...]
) -> None:
    order, session_id = stand_before_pay_page(acme, team_pack)
    told = [*fake_stripe.account.pay_later(session_id)]
    told += fake_stripe.account.receive_money(session_id)
    told.append(fake_stripe.as_thin(told[-1]))
    deliver(StripeProcessor(fake_stripe), *(told[index] for index in order_of))
    assert credited_once(order)
    assert InboxEvent.objects.filter(state="done").count() == 4


def test_a_thin_event_alone_is_enough(
    fake_stripe: FakeStripe, acme: Organisation, team_pack: Pack
) -> None:
    order, session_id = stand_before_pay_page(acme, team_pack)
    thin = fake_stripe.as_thin(fake_stripe.account.pay(session_id)[-1])
    deliver(StripeProcessor(fake_stripe), thin)
    assert credited_once(order)
    [row] = InboxEvent.objects.all()
    assert (row.event_type, row.object_id) == ("session.completed", session_id)


def test_what_an_event_says_is_not_believed(
    fake_stripe: FakeStripe, acme: Organisation, team_pack: Pack
) -> None:
    """A genuine "completed", with a payload that says paid, of a session that nobody has paid."""
    order, session_id = stand_before_pay_page(acme, team_pack)
    session = {**fake_stripe.account.sessions[session_id], "payment_status": "paid"}
    lie = fake_stripe.account.note("checkout.session.completed", session)
    deliver(StripeProcessor(fake_stripe), lie)
    assert InboxEvent.objects.get().state == "done"
    assert untouched(order)
    assert order.status == "pending"


def test_other_kinds_are_stored_and_ignored(
    fake_stripe: FakeStripe, acme: Organisation, team_pack: Pack
) -> None:
    order, session_id = stand_before_pay_page(acme, team_pack)
    fake_stripe.account.pay(session_id)
    other = fake_stripe.account.note("customer.created", {"id": "cus_1", "object": "customer"})
    deliver(StripeProcessor(fake_stripe), other)
    assert InboxEvent.objects.get().state == "ignored"
    assert untouched(order)


def test_a_redelivery_is_known(fake_stripe: FakeStripe, paid: tuple[Order, bytes]) -> None:
    order, body = paid
    assert post(body, fake_stripe.sign(body)).json() == {"received": True, "duplicate": False}
    assert services.drive_inbox(now=utc_now()) == 1
    assert post(body, fake_stripe.sign(body)).json() == {"received": True, "duplicate": True}
    assert services.drive_inbox(now=utc_now()) == 0
    assert credited_once(order)


def _ago(**times: float) -> float:
    return (utc_now() - timedelta(**times)).timestamp()


FORGERIES: dict[str, Callable[[FakeStripe, bytes], str | None]] = {
    "no header": lambda fake, body: None,
    "empty": lambda fake, body: "",
    "nonsense": lambda fake, body: "genuine",
    "other body": lambda fake, body: fake.sign(body + b" "),
    "other secret": lambda fake, body: fake.sign(body, secret="whsec_other"),
    "empty secret": lambda fake, body: fake.sign(body, secret=""),
    "stale": lambda fake, body: fake.sign(body, at=_ago(minutes=6)),
    "from the future": lambda fake, body: fake.sign(body, at=_ago(minutes=-6)),
    "time moved": lambda fake, body: fake.sign(body, at=_ago(minutes=1)).replace(
        f"t={int(_ago(minutes=1))}", f"t={int(_ago())}"
    ),
    "two times": lambda fake, body: f"t={int(_ago())},{fake.sign(body, at=_ago(minutes=6))}",
    # The SDK alone would take the old time as the signed one, a laxer reader the new one as fresh.
    "a time in a time": lambda fake, body: fake.sign(body, at=_ago(minutes=6)).replace(
        ",", f"=x,t={int(_ago())},", 1
    ),
    "no time": lambda fake, body: fake.sign(body).split(",")[1],
    "no signature": lambda fake, body: fake.sign(body).split(",")[0],
    "other scheme": lambda fake, body: fake.sign(body).replace("v1=", "v0="),
    "in capitals": lambda fake, body: fake.sign(body).replace("v1=", "V1="),
    "not ascii": lambda fake, body: f"t={int(_ago())},v1=é",
    "superscript": lambda fake, body: fake.sign(body).replace("t=", "t=²"),
    "endless": lambda fake, body: f"t={'9' * 400},v1={'a' * 64}",
    "negative": lambda fake, body: fake.sign(body).replace("t=", "t=-"),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_forged_events_are_refused_and_leave_nothing(
    fake_stripe: FakeStripe, paid: tuple[Order, bytes], forgery: str
) -> None:
    order, body = paid
    answer = post(body, FORGERIES[forgery](fake_stripe, body))
    assert answer.status_code == 400
    assert not InboxEvent.objects.exists()
    assert untouched(order)
    assert WEBHOOK_SECRET not in answer.content.decode()


def test_one_good_signature_among_several_is_enough(
    fake_stripe: FakeStripe, paid: tuple[Order, bytes]
) -> None:
    """Stripe signs with both secrets while one is being rolled."""
    _order, body = paid
    stamp, good = fake_stripe.sign(body).split(",")
    assert post(body, f"{stamp},v1={'0' * 64},{good},v0={'0' * 64}").status_code == 200


@pytest.mark.parametrize("secret", ["", "   ", "whsec_", "whsec_other"])
def test_a_missing_secret_lets_nothing_in(
    fake_stripe: FakeStripe, paid: tuple[Order, bytes], settings: Any, secret: str
) -> None:
    order, body = paid
    settings.STRIPE_WEBHOOK_SECRET = secret
    for signed in (fake_stripe.sign(body, secret=secret.strip()), fake_stripe.sign(body)):
        assert post(body, signed).status_code == 404
    with pytest.raises(EventRefused):
        events.verify(
            body, {"stripe-signature": fake_stripe.sign(body)}, secret=secret, now=utc_now()
        )
    assert untouched(order)


SOUND: dict[str, Any] = {
    "id": "evt_1",
    "object": "event",
    "type": "checkout.session.completed",
    "created": 1_800_000_000,
    "livemode": False,
    "data": {"object": {"id": "cs_test_1", "object": "checkout.session"}},
}
THIN: dict[str, Any] = {
    "id": "evt_1",
    "object": "v2.core.event",
    "type": "v1.checkout.session.completed",
    "created": "2026-11-24T08:00:00.000Z",
    "livemode": False,
    "related_object": {"id": "cs_test_1", "type": "checkout.session", "url": "/v1/…"},
}


SPOILT: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (SOUND, {"id": None}),
    (SOUND, {"id": ""}),
    (SOUND, {"id": "e" * 121}),
    (SOUND, {"object": "list"}),
    (SOUND, {"type": 1}),
    (SOUND, {"type": "x" * 81}),
    (SOUND, {"created": "now"}),
    (SOUND, {"created": 10**30}),
    (SOUND, {"livemode": "false"}),
    (SOUND, {"data": []}),
    (SOUND, {"data": {"object": "cs_test_1"}}),
    (SOUND, {"data": {"object": {}}}),
    (SOUND, {"data": {"object": {"id": "a\x00b"}}}),
    (SOUND, {"data": {"object": {"id": "\ud800"}}}),
    (SOUND, {"account": "acct_other"}),
    (THIN, {"context": "acct_other"}),
    (THIN, {"created": "soon"}),
    (THIN, {"created": 1_800_000_000}),
    (THIN, {"related_object": None}),
    (THIN, {"related_object": {"id": 1}}),
]


@pytest.mark.parametrize("sound", [SOUND, THIN])
def test_the_sound_ones_are_taken(fake_stripe: FakeStripe, sound: dict[str, Any]) -> None:
    body = json.dumps(sound).encode()
    assert post(body, fake_stripe.sign(body)).status_code == 200
    assert InboxEvent.objects.get().object_id == "cs_test_1"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"1",
        b'"text"',
        b"not json",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        *(json.dumps({**sound, **changes}).encode() for sound, changes in SPOILT),
    ],
    ids=itertools.count(1),
)
def test_well_signed_nonsense_is_refused(fake_stripe: FakeStripe, body: bytes) -> None:
    assert post(body, fake_stripe.sign(body)).status_code == 400
    assert not InboxEvent.objects.exists()


def test_events_of_the_other_mode_are_refused(
    fake_stripe: FakeStripe, paid: tuple[Order, bytes]
) -> None:
    order, body = paid
    live = json.dumps({**json.loads(body), "livemode": True}).encode()
    answer = post(live, fake_stripe.sign(live))
    assert (answer.status_code, answer.json()) == (400, {"error": "livemode_wrong"})
    assert not InboxEvent.objects.exists()
    assert untouched(order)
