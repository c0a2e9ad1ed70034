"""The door for payment events: genuine ones are stored once, others leave no trace."""

import base64
import hashlib
import hmac
import itertools
import json
from datetime import timedelta

import pytest
import time_machine
from django.test import Client

from accounts.models import Organisation
from marketplace.billing import selectors, services
from marketplace.billing.models import (
    Attempt,
    InboxEvent,
    Order,
    Pack,
    SandboxEvent,
    SandboxSession,
)
from marketplace.billing.sandbox import delivery, processor, signature
from marketplace.billing.services.inbox import LEASE, MAX_TRIES
from portal.kernel.clock import utc_now
from tests.billing.shop import (
    INBOX,
    balance_of,
    credited_once,
    deliver,
    open_order,
    pay,
    payload,
    post,
    sign,
    signed,
    untouched,
)

pytestmark = pytest.mark.django_db


def test_a_signed_event_credits_the_order(acme: Organisation, team_pack: Pack) -> None:
    order, session = open_order(acme, team_pack)
    deliver(pay(session)[0])
    assert credited_once(order)
    [event] = InboxEvent.objects.all()
    assert (event.state, event.attempts, event.object_id) == ("done", 1, session.session_id)
    assert event.done_at is not None


@pytest.mark.parametrize("order_of", list(itertools.permutations(range(4))))
def test_events_in_any_order_and_doubled_credit_once(
    acme: Organisation, team_pack: Pack, order_of: tuple[int, ...]
) -> None:
    """Completed and succeeded of a delayed payment, the first of them repeated, and a failure
    of an earlier attempt that arrives whenever it likes."""
    order, first = open_order(acme, team_pack)
    processor.decline(session_id=first.session_id, now=utc_now())
    services.settle_order(order_public_id=order.public_id, now=utc_now())
    services.open_payment(order=order, now=utc_now())
    session = SandboxSession.objects.latest("id")
    completed, succeeded = pay(session)
    failed = first.events.get()
    events = [completed, succeeded, completed, failed]
    for index in order_of:
        deliver(events[index])
    assert credited_once(order)
    assert InboxEvent.objects.filter(state="done").count() == 3


def test_replay_after_done_is_dropped(acme: Organisation, team_pack: Pack) -> None:
    order, session = open_order(acme, team_pack)
    body, headers = signed(pay(session)[0])
    assert post(body, headers).json() == {"received": True, "duplicate": False}
    assert services.drive_inbox(now=utc_now()) == 1
    for _ in range(3):
        assert post(body, headers).json() == {"received": True, "duplicate": True}
        assert services.drive_inbox(now=utc_now()) == 0
    assert credited_once(order)
    assert InboxEvent.objects.get().attempts == 1


def test_a_duplicate_of_a_failed_event_is_not_lost(acme: Organisation, team_pack: Pack) -> None:
    """De-duplication before success never fulfils; here only the done are dropped."""
    order, session = open_order(acme, team_pack)
    event = pay(session)[0]
    # The processor forgets the session for a while: the event fails.
    SandboxSession.objects.update(session_id="sbx_away", payment_id="sbp_away")
    Order.objects.update(provider_session_id=None, provider_payment_id=None)
    Attempt.objects.update(session_id="")
    body, headers = (
        payload(event.event_id, session.session_id),
        sign(payload(event.event_id, session.session_id), event.event_id),
    )
    post(body, headers)
    assert services.drive_inbox(now=utc_now()) == 0
    row = InboxEvent.objects.get()
    assert (row.state, row.attempts, row.last_error) == ("failed", 1, "session_unknown")
    assert untouched(order)
    SandboxSession.objects.update(session_id=session.session_id, payment_id=session.payment_id)
    assert post(body, headers).json()["duplicate"] is True
    assert services.drive_inbox(now=utc_now()) == 0, "not before its time"
    assert services.drive_inbox(now=utc_now() + timedelta(minutes=1)) == 1
    assert credited_once(order)


def test_a_webhook_that_overtakes_our_own_commit(acme: Organisation, team_pack: Pack) -> None:
    """It names a session that no order knows yet; the session names the order."""
    order, session = open_order(acme, team_pack)
    Attempt.objects.update(state="started", session_id="", pay_url="")
    Order.objects.update(status="draft", provider_session_id=None, provider_payment_id=None)
    deliver(pay(session)[0])
    assert credited_once(order)


def test_a_webhook_for_an_order_that_is_not_there_yet(acme: Organisation, team_pack: Pack) -> None:
    order, session = open_order(acme, team_pack)
    event = pay(session)[0]
    Order.objects.update(public_id="ord_later", provider_session_id=None, provider_payment_id=None)
    Attempt.objects.update(session_id="")
    deliver(event)
    row = InboxEvent.objects.get()
    assert (row.state, row.last_error) == ("failed", "order_unknown")
    Order.objects.update(public_id=order.public_id)
    assert services.drive_inbox(now=utc_now() + timedelta(minutes=1)) == 1
    assert credited_once(order)


