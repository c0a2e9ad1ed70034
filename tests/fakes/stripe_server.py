"""Stripe's API on 127.0.0.1: strict about requests, faithful about idempotency, faulty on demand.

The real SDK speaks to it: ``STRIPE_API_URL=fake.url``. ``fake.account`` holds the state and the
buyers' hands; ``fake.break_next(...)`` spoils the next requests.
"""

import hmac
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from tests.fakes import stripe_server_page
from tests.fakes.stripe_server_account import StripeAccount
from tests.fakes.stripe_server_api import Answer, Fault, Request, StripeApi, refuse
from tests.fakes.stripe_server_schema import decode_form

WEBHOOK_SECRET = "whsec_fake0000000000000000000000000000"
# What stopping waits for, in each of hundreds of tests.
SHUTDOWN_POLL_SECONDS = 0.01


class FakeStripe:
    """One account behind HTTP."""

    def __init__(self) -> None:
        self.account = StripeAccount()
        self.api = StripeApi(self.account)
        # How long a request that times out is left without an answer.
        self.hang_seconds = 1.5
        # What the fake itself could not do; a test that ends with any is wrong.
        self.problems: list[Exception] = []
        self._faults: deque[tuple[Fault, str]] = deque()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _make_handler(self))
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=[SHUTDOWN_POLL_SECONDS], daemon=True
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def break_next(self, fault: Fault, *, times: int = 1, method: str = "") -> None:
        """The next requests (of this method, if named) go wrong so."""
        self._faults.extend([(fault, method)] * times)

    def sign(self, body: bytes, *, at: float | None = None, secret: str = WEBHOOK_SECRET) -> str:
        """The header Stripe-Signature, made without the SDK."""
        stamp = int(time.time() if at is None else at)
        signed = f"{stamp}.".encode() + body
        return f"t={stamp},v1={hmac.new(secret.encode(), signed, sha256).hexdigest()}"

    def as_thin(self, event: dict[str, Any]) -> dict[str, Any]:
        """What an event destination for thin payloads is sent of it."""
        subject = event["data"]["object"]
        created = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(event["created"]))
        return {
            "id": f"{event['id']}_thin",
            "object": "v2.core.event",
            "type": f"v1.{event['type']}",
            "livemode": event["livemode"],
            "created": created,
            "related_object": {
                "id": subject["id"],
                "type": subject["object"],
                "url": f"/v1/{subject['object'].replace('.', '/')}s/{subject['id']}",
            },
        }

    def take_fault(self, request: Request) -> Fault | None:
        """The fault that this request meets. What is kept is answered without failing anew."""
        with self.account.lock:
            if not self._faults:
                return None
            fault, method = self._faults[0]
            if method not in ("", request.method):
                return None
            if fault.startswith("error_500") and self.api.has_kept(request):
                return None
            self._faults.popleft()
            return fault


_SPOILED: dict[Fault, Callable[[bytes], tuple[int, bytes]]] = {
    Fault.HTML_200_AFTER: lambda _body: (200, b"<html><body>Welcome to the hotel</body></html>"),
    Fault.NULL_200_AFTER: lambda _body: (200, b"null"),
    Fault.BAD_GATEWAY_BEFORE: lambda _body: (502, b'{"error": null}'),
    Fault.RATE_LIMITED_BEFORE: lambda _body: (429, refuse(429, "rate_limit_error").encode()),
    Fault.KEY_REVOKED_BEFORE: lambda _body: (401, refuse(401, "invalid_request_error").encode()),
}


def _make_handler(fake: FakeStripe) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Head and body in one packet, or each answer waits for an acknowledgement.
        wbufsize = -1

        def do_GET(self) -> None:
            if self.path.startswith(stripe_server_page.PATH):
                self._send(200, stripe_server_page.show(fake.account, self._paid_session()), {})
            else:
                self._serve(urlsplit(self.path).query)

        def do_POST(self) -> None:
            encoded = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
            if self.path.startswith(stripe_server_page.PATH):
                action = decode_form(encoded)["action"]
                following = stripe_server_page.act(fake.account, self._paid_session(), action)
                self._send(303, b"", {"Location": following})
            else:
                self._serve(encoded)

        def _paid_session(self) -> str:
            return self.path.removeprefix(stripe_server_page.PATH)

        def _serve(self, encoded: str) -> None:
            request = Request(
                self.command,
                urlsplit(self.path).path,
                decode_form(encoded),
                {name.lower(): value for name, value in self.headers.items()},
            )
            fault = fake.take_fault(request)
            before = fault is not None and fault.endswith("_before")
            if before and fault is not Fault.ERROR_500_BEFORE:
                with fake.account.lock:
                    fake.api.requests.append(request)
                answer = Answer(200, {})
            else:
                answer = self._answer(request, fault)
            with suppress(OSError):
                self._reply(answer, fault)

        def _answer(self, request: Request, fault: Fault | None) -> Answer:
            try:
                return fake.api.answer(request, fault)
            except Exception as error:
                fake.problems.append(error)
                return refuse(501, "fake_error")

        def _reply(self, answer: Answer, fault: Fault | None) -> None:
            status, body = answer.status, answer.encode()
            if fault in _SPOILED:
                status, body = _SPOILED[fault](body)
            if fault in (Fault.TIMEOUT_BEFORE, Fault.TIMEOUT_AFTER):
                time.sleep(fake.hang_seconds)
            if fault in (
                Fault.TIMEOUT_BEFORE,
                Fault.TIMEOUT_AFTER,
                Fault.DROPPED_BEFORE,
                Fault.DROPPED_AFTER,
            ):
                self._hang_up()
                return
            headers = {**answer.headers, "Content-Type": "application/json"}
            self._send(status, body, headers, cut=fault is Fault.TRUNCATED_AFTER)

        def _send(
            self, status: int, body: bytes, headers: dict[str, str], *, cut: bool = False
        ) -> None:
            self.send_response(status)
            for name, value in {"Content-Type": "text/html; charset=utf-8", **headers}.items():
                self.send_header(name, value)
            self.send_header("Request-Id", "req_fake")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if cut else body)
            if cut:
                self.wfile.flush()
                self._hang_up()

        def _hang_up(self) -> None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet: a test says what it saw."""

    return Handler
