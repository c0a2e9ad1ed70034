"""The caller's side of a streamed answer: events out, comments while there is nothing to say."""

import asyncio
from typing import Any

import orjson

from marketplace.gateway.errors import GatewayRefusal
from marketplace.gateway.exchange import Exchange, Headers

_KEEP_ALIVE = b": keep-alive\n\n"
_DONE = b"data: [DONE]\n\n"


class EventStream:
    """Begins with the first event, or with a comment when that takes long.

    Until it has begun, a refusal can still be an ordinary answer with its status.
    """

    def __init__(
        self, exchange: Exchange, *, keep_alive_seconds: float, send_seconds: float
    ) -> None:
        self._exchange = exchange
        self._keep_alive_seconds = keep_alive_seconds
        self._send_seconds_left = send_seconds
        self._loop = asyncio.get_running_loop()
        self._sent_at = self._loop.time()
        self._ticker: asyncio.Task[None] | None = None
        self._begun = False
        # The ticker writes too; what begins the answer must not be overtaken.
        self._turn = asyncio.Lock()
        self.headers: Headers = ()

    async def __aenter__(self) -> "EventStream":
        self._ticker = asyncio.create_task(self._tick())
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._ticker is not None:
            self._ticker.cancel()

    async def send(self, event: dict[str, Any], *, name: str = "") -> None:
        """``name`` is for clients that tell events apart by it."""
        head = b"event: " + name.encode() + b"\ndata: " if name else b"data: "
        await self._write(head + orjson.dumps(event) + b"\n\n")

    async def say_done(self) -> None:
        """The end as chat's clients expect it."""
        await self._write(_DONE)
        await self.finish()

    async def finish(self) -> None:
        await self._exchange.write(b"", more=False)

    async def refuse(self, refusal: GatewayRefusal) -> dict[str, Any] | None:
        """Answer with the refusal and its status; when events have begun, give what is to be said
        in one of them: an object with an ``error``."""
        if self._begun:
            return self._exchange.render(refusal)
        await self._exchange.send_refusal(refusal)
        return None

    async def _write(self, event: bytes) -> None:
        """A client that does not read for too long, in all, counts as gone: by reading slowly it
        could else outlast the hold."""
        if self._exchange.gone:
            return
        self._sent_at = self._loop.time()
        try:
            async with asyncio.timeout(self._send_seconds_left), self._turn:
                if not self._begun:
                    self._begun = True
                    await self._exchange.start_answer(
                        200, b"text/event-stream; charset=utf-8", self.headers
                    )
                await self._exchange.write(event)
        except TimeoutError:
            self._exchange.leave()
        self._send_seconds_left -= self._loop.time() - self._sent_at

    async def _tick(self) -> None:
        while not self._exchange.gone:
            quiet = self._loop.time() - self._sent_at
            if quiet >= self._keep_alive_seconds:
                await self._write(_KEEP_ALIVE)
                quiet = 0.0
            await asyncio.sleep(self._keep_alive_seconds - quiet)
