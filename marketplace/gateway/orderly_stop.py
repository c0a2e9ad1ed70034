"""From the signal to stop to the server's own stopping: running calls end, new ones are refused.

A server that is told to stop closes its door at once, and clients meet a refused connection. So
its signal is held back, for a bounded time, while calls run.
"""

import asyncio
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import structlog
from django.conf import settings
from django.utils.translation import gettext_lazy as _

from marketplace.gateway.errors import GatewayRefusal

logger = structlog.get_logger(__name__)

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_RETRY_SECONDS = 5
_Handler = Callable[[int, FrameType | None], Any]


class OrderlyStop:
    """Belongs to one event loop. ``finish_calls`` returns when none runs or time is up."""

    def __init__(self, finish_calls: Callable[[float], Any]) -> None:
        self._finish_calls = finish_calls
        self._loop = asyncio.get_running_loop()
        self._handlers: dict[int, _Handler] = {}
        self._work: asyncio.Task[None] | None = None
        self._begun = False

    def listen(self) -> None:
        """Step before the server's handlers; only a main thread has any."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in _SIGNALS:
            handler = signal.getsignal(number)
            if callable(handler):
                self._handlers[number] = handler
                signal.signal(number, self._hear)

    def forget(self) -> None:
        for number, handler in self._handlers.items():
            if signal.getsignal(number) == self._hear:
                signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if not self._begun:
            self._begun = True
            self._loop.call_soon_threadsafe(self._start, number)
        elif number == signal.SIGINT:
            # Ctrl-C for the second time: somebody does not want to wait. A second SIGTERM is the
            # service manager's and the parent process's for the same stop.
            self._handlers[number](number, frame)

    def _start(self, number: int) -> None:
        self._work = self._loop.create_task(self._stop(number))

    async def _stop(self, number: int) -> None:
        logger.info("gateway_stopping")
        try:
            await self._finish_calls(settings.GATEWAY_STOP_SECONDS)
        finally:
            self._handlers[number](number, None)


def refuse_stopping() -> GatewayRefusal:
    """The connection is closed too, so that the next try reaches another process."""
    return GatewayRefusal(
        503,
        "shutting_down",
        _("This server is stopping and takes no new calls. Nothing was charged; try again soon."),
        retry_after_seconds=_RETRY_SECONDS,
        headers=[(b"connection", b"close")],
    )
