"""What the gateway is compared with: the least that a proxy in Python can do.

A bare ASGI application that hands each request's body to the upstream with aiohttp and its answer
back; no key, no JSON, no database.
"""

import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiohttp

UPSTREAM_URL = os.environ.get("BENCHMARK_UPSTREAM", "")


class Passthrough:
    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def __call__(
        self,
        scope: Mapping[str, Any],
        receive: Callable[[], Awaitable[Mapping[str, Any]]],
        send: Callable[[Mapping[str, Any]], Awaitable[None]],
    ) -> None:
        if scope["type"] != "http":
            return
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=500))
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = {"content-type": "application/json"}
        async with self._session.post(UPSTREAM_URL, data=body, headers=headers) as answer:
            content, status = await answer.read(), answer.status
        length = str(len(content)).encode()
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [(b"content-type", b"application/json"), (b"content-length", length)],
            }
        )
        await send({"type": "http.response.body", "body": content})


application = Passthrough()