def test_events_may_name_the_payment_instead_of_the_session(
    acme: Organisation, team_pack: Pack
) -> None:
    order, session = open_order(acme, team_pack)
    pay(session)
    body = payload("sbe_own", session.payment_id, type="session.payment_succeeded")
    post(body, sign(body, "sbe_own"))
    services.drive_inbox(now=utc_now())
    assert credited_once(order)


def test_what_an_event_says_is_not_believed(acme: Organisation, team_pack: Pack) -> None:
    """A genuine "completed" of a session that nobody has paid."""
    order, session = open_order(acme, team_pack)
    for kind in ("session.completed", "session.payment_succeeded"):
        body = payload(f"sbe_{kind}", session.session_id, type=kind)
        assert post(body, sign(body, f"sbe_{kind}")).status_code == 200
    assert services.drive_inbox(now=utc_now()) == 2
    assert untouched(order)
    assert order.status == "pending"


def test_unknown_types_are_stored_and_ignored(acme: Organisation, team_pack: Pack) -> None:
    order, session = open_order(acme, team_pack)
    pay(session)
    body = payload("sbe_new", session.session_id, type="subscription.renewed")
    assert post(body, sign(body, "sbe_new")).status_code == 200
    assert services.drive_inbox(now=utc_now()) == 0
    assert InboxEvent.objects.get().state == "ignored"
    assert untouched(order)


def _forgeries(body: bytes, now) -> dict[str, dict[str, str]]:
    genuine = sign(body, "sbe_1", now=now)
    empty_key = signature.sign(body, event_id="sbe_1", secret=b"", now=now)
    stamp = genuine["webhook-timestamp"]
    unsigned_id = hmac.new(signature.get_secret(), stamp.encode() + b"." + body, hashlib.sha256)
    return {
        "no headers": {},
        "no signature": {**genuine, "webhook-signature": ""},
        "empty secret": empty_key,
        "other secret": signature.sign(body, event_id="sbe_1", secret=b"x" * 50, now=now),
        "other body": sign(body + b" ", "sbe_1", now=now),
        "other id": {**genuine, "webhook-id": "sbe_2"},
        "other time": {**genuine, "webhook-timestamp": str(int(stamp) + 1)},
        "other version": {
            **genuine,
            "webhook-signature": genuine["webhook-signature"].replace("v1,", "v0,"),
        },
        "bare signature": {**genuine, "webhook-signature": genuine["webhook-signature"][3:]},
        "without id": {
            **genuine,
            "webhook-signature": "v1," + base64.b64encode(unsigned_id.digest()).decode(),
        },
        "stale": sign(body, "sbe_1", now=now - timedelta(minutes=6)),
        "from the future": sign(body, "sbe_1", now=now + timedelta(minutes=6)),
        "no number": {**genuine, "webhook-timestamp": "yesterday"},
        "negative": {**genuine, "webhook-timestamp": "-1"},
        "superscript": {**genuine, "webhook-timestamp": "²"},
        "endless": {**genuine, "webhook-timestamp": "9" * 400},
        "not ascii": {**genuine, "webhook-signature": "v1,é"},
    }


FORGERIES = [
    "no headers", "no signature", "empty secret", "other secret", "other body", "other id",
    "other time", "other version", "bare signature", "without id", "stale", "from the future",
    "no number", "negative", "superscript", "endless", "not ascii",
]  # fmt: skip


@pytest.mark.parametrize("forgery", FORGERIES)
def test_forged_events_are_refused_and_leave_nothing(
    acme: Organisation, team_pack: Pack, forgery: str
) -> None:
    order, session = open_order(acme, team_pack)
    pay(session)
    body = payload("sbe_1", session.session_id)
    answer = post(body, _forgeries(body, utc_now())[forgery])
    assert answer.status_code == 400
    assert not InboxEvent.objects.exists()
    assert untouched(order)
    assert signature.get_secret().decode() not in answer.content.decode()


