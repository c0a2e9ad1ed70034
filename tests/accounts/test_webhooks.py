"""Webhooks: what is told, once each, signed, until it is taken or given up."""

import base64
import hashlib
import hmac
import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from accounts import services as accounts
from accounts.models import (
    AuditEvent,
    Notice,
    NoticeKind,
    Organisation,
    User,
    WebhookDelivery,
    WebhookEndpoint,
)
from accounts.services import Standing
from accounts.services.webhook_sending import LEASE, PAUSES
from portal.kernel.clock import utc_now
from tests.accounts.test_notices import ORDER, follow, low, tell
from tests.accounts.webhooks import ALL_EVENTS, make_webhook
from tests.cast import make_key, signed_in
from tests.kernel.receiver import Receiver

pytest_plugins = ["tests.kernel.fixtures"]
PAGES = "/o/acme/settings/webhooks/"


@pytest.fixture
def hook(acme: Organisation, receiver: Receiver) -> tuple[WebhookEndpoint, str]:
    """An endpoint at our own receiver, and its secret."""
    return make_webhook(acme, f"http://{receiver.address}/hook")


def send(now: datetime | None = None) -> int:
    moment = now or utc_now()
    return accounts.send_due_webhooks(now=moment, clock=lambda: moment)


def read(receiver: Receiver, number: int = -1) -> tuple[dict[str, str], dict[str, Any]]:
    headers, body = receiver.taken[number]
    return headers, json.loads(body)


def signature(secret: str, headers: dict[str, str], body: bytes) -> str:
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    key = base64.b64decode(secret.removeprefix("whsec_"))
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def test_a_paid_order_is_told_once_signed_and_without_words(
    acme: Organisation, hook: tuple[WebhookEndpoint, str], receiver: Receiver
) -> None:
    for _time in range(2):
        tell(acme)
    assert (send(), send()) == (1, 0)
    [(headers, body)] = receiver.taken
    said = json.loads(body)
    assert said["type"] == "order.paid"
    assert said["data"] == {
        "order": ORDER["order"],
        "tokens": "50000000",
        "amount_minor": "5000",
        "currency": "USD",
    }
    assert headers["webhook-signature"] == signature(hook[1], headers, body)
    delivery = WebhookDelivery.objects.get()
    assert (delivery.state, delivery.answer_status, delivery.attempts) == ("delivered", 204, 1)


def test_a_low_balance_and_a_suspended_key_are_told(
    acme: Organisation, ada: User, hook: tuple[WebhookEndpoint, str], receiver: Receiver
) -> None:
    follow(acme, low())
    key, _text = make_key(acme, created_by=ada)
    for _time in range(2):
        accounts.suspend_api_key(key=key, actor=accounts.SYSTEM_ACTOR, now=utc_now())
    assert send() == 2
    said = {body["type"]: body["data"] for _headers, body in (read(receiver, n) for n in (0, 1))}
    assert said == {
        "balance.low": {"left_tokens": "12345", "mark_tokens": "100000"},
        "key.suspended": {"key": key.public_id, "suspended_by": "system"},
    }


def test_a_reached_budget_is_told_under_its_id(
    acme: Organisation, hook: tuple[WebhookEndpoint, str], receiver: Receiver
) -> None:
    figures = {"percent": 80, "spent_millitokens": 8_000, "max_millitokens": 10_000}
    params = {**figures, "period": "month", "person": "Mia", "ends_at": None}
    accounts.follow_causes(
        organisation=acme,
        kind=NoticeKind.BUDGET_REACHED,
        judge=lambda: [Standing(subject="bdg_1:2026-11-01T0000", stage=20, params=params)],
        now=utc_now(),
    )
    assert send() == 1
    assert read(receiver)[1]["data"] == {
        "budget": "bdg_1",
        "percent": 80,
        "period": "month",
        "spent_tokens": "8",
        "max_tokens": "10",
        "ends_at": None,
    }


