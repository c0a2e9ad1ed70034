"""One ASGI application: the gateway under ``/v1``, Django for everything else.

The gateway is a plain ASGI application beside Django, since a Django view would cost it four
fifths of its speed (docs/gateway.md). It alone has something to start and stop: ``lifespan``
goes to it.
"""

import os
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django_application = get_asgi_application()

# Its models can be imported only now that Django is set up.
from marketplace.gateway.app import application as gateway_application  # noqa: E402

Scope = dict[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

log = structlog.get_logger("portal.access")


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan" or is_gateway_path(scope.get("path", "")):
        await gateway_application(scope, receive, send)
    elif scope["type"] == "http":
        await serve_page(scope, receive, send)
    # A WebSocket is offered nowhere: returning without accepting it refuses it.


def is_gateway_path(path: str) -> bool:
    return path == "/v1" or path.startswith("/v1/")


async def serve_page(scope: Scope, receive: Receive, send: Send) -> None:
    """Django, with one line in the log per request, never its query string."""
    started_at = time.perf_counter()
    status = 0

    async def send_and_note(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        await send(message)

    try:
        await django_application(scope, receive, send_and_note)
    finally:
        if not scope["path"].startswith("/static/"):
            log.info(
                "request",
                method=scope["method"],
                path=scope["path"],
                status=status or None,
                milliseconds=round((time.perf_counter() - started_at) * 1000),
            )
