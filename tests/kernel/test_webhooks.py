"""Signed messages: the signature is the specification's, and only a 2xx counts as taken."""

import base64
import hashlib
import hmac
import json
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from portal.kernel.outbound import AddressRefused
from portal.kernel.webhooks import WebhookFailed, send_webhook, sign

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Receiver(HTTPServer):
    """Takes what is posted to it and answers ``status``."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 204
        self.taken: list[tuple[dict[str, str], bytes]] = []

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.taken.append((dict(self.headers), body))
        self.send_response(self.server.status)
        self.send_header("Location", "http://127.0.0.1:1/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: Any) -> None:
        """Quiet."""


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    server = Receiver()
    settings.OUTBOUND_ALLOWED_PRIVATE = [server.address]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


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
