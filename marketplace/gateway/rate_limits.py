"""Which limits a call meets, and how callers are told: 429 and the ``x-ratelimit-…`` headers.

A request takes from its key's limits before anything is held or asked of the database; a service's
limits are taken from when the service is chosen. Tokens are estimated then, and put right at the
end.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from accounts.services import AuthenticatedKey
from marketplace.catalog.selectors import CallableService
from marketplace.gateway.errors import GatewayRefusal
from marketplace.gateway.exchange import Exchange
from marketplace.gateway.rates import Demand, Limit, LocalRates, Outcome, Rates, Taken
from marketplace.gateway.requests import CallRequest
from marketplace.gateway.sizing import Size
from marketplace.upstream import shaping

_REACHED = {
    "requests": _("This key's limit of %(limit)s requests per minute is reached. Nothing was "
                  "charged. Try again in %(seconds)s s."),
    "tokens": _("This key's limit of %(limit)s model tokens per minute is reached. Nothing was "
                "charged. Try again in %(seconds)s s."),
}  # fmt: skip


class RateLimits:
    """Those of keys and services; one per process, which belongs to its event loop."""

    def __init__(self, rates: Rates) -> None:
        self._rates = rates

    @asynccontextmanager
    async def admit(
        self, exchange: Exchange, key: AuthenticatedKey, request: CallRequest
    ) -> AsyncIterator[None]:
        """Let one request of the key through, if its limits do. Raises GatewayRefusal (429).

        What the calls in the block used is ``exchange.taken.used``.
        """
        demands = _demand_of_key(key, request)
        if not demands:
            yield
            return
        outcome = await self._rates.take(demands)
        exchange.answer_headers += _write_headers(outcome)
        if outcome.refused:
            raise _refuse(outcome.refused, outcome.wait_ms)
        exchange.taken = taken = Taken(outcome)
        try:
            yield
        finally:
            await self.settle(taken)

    def take_room(self, service: CallableService, request: CallRequest, size: Size) -> Taken | int:
        """Of the service's own limits, from a thread of the database; or how many ms to wait."""
        limits = _limits(
            f"service:{service.public_id}",
            service.requests_per_minute or settings.GATEWAY_SERVICE_REQUESTS_PER_MINUTE,
            service.tokens_per_minute or settings.GATEWAY_SERVICE_TOKENS_PER_MINUTE,
        )
        if not limits:
            return Taken(Outcome(()))
        tokens = estimate_tokens(request, length=size.completion_tokens)
        outcome = self._rates.take_from_thread(
            [
                Demand(limit, 1 if limit.unit == "requests" else min(tokens, limit.per_minute))
                for limit in limits
            ]
        )
        return outcome.wait_ms if outcome.refused else Taken(outcome)

    async def settle(self, taken: Taken) -> None:
        """Count the tokens that were used instead of those that were estimated."""
        for reading in taken.outcome.readings:
            if reading.limit.unit == "tokens" and reading.taken != taken.used:
                await self._rates.put_right(reading, taken.used)

    async def give_back(self, taken: Taken) -> None:
        """Nothing came of it: neither the request nor its tokens count."""
        for reading in taken.outcome.readings:
            await self._rates.put_right(reading, 0)

    async def close(self) -> None:
        await self._rates.close()


def choose_rates() -> Rates:
    """Shared through Redis where there is one, else this process's share."""
    own_share = LocalRates(processes=settings.GATEWAY_PROCESSES)
    if not settings.REDIS_URL:
        return own_share
    # Redis' client is an extra of the project.
    from marketplace.gateway.shared_rates import SharedRates

    return SharedRates(settings.REDIS_URL, own_share=own_share)


def refuse_full(wait_ms: int) -> GatewayRefusal:
    """All services that fit the request are at their capacity."""
    seconds = -(-wait_ms // 1000)
    return GatewayRefusal(
        429,
        "rate_limit_exceeded",
        _("The services of this model are at their capacity. Nothing was charged. Try again in "
          "%(seconds)s s."),
        values={"seconds": seconds},
        retry_after_seconds=seconds,
    )  # fmt: skip


def estimate_tokens(request: CallRequest, *, length: int) -> int:
    """About how many model tokens a call will use whose answers have ``length`` together."""
    return shaping.guess_tokens(request.prompt_bytes) + length


def _demand_of_key(key: AuthenticatedKey, request: CallRequest) -> list[Demand]:
    """Raises GatewayRefusal for a request that would never fit."""
    limits = _limits(
        f"key:{key.cap_subject}",
        key.requests_per_minute or settings.GATEWAY_KEY_REQUESTS_PER_MINUTE,
        key.tokens_per_minute or settings.GATEWAY_KEY_TOKENS_PER_MINUTE,
    )
    demands = []
    for limit in limits:
        if limit.unit == "requests":
            demands.append(Demand(limit, 1))
            continue
        named = (request.named_length or 0) * request.answers
        surely = estimate_tokens(request, length=named)
        if surely > limit.per_minute:
            raise _refuse_size(limit, surely)
        if request.operation != "embeddings" and request.named_length is None:
            # A length that nobody named must not refuse the call.
            assumed = settings.GATEWAY_ASSUMED_OUTPUT_TOKENS * request.answers
            surely = min(surely + assumed, limit.per_minute)
        demands.append(Demand(limit, surely))
    return demands


def _limits(subject: str, requests: int, tokens: int) -> list[Limit]:
    limits = []
    if requests:
        limits.append(Limit(subject, "requests", requests))
    if tokens:
        limits.append(Limit(subject, "tokens", tokens))
    return limits


def _refuse(limit: Limit, wait_ms: int) -> GatewayRefusal:
    seconds = -(-wait_ms // 1000)
    return GatewayRefusal(
        429,
        "rate_limit_exceeded",
        _REACHED[limit.unit],
        values={"limit": limit.per_minute, "seconds": seconds},
        retry_after_seconds=seconds,
    )


def _refuse_size(limit: Limit, tokens: int) -> GatewayRefusal:
    return GatewayRefusal(
        429,
        "rate_limit_exceeded",
        _("This call could use %(tokens)s model tokens, more than this key's limit of %(limit)s "
          "per minute. Nothing was charged. Send less, or lower max_tokens."),
        values={"limit": limit.per_minute, "tokens": tokens},
        headers=[(b"x-should-retry", b"false")],
    )  # fmt: skip


def _write_headers(outcome: Outcome) -> list[tuple[bytes, bytes]]:
    """As OpenAI names and writes them."""
    headers = []
    for reading in outcome.readings:
        for name, value in (
            ("limit", str(reading.limit.per_minute)),
            ("remaining", str(reading.remaining)),
            ("reset", write_duration(reading.reset_ms)),
        ):
            headers.append((f"x-ratelimit-{name}-{reading.limit.unit}".encode(), value.encode()))
    return headers


def write_duration(milliseconds: int) -> str:
    """``250ms``, ``7s``, ``6m0s``: rounded up to seconds from one second on."""
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, seconds = divmod(-(-milliseconds // 1000), 60)
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"