def test_others_and_other_events_are_not_told(
    acme: Organisation, globex: Organisation, receiver: Receiver
) -> None:
    make_webhook(globex, f"http://{receiver.address}/globex")
    make_webhook(acme, f"http://{receiver.address}/acme", event_types=["key.suspended"])
    tell(acme)
    assert not WebhookDelivery.objects.exists()


def test_what_is_rolled_back_is_not_told(
    acme: Organisation, hook: tuple[WebhookEndpoint, str]
) -> None:
    with transaction.atomic():
        tell(acme)
        transaction.set_rollback(True)
    assert not WebhookDelivery.objects.exists()


def test_a_sender_that_died_is_followed_by_another_under_the_same_id(
    acme: Organisation,
    hook: tuple[WebhookEndpoint, str],
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tell(acme)
    now = utc_now()
    with monkeypatch.context() as patched:

        def die(*_arguments: Any) -> None:
            raise KeyboardInterrupt

        patched.setattr("accounts.services.webhook_sending._conclude", die)
        with pytest.raises(KeyboardInterrupt):
            send(now)
    assert send(now + LEASE / 2) == 0
    assert send(now + LEASE) == 1
    assert len(receiver.taken) == 2
    assert read(receiver, 0)[0]["webhook-id"] == read(receiver, 1)[0]["webhook-id"]


def test_failures_are_tried_again_later_and_later_then_given_up(
    acme: Organisation, hook: tuple[WebhookEndpoint, str], receiver: Receiver
) -> None:
    receiver.status = 500
    tell(acme)
    now = utc_now()
    for pause in PAUSES:
        assert send(now) == 0
        delivery = WebhookDelivery.objects.get()
        assert (delivery.state, delivery.due_at) == ("pending", now + pause)
        now += pause
    send(now)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts) == ("failed", len(PAUSES) + 1)
    assert (delivery.answer_status, delivery.failure_code) == (500, "webhook_failed")
    assert len(receiver.taken) == len(PAUSES) + 1


def test_one_with_much_to_hear_does_not_keep_others_waiting(
    acme: Organisation, hook: tuple[WebhookEndpoint, str], receiver: Receiver
) -> None:
    other = make_webhook(acme, f"http://{receiver.address}/other")[0]
    long_ago = utc_now() - timedelta(hours=1)
    waiting = [(hook[0], long_ago)] * 40 + [(other, utc_now())]
    for number, (endpoint, due_at) in enumerate(waiting):
        WebhookDelivery.objects.create(
            endpoint=endpoint, event_id=f"evt_{number}", event_type="webhook.test",
            created_at=long_ago, due_at=due_at,
        )  # fmt: skip
    assert send() == 5
    assert other.deliveries.get().state == "delivered"


def test_an_endpoint_that_fails_for_days_is_switched_off_and_on_by_an_owner(
    acme: Organisation, ada: User, hook: tuple[WebhookEndpoint, str], receiver: Receiver
) -> None:
    endpoint, _secret = hook
    receiver.status = 410
    tell(acme)
    now = utc_now()
    send(now)
    send(now + timedelta(days=5))
    endpoint.refresh_from_db()
    assert endpoint.stopped_at is not None
    assert Notice.objects.get(kind=NoticeKind.WEBHOOK_STOPPED).person == ada
    assert (
        "A webhook was switched off"
        in signed_in(ada).get("/o/acme/notifications/").content.decode()
    )
    tell(acme, "order:2")
    assert (WebhookDelivery.objects.count(), send(now + timedelta(days=9))) == (1, 0)
    receiver.status = 200
    page = f"{PAGES}{endpoint.public_id}/"
    assert signed_in(ada).post(f"{page}resume/").status_code == 302
    assert send(now + timedelta(days=9)) == 1