def test_one_good_signature_among_several_is_enough(acme: Organisation, team_pack: Pack) -> None:
    """Standard Webhooks lists several while a secret is being rotated."""
    _order, session = open_order(acme, team_pack)
    body, headers = signed(pay(session)[0])
    headers["webhook-signature"] = f"v1,AAAA v2,BBBB {headers['webhook-signature']}"
    assert post(body, headers).status_code == 200


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
        b'{"id": "sbe_1"}',
        b"[" * 100_000,
        json.dumps({"id": "sbe_1", "type": 1, "created": 1, "livemode": False}).encode(),
        payload("sbe_other", "sbx_1"),
        payload("sbe_1", ""),
        payload("sbe_1", "a\x00b"),
        payload("sbe_1", "x" * 121),
        payload("sbe_1", "sbx_1", type="x" * 81),
        payload("sbe_1", "sbx_1", created=10**30),
        payload("sbe_1", "sbx_1", created="now"),
        payload("sbe_1", "sbx_1", livemode="false"),
        payload("sbe_1", "sbx_1", object=[]),
    ],
    # The bodies hold the time: as names they would differ between the suite's workers.
    ids=itertools.count(1),
)
def test_well_signed_nonsense_is_refused(body: bytes) -> None:
    assert post(body, sign(body, "sbe_1")).status_code == 400
    assert not InboxEvent.objects.exists()


def test_events_of_the_other_mode_are_refused(acme: Organisation, team_pack: Pack) -> None:
    order, session = open_order(acme, team_pack)
    pay(session)
    body = payload("sbe_1", session.session_id, livemode=True)
    answer = post(body, sign(body, "sbe_1"))
    assert (answer.status_code, answer.json()) == (400, {"error": "livemode_wrong"})
    assert not InboxEvent.objects.exists()
    assert untouched(order)


def test_the_door_takes_small_posts_for_known_providers_only() -> None:
    client = Client(enforce_csrf_checks=True)
    assert client.get(INBOX).status_code == 405
    big = b" " * (256 * 1024 + 1)
    assert post(big, sign(big, "sbe_1"), client).status_code == 413
    answer = client.post("/webhooks/payments/stripe/", data=b"{}", content_type="application/json")
    assert answer.status_code == 404
    assert not InboxEvent.objects.exists()


def test_the_door_is_shut_where_the_sandbox_is_off(
    acme: Organisation, team_pack: Pack, settings
) -> None:
    order, session = open_order(acme, team_pack)
    body, headers = signed(pay(session)[0])
    settings.SANDBOX_PAYMENTS = False
    assert post(body, headers).status_code == 404
    settings.SANDBOX_PAYMENTS = True
    settings.SERVED_OVER_HTTPS = True
    assert post(body, headers).status_code == 404
    settings.SERVED_OVER_HTTPS = False
    settings.STRIPE_SECRET_KEY = "sk_live_" + "x" * 20
    assert post(body, headers).status_code == 404
    assert untouched(order)


def test_a_dead_workers_event_is_taken_over_after_its_lease(
    acme: Organisation, team_pack: Pack
) -> None:
    order, session = open_order(acme, team_pack)
    post(*signed(pay(session)[0]))
    now = utc_now()
    InboxEvent.objects.update(state="processing", leased_until=now + LEASE, attempts=1)
    assert services.drive_inbox(now=now) == 0
    assert untouched(order)
    assert services.drive_inbox(now=now + LEASE) == 1
    assert credited_once(order)


def test_tries_become_rarer_and_end_as_stuck(acme: Organisation, team_pack: Pack) -> None:
    order, _session = open_order(acme, team_pack)
    body = payload("sbe_1", "sbx_nobody")
    post(body, sign(body, "sbe_1"))
    now, waits = utc_now(), []
    for _ in range(MAX_TRIES + 3):
        services.drive_inbox(now=now)
        row = InboxEvent.objects.get()
        assert row.state == "failed"
        assert row.leased_until is not None
        waits.append(row.leased_until - now)
        now = max(now, row.leased_until)
    assert row.attempts == MAX_TRIES
    assert waits[:4] == [timedelta(seconds=30 * 2**n) for n in range(4)]
    assert max(waits) == timedelta(hours=1)
    assert list(selectors.list_stuck_events(now=now, late_by=timedelta(minutes=3))) == [row]
    assert untouched(order)


def test_the_sandbox_delivers_by_itself_and_each_event_once(
    acme: Organisation, team_pack: Pack
) -> None:
    order, session = open_order(acme, team_pack)
    pay(session)
    assert delivery.deliver_due_events() == 2
    assert delivery.deliver_due_events() == 0
    assert credited_once(order)
    assert SandboxEvent.objects.filter(delivered_at__isnull=True).count() == 0
    assert balance_of(acme) == order.total_millitokens


def test_an_interrupted_delivery_is_taken_up_again(acme: Organisation, team_pack: Pack) -> None:
    order, session = open_order(acme, team_pack)
    pay(session)
    now = utc_now()
    # Another process took them and died before our inbox had them.
    SandboxEvent.objects.update(attempts=1, next_attempt_at=now + timedelta(seconds=30))
    assert delivery.deliver_due_events(now=now) == 0
    with time_machine.travel(now + timedelta(seconds=31)):
        assert delivery.deliver_due_events() == 2
    assert credited_once(order)
