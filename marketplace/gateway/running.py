"""What all calls of one process share, and the care that each opened call is closed."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

import structlog
from django.conf import settings

from accounts.services import AuthenticatedKey
from marketplace.gateway import calls
from marketplace.gateway.calls import Closed, Ending, RunningCall
from marketplace.gateway.choosing import Opening
from marketplace.gateway.database import Database
from marketplace.gateway.errors import GatewayRefusal, refuse_failure, refuse_unrecorded
from marketplace.gateway.exchange import BytesInFlight, Exchange, refuse_overload
from marketplace.gateway.health import Health
from marketplace.gateway.keys import KeyRing
from marketplace.gateway.orderly_stop import refuse_stopping
from marketplace.gateway.origins import AllowedOrigins
from marketplace.gateway.rate_limits import RateLimits, choose_rates
from marketplace.gateway.recounting import Recounter
from marketplace.gateway.requests import CallRequest
from marketplace.upstream.failures import UpstreamFailure
from marketplace.upstream.openai_client import UpstreamClient
from marketplace.upstream.patience import Limits
from marketplace.upstream.usage import Usage
from portal.kernel.coalescer import Coalescer

logger = structlog.get_logger(__name__)

# Calls in one commit, and commits at once. More would wait for the same wallets and share less.
MOST_TOGETHER = 64
LANES = 1


class Gateway:
    """Threads, connections and caches of one event loop; made at start-up, closed at the end."""

    def __init__(self) -> None:
        self.database = Database(
            threads=settings.GATEWAY_DATABASE_THREADS, one_writer=settings.USES_SQLITE
        )
        # Calls that begin or end together share a commit: the disk's time is spent once for all.
        self.openings: Coalescer[Opening, RunningCall | None] = Coalescer(
            self._open_calls, most=MOST_TOGETHER, lanes=LANES
        )
        self.closings: Coalescer[tuple[RunningCall, Ending], Closed] = Coalescer(
            self._close_calls, most=MOST_TOGETHER, lanes=LANES
        )
        self.recounter = Recounter(self.database)
        self.upstream = UpstreamClient(Limits.from_settings())
        self.keys = KeyRing(self.database, seconds=settings.GATEWAY_KEY_CACHE_SECONDS)
        self.origins = AllowedOrigins(self.database, seconds=settings.GATEWAY_KEY_CACHE_SECONDS)
        self.rates = RateLimits(choose_rates())
        self.health = Health()
        self.budget = BytesInFlight(settings.GATEWAY_MAX_BYTES_IN_FLIGHT)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._requests = 0
        self.stopping = False

    async def _open_calls(self, batch: list[Opening]) -> list[RunningCall | Exception | None]:
        return list(await self.database.write(calls.open_calls, batch))

    async def _close_calls(
        self, batch: list[tuple[RunningCall, Ending]]
    ) -> list[Closed | Exception]:
        return list(await self.database.write_surely(calls.close_calls, batch))

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run something that outlives its request: shutting down waits for it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def start_request(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """The same for a request, of which only so many run at once."""
        self._requests += 1
        task = self.start(work)
        task.add_done_callback(self._end_request)
        return task

    def admit(self) -> None:
        """Raises a 503 when the process is stopping or as many requests run as it takes."""
        if self.stopping:
            raise refuse_stopping()
        if self._requests > settings.GATEWAY_MAX_CALLS:
            raise refuse_overload()

    def note_usage(self, call: RunningCall, usage: Usage) -> None:
        """For the limits: the key's are put right with its request, the service's now."""
        call.room.used = usage.prompt_tokens + usage.completion_tokens
        if call.taken:
            call.taken.used += call.room.used
        if call.room.outcome.readings:
            self.start(self.rates.settle(call.room))

    def _end_request(self, _task: asyncio.Task[Any]) -> None:
        self._requests -= 1

    async def finish_calls(self, seconds: float) -> None:
        """Take no new calls, and let the running ones end for so long."""
        self.stopping = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    async def close(self) -> None:
        """Let running calls end, for as long as their clients' absence would let them; then stop.

        What is not closed by then is found by the sweep.
        """
        if self._tasks:
            limits = self.upstream.limits
            patience = limits.drain_seconds + settings.HOLD_MARGIN_SECONDS
            await asyncio.wait(self._tasks, timeout=patience)
        await self.recounter.close()
        await self.upstream.close()
        await self.rates.close()
        await asyncio.to_thread(self.database.close)


class Attempts:
    """The tries of one request: one service after the other, one model after the other, until one
    delivers.

    Each is a call of its own with its own hold, so a failed one costs nothing and the next is
    charged once.
    """

    def __init__(
        self, gateway: Gateway, exchange: Exchange, key: AuthenticatedKey, request: CallRequest
    ) -> None:
        self._gateway = gateway
        self._exchange = exchange
        self._key = key
        self._request = request
        self._tried: frozenset[int] = frozenset()
        self._first_model = 0
        self._model_place = 0
        self._failure: UpstreamFailure | None = None

    async def open(self) -> RunningCall:
        """The next service's call. Raises GatewayRefusal: the last failure when none is left."""
        if len(self._tried) >= settings.GATEWAY_MAX_ATTEMPTS and self._failure:
            raise refuse_failure(self._failure)
        rates = self._gateway.rates
        opening = Opening(
            self._key,
            self._request,
            self._exchange.request_id,
            rates,
            tried=self._tried,
            first_model=self._first_model,
            health=self._gateway.health,
        )
        if self._exchange.claim and not self._tried:
            opening.call_id = self._exchange.claim.call_id
        try:
            call = await self._gateway.openings.submit(opening)
        except GatewayRefusal:
            if opening.choice:
                await rates.give_back(opening.choice.room)
            # The next provider is dearer than the wallet can pay: the first one's failure counts.
            if self._failure is None:
                raise
            call = None
        if call is None:
            assert self._failure is not None
            raise refuse_failure(self._failure) from self._failure
        self._tried |= {call.service.service_pk}
        call.taken = self._exchange.taken
        self._model_place = call.model_place
        return call

    def worth_another(self, failure: UpstreamFailure) -> bool:
        """Whether another service is worth a try after this failure."""
        self._failure = failure
        if not failure.worth_another_provider:
            # What this model does not take, the next one that the caller named may.
            self._first_model = self._model_place + 1
        left = self._first_model < len(self._request.models)
        return left and not self._exchange.gone