def test_private_addresses_are_refused_when_saved_and_when_sent(
    acme: Organisation, ada: User, hook: tuple[WebhookEndpoint, str], settings: Any
) -> None:
    answer = signed_in(ada).post(
        f"{PAGES}new/",
        {"url": "http://127.0.0.1:9/", "event_types": ["order.paid"], "once": "1"},
    )
    assert (answer.status_code, WebhookEndpoint.objects.count()) == (400, 1)
    settings.OUTBOUND_ALLOWED_PRIVATE = []
    tell(acme)
    assert send() == 0
    assert WebhookDelivery.objects.get().failure_code == "address_refused"


def test_the_secret_is_shown_once_encrypted_and_changed_with_both_for_a_day(
    acme: Organisation, ada: User, receiver: Receiver
) -> None:
    owner = signed_in(ada)
    form = {
        "url": f"http://{receiver.address}/hook",
        "event_types": ["order.paid"],
        "once": "once-1",
    }
    answer = owner.post(f"{PAGES}new/", form)
    endpoint = WebhookEndpoint.objects.get()
    old = endpoint.secret
    assert old in answer.content.decode()
    assert owner.post(f"{PAGES}new/", form).status_code == 302
    page = f"{PAGES}{endpoint.public_id}/"
    assert old not in owner.get(page).content.decode()
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret FROM accounts_webhookendpoint")
        assert "whsec_" not in cursor.fetchone()[0]
    assert owner.post(f"{page}secret/", {"once": "once-2"}).status_code == 200
    endpoint.refresh_from_db()
    new = endpoint.secret
    tell(acme)
    tell(acme, "order:2")
    WebhookDelivery.objects.filter(pk=WebhookDelivery.objects.latest("pk").pk).update(
        due_at=utc_now() + timedelta(hours=24)
    )
    assert send() == 1
    headers, body = receiver.taken[0]
    both = f"{signature(new, headers, body)} {signature(old, headers, body)}"
    assert headers["webhook-signature"] == both
    assert send(utc_now() + timedelta(hours=25)) == 1
    headers, body = receiver.taken[1]
    assert headers["webhook-signature"] == signature(new, headers, body)
    logged = AuditEvent.objects.filter(action__startswith="webhook.").order_by("pk")
    assert [event.action for event in logged] == ["webhook.created", "webhook.secret_changed"]
    assert not any(secret in str(event.after) for event in logged for secret in (old, new))


def test_a_test_and_a_message_sent_again_by_hand(
    acme: Organisation, ada: User, hook: tuple[WebhookEndpoint, str], receiver: Receiver
) -> None:
    owner, page = signed_in(ada), f"{PAGES}{hook[0].public_id}/"
    owner.post(f"{page}test/")
    assert send() == 1
    delivery = WebhookDelivery.objects.get()
    assert read(receiver)[1]["type"] == "webhook.test"
    owner.post(f"{page}deliveries/{delivery.public_id}/resend/")
    assert send() == 1
    assert read(receiver, 0)[0]["webhook-id"] == read(receiver, 1)[0]["webhook-id"]
    assert "Delivered" in owner.get(page).content.decode()


def test_there_are_ten_at_most_and_an_address_once(acme: Organisation, ada: User) -> None:
    for number in range(10):
        make_webhook(acme, f"https://hooks.example.com/{number}")
    with pytest.raises(accounts.WebhookRejected):
        make_webhook(acme, "https://hooks.example.com/more")
    one = WebhookEndpoint.objects.order_by("pk")[0]
    page = f"{PAGES}{one.public_id}/"
    twice = {"url": "https://hooks.example.com/1", "event_types": ALL_EVENTS}
    assert signed_in(ada).post(f"{page}change/", twice).status_code == 400
    assert signed_in(ada).post(f"{page}remove/").status_code == 302
    assert WebhookEndpoint.objects.count() == 9


def test_old_messages_are_deleted(acme: Organisation, hook: tuple[WebhookEndpoint, str]) -> None:
    tell(acme)
    send()
    assert accounts.prune_webhook_deliveries(now=utc_now()) == 0
    assert accounts.prune_webhook_deliveries(now=utc_now() + timedelta(days=400)) == 1
