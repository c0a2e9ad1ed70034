"""How long a call may take in each phase, with an end that can be drawn nearer during a wait."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from django.conf import settings

from marketplace.upstream.failures import UpstreamCutShort, UpstreamOverran, UpstreamTimedOut

# Tokens per second. Bounds of prompts are by bytes: about four times the tokens that they have.
SLOWEST_READING = 500
SLOWEST_WRITING = 5


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds per phase and bytes per answer."""

    connect_seconds: float
    first_byte_seconds: float
    idle_seconds: float
    total_seconds: float
    drain_seconds: float
    max_answer_bytes: int

    @classmethod
    def from_settings(cls) -> "Limits":
        return cls(
            connect_seconds=settings.UPSTREAM_CONNECT_SECONDS,
            first_byte_seconds=settings.UPSTREAM_FIRST_BYTE_SECONDS,
            idle_seconds=settings.UPSTREAM_IDLE_SECONDS,
            total_seconds=settings.UPSTREAM_TOTAL_SECONDS,
            drain_seconds=settings.UPSTREAM_DRAIN_SECONDS,
            max_answer_bytes=settings.UPSTREAM_MAX_ANSWER_BYTES,
        )

    def bound_whole_answer(self, *, prompt_tokens: int, completion_tokens: int) -> float:
        """Seconds in which the slowest useful provider has answered in full, at these bounds of
        model tokens: a whole answer gives no sign of life before, and somebody else may be asked.
        """
        seconds = (
            self.first_byte_seconds
            + prompt_tokens / SLOWEST_READING
            + completion_tokens / SLOWEST_WRITING
        )
        return min(seconds, self.total_seconds)


class Patience:
    """One call's patience. ``give_up`` works from another task, also in the middle of a wait."""

    def __init__(self, total_seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._latest = self._loop.time() + total_seconds
        self._wait: asyncio.Timeout | None = None
        self.given_up = False

    @asynccontextmanager
    async def wait_at_most(self, seconds: float) -> AsyncIterator[None]:
        """Raises UpstreamTimedOut when it takes longer (UpstreamOverran when that is the end of
        the whole call), UpstreamCutShort after ``give_up``."""
        latest = min(self._loop.time() + seconds, self._latest)
        wait = self._wait = asyncio.timeout_at(latest)
        try:
            async with wait:
                yield
        except TimeoutError as error:
            if not wait.expired():
                raise
            if self.given_up:
                raise UpstreamCutShort from error
            raise (UpstreamOverran if latest == self._latest else UpstreamTimedOut) from error
        finally:
            self._wait = None

    def give_up(self, *, within_seconds: float = 0.0) -> None:
        """Listen for no longer than ``within_seconds`` more, in all."""
        self.given_up = True
        self._latest = min(self._latest, self._loop.time() + within_seconds)
        if (wait := self._wait) is not None and not wait.expired():
            wait.reschedule(min(wait.when() or self._latest, self._latest))