class CallClosing:
    """Sees to it that an opened call is closed exactly once, whatever happens in between."""

    def __init__(self, gateway: Gateway, call: RunningCall) -> None:
        self._gateway = gateway
        self._call = call
        self._started_at = time.monotonic()
        self._done = False

    @property
    def elapsed_ms(self) -> int:
        return round((time.monotonic() - self._started_at) * 1000)

    async def __aenter__(self) -> "CallClosing":
        return self

    async def __aexit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if not self._done:
            code = "internal_error"
            if isinstance(error, UpstreamFailure | GatewayRefusal):
                code = error.code
            if isinstance(error, UpstreamFailure):
                self._gateway.health.note_failure(
                    self._call.service.service_pk, error, began_at=self._started_at
                )
            await self.close(Ending(status="failed", error_code=code, duration_ms=self.elapsed_ms))

    async def close(self, ending: Ending) -> Closed:
        """Charge and record, even if the request's own task is cancelled meanwhile.

        Raises a 500 that does not say that nothing was charged: a commit whose answer got lost
        may stand. The sweep or the receipt tells.
        """
        self._done = True
        self._gateway.note_usage(self._call, ending.usage)
        if ending.status == "succeeded":
            self._note_success(ending)
        try:
            return await asyncio.shield(
                self._gateway.start(self._gateway.closings.submit((self._call, ending)))
            )
        except Exception as error:
            logger.exception("call_not_recorded", call=self._call.opened.public_id)
            raise refuse_unrecorded(self._call.opened.public_id) from error

    def _note_success(self, ending: Ending) -> None:
        # A vector has no first token: all of it comes at once.
        whole = self._call.request.operation == "embeddings"
        self._gateway.health.note_success(
            self._call.service.service_pk,
            began_at=self._started_at,
            latency_ms=ending.duration_ms if whole else ending.first_token_ms,
            duration_ms=ending.duration_ms,
            completion_tokens=ending.usage.completion_tokens,
        )
