"""Signed messages: the signature is the specification's, and only a 2xx counts as taken."""

import base64
import hashlib
import hmac
import json
import socket
from datetime import UTC, datetime
from typing import Any

import pytest

from portal.kernel.outbound import AddressRefused
from portal.kernel.webhooks import WebhookFailed, send_webhook, sign
from tests.kernel.receiver import SECRET, Receiver

pytest_plugins = ["tests.kernel.fixtures"]


def send(address: str) -> None:
    send_webhook(f"http://{address}/hook", SECRET, "evt_1", "finding.opened", {"check": 1})


def test_the_signature_is_that_of_the_specification() -> None:
    """Its published example."""
    body = b'{"test": 2432232314}'
    headers = sign(
        SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", datetime.fromtimestamp(1614265330, UTC), body
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_a_message_arrives_signed(receiver: Receiver) -> None:
    send(receiver.address)
    [(headers, body)] = receiver.taken
    said = json.loads(body)
    assert (said["type"], said["data"]) == ("finding.opened", {"check": 1})
    assert datetime.fromisoformat(said["timestamp"]).tzinfo is not None
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert headers["webhook-id"] == "evt_1"


@pytest.mark.parametrize("status", [302, 400, 410, 500, 503])
def test_other_answers_are_failures_and_redirects_are_not_followed(
    receiver: Receiver, status: int
) -> None:
    receiver.status = status
    with pytest.raises(WebhookFailed) as failed:
        send(receiver.address)
    assert failed.value.data == {"status": status}
    assert len(receiver.taken) == 1


def test_nobody_there_is_a_failure(settings: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        settings.OUTBOUND_ALLOWED_PRIVATE = [address]
        with pytest.raises(WebhookFailed):
            send(address)


def test_private_addresses_are_refused() -> None:
    with pytest.raises(AddressRefused):
        send("127.0.0.1:9")


@pytest.mark.parametrize("secret", ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_%%%%"])
def test_a_secret_has_its_form(secret: str) -> None:
    with pytest.raises(ValueError, match="whsec_"):
        sign(secret, "evt_1", datetime.now(UTC), b"{}")
