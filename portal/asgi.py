"""One ASGI application: the gateway under ``/v1``, Django for everything else.

The gateway is a plain ASGI application beside Django, since a Django view would cost it four
fifths of its speed (docs/gateway.md). It and the watch over the ledger's guards have something to
start and stop.
"""

import asyncio
import gc
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog
from django.conf import settings
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django_application = get_asgi_application()

# Its models can be imported only now that Django is set up.
from marketplace.gateway.app import application as gateway_application  # noqa: E402
from marketplace.ledger.watch import Watch  # noqa: E402

Scope = dict[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

log = structlog.get_logger("portal.access")


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await live(scope, receive, send)
    elif is_gateway_path(scope.get("path", "")):
        await gateway_application(scope, receive, send)
    elif scope["type"] == "http":
        await serve_page(scope, receive, send)
    # A WebSocket is offered nowhere: returning without accepting it refuses it.


async def live(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve only after the first look at what guards the ledger, and look on until the end."""
    watch = Watch()
    await asyncio.to_thread(watch.start)
    # What was loaded by now stays loaded: to look through all of it for garbage, again and again,
    # would stop every call for a tenth of a second each time.
    gc.collect()
    gc.freeze()
    try:
        await gateway_application(scope, receive, send)
    finally:
        await asyncio.to_thread(watch.stop)


def is_gateway_path(path: str) -> bool:
    return path == "/v1" or path.startswith("/v1/")


async def serve_page(scope: Scope, receive: Receive, send: Send) -> None:
    """Django, with one line in the log per request, never its query string.

    Django reads a body whole before a view can refuse it, so what is too large is refused here.
    """
    started_at = time.perf_counter()
    status = 0
    meter = BodyMeter(receive, settings.PAGE_MAX_BODY_BYTES)

    async def send_and_note(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        await send(message)

    try:
        if meter.refuses_declared(scope):
            await send_too_large(send_and_note)
        else:
            await django_application(scope, meter.receive, send_and_note)
            if meter.exceeded and not status:
                await send_too_large(send_and_note)
    finally:
        if not scope["path"].startswith("/static/"):
            log.info(
                "request",
                method=scope["method"],
                path=scope["path"],
                status=status or None,
                milliseconds=round((time.perf_counter() - started_at) * 1000),
            )


class BodyMeter:
    """Counts what arrives; beyond the limit Django sees a client that has gone."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive = receive
        self._most = most
        self._taken = 0
        self.exceeded = False

    def refuses_declared(self, scope: Scope) -> bool:
        """Whether the request's own content-length is over the limit."""
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        return declared.isdigit() and int(declared) > self._most

    async def receive(self) -> Message:
        message = await self._receive()
        self._taken += len(message.get("body", b""))
        if self._taken > self._most:
            self.exceeded = True
            return {"type": "http.disconnect"}
        return message


async def send_too_large(send: Send) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    body = b"The request is too large. Nothing was changed."
    await send({"type": "http.response.body", "body": body})
