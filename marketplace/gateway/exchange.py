"""One HTTP request and its answer over ASGI: headers, body, writing, and noticing that the client
has gone."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import orjson
from django.utils import translation
from django.utils.translation import gettext_lazy as _

from marketplace.gateway.claims import Claim
from marketplace.gateway.errors import GatewayRefusal
from marketplace.gateway.rates import Taken
from portal.kernel.public_ids import new_public_id

Scope = Mapping[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = Sequence[tuple[bytes, bytes]]

_OVERLOADED_RETRY_SECONDS = 5


class BytesInFlight:
    """How much of requests and whole answers the process holds in memory; refuses more."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0

    def take(self, count: int) -> None:
        """Raises a 503 when it would be too much."""
        if self._taken + count > self._most:
            raise refuse_overload()
        self._taken += count

    @contextmanager
    def share(self) -> Iterator["Share"]:
        """What is taken through the share is given back at the end of the block."""
        share = Share(self)
        try:
            yield share
        finally:
            self._taken -= share.taken


class Share:
    """One request's part of the bytes in flight."""

    def __init__(self, budget: BytesInFlight) -> None:
        self._budget = budget
        self.taken = 0

    def take(self, count: int) -> None:
        self._budget.take(count)
        self.taken += count


def refuse_overload() -> GatewayRefusal:
    return GatewayRefusal(
        503,
        "overloaded",
        _("Too many calls are running at the moment. Nothing was charged; try again soon."),
        retry_after_seconds=_OVERLOADED_RETRY_SECONDS,
    )


class ClientGone(Exception):
    """Nobody is left to be answered."""


class Exchange:
    """What one request said, and the way to answer it.

    ``gone`` becomes true as soon as the client has disconnected, and ``on_gone`` is called then,
    once. Both work from ``watch()`` on, which is called when the body has been read.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self._receive = receive
        self._send = send
        self._watcher: asyncio.Task[None] | None = None
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.request_id = new_public_id("req")
        self.started_at = time.monotonic()
        # Sent with whatever is answered: what limits and CORS say.
        self.answer_headers: list[tuple[bytes, bytes]] = []
        self.taken: Taken | None = None
        self.claim: Claim | None = None
        self.answer_started = False
        self.gone = False
        self.on_gone: Callable[[], None] | None = None

    async def read_body(self, *, most_bytes: int, seconds: float, share: Share) -> bytes:
        """The whole body, counted in ``share``.

        Raises GatewayRefusal: 413 above ``most_bytes``, declared or sent in chunks; 408 when it
        takes too long; 503 when the process holds too much already.
        """
        declared = self.headers.get(b"content-length", b"0")
        if not declared.isdigit() or int(declared) > most_bytes:
            raise _refuse_size(most_bytes)
        body = bytearray()
        try:
            async with asyncio.timeout(seconds):
                while True:
                    message = await self._receive()
                    if message["type"] == "http.disconnect":
                        raise ClientGone
                    piece = message.get("body", b"")
                    if len(body) + len(piece) > most_bytes:
                        raise _refuse_size(most_bytes)
                    share.take(len(piece))
                    body += piece
                    if not message.get("more_body"):
                        return bytes(body)
        except TimeoutError as error:
            raise GatewayRefusal(
                408, "request_timeout", _("The request's body did not arrive in time.")
            ) from error

    def watch(self) -> None:
        self._watcher = asyncio.create_task(self._wait_for_disconnect())

    def close(self) -> None:
        if self._watcher is not None:
            self._watcher.cancel()

    def leave(self) -> None:
        """The client has gone; said by the watcher, by a failed write, or by the server."""
        if not self.gone:
            self.gone = True
            if self.on_gone is not None:
                self.on_gone()

    async def send_json(self, status: int, value: Any, headers: Headers = ()) -> None:
        body = orjson.dumps(value)
        length = str(len(body)).encode()
        await self.start_answer(
            status, b"application/json", [(b"content-length", length), *headers]
        )
        await self.write(body, more=False)

    async def send_refusal(self, refusal: GatewayRefusal) -> None:
        await self.send_json(refusal.status, self.render(refusal), refusal.headers)

    def render(self, refusal: GatewayRefusal) -> dict[str, Any]:
        """Its body in the caller's language."""
        chinese = self.headers.get(b"accept-language", b"").lower().startswith(b"zh")
        with translation.override("zh-hans" if chinese else "en"):
            return refusal.render()

    async def start_answer(self, status: int, content_type: bytes, headers: Headers = ()) -> None:
        self.answer_started = True
        await self._deliver(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [
                    (b"content-type", content_type),
                    (b"x-request-id", self.request_id.encode()),
                    (b"cache-control", b"no-store"),
                    *self.answer_headers,
                    *headers,
                ],
            }
        )

    async def write(self, body: bytes, *, more: bool = True) -> None:
        """Waits while the client does not read; silently nothing once the client has gone."""
        await self._deliver({"type": "http.response.body", "body": body, "more_body": more})

    async def _deliver(self, message: Message) -> None:
        if self.gone:
            return
        try:
            await self._send(message)
        except OSError:
            self.leave()

    async def _wait_for_disconnect(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.leave()


def _refuse_size(most_bytes: int) -> GatewayRefusal:
    return GatewayRefusal(
        413,
        "request_too_large",
        _("The request is larger than %(most)s bytes. Nothing was charged."),
        values={"most": most_bytes},
    )
