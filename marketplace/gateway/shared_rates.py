"""Limits counted in Redis, by all gateway processes together.

Redis is not allowed to stop calls that the ledger could pay: while it is away, each process lets
its own share through (ADR 175).
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import redis
import redis.asyncio
import structlog
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from marketplace.gateway.rates import Demand, Limit, LocalRates, Outcome, Reading, read

logger = structlog.get_logger(__name__)

# A call waits no longer than this for Redis, and after a failure nobody does for the pause.
_PATIENCE_SECONDS = 0.25
_PAUSE_SECONDS = 1.0
_CONNECTIONS = 32
_PREFIX = "tokenworks:rates:"

# The buckets of rates.LocalRates, by the clock of Redis. ARGV: "take" or "put_right", then of each
# key the limit, the count and the moment it was taken. Doubles are exact up to 2^53, which is
# beyond all that can be here.
_SCRIPT = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local taking = ARGV[1] == 'take'
local fills, since, refused, longest = {}, {}, 0, 0
for i, key in ipairs(KEYS) do
  local rate, count = tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
  local kept = redis.call('HMGET', key, 'fill', 'at', 'since')
  local passed = math.max(now - (tonumber(kept[2]) or now), 0)
  fills[i] = math.max((tonumber(kept[1]) or 0) - passed * rate, 0)
  since[i] = fills[i] > 0 and tonumber(kept[3]) or now
  local wait = math.ceil((fills[i] - (rate - count) * 60000) / rate)
  if taking and wait > longest then refused, longest = i, wait end
end
for i, key in ipairs(KEYS) do
  local rate, count = tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
  if refused == 0 and (count > 0 or since[i] <= tonumber(ARGV[3 * i + 1])) then
    fills[i] = math.max(fills[i] + count * 60000, 0)
  end
  local write = function(number) return string.format('%.0f', number) end
  redis.call('HSET', key, 'fill', write(fills[i]), 'at', write(now), 'since', write(since[i]))
  redis.call('PEXPIRE', key, write(math.ceil(fills[i] / rate) + 1000))
end
return {now, refused, longest, unpack(fills)}
"""


class SharedRates:
    """Belongs to the event loop in which it is made."""

    def __init__(self, url: str, *, own_share: LocalRates) -> None:
        self._own_share = own_share
        self._resume_at = 0.0
        patience = {
            "socket_timeout": _PATIENCE_SECONDS,
            "socket_connect_timeout": _PATIENCE_SECONDS,
            "max_connections": _CONNECTIONS,
            "timeout": _PATIENCE_SECONDS,
        }
        # Once more at once: a connection that Redis closed meanwhile is no outage.
        self._client = redis.asyncio.Redis.from_pool(
            redis.asyncio.BlockingConnectionPool.from_url(
                url, retry=AsyncRetry(NoBackoff(), 1), **patience
            )
        )
        self._thread_client = redis.Redis.from_pool(
            redis.BlockingConnectionPool.from_url(url, retry=Retry(NoBackoff(), 1), **patience)
        )
        self._script = self._client.register_script(_SCRIPT)
        self._thread_script = self._thread_client.register_script(_SCRIPT)

    async def take(self, demands: Sequence[Demand]) -> Outcome:
        if not self._is_away():
            try:
                keys, values = _write_take(demands)
                answer = await self._script(keys, values)
            except (redis.RedisError, OSError) as error:
                self._note_outage(error)
            else:
                return self._read(answer, demands)
        return self._own_share.take_from_thread(demands)

    def take_from_thread(self, demands: Sequence[Demand]) -> Outcome:
        if not self._is_away():
            try:
                keys, values = _write_take(demands)
                answer = self._thread_script(keys, values)
            except (redis.RedisError, OSError) as error:
                self._note_outage(error)
            else:
                return self._read(answer, demands)
        return self._own_share.take_from_thread(demands)

    async def put_right(self, reading: Reading, used: int) -> None:
        """Dropped while Redis is away: the estimate stands until it has leaked."""
        if not reading.shared:
            await self._own_share.put_right(reading, used)
        elif not self._is_away():
            limit = reading.limit
            values: list[str | int] = [
                "put_right",
                limit.per_minute,
                used - reading.taken,
                reading.at,
            ]
            try:
                await self._script([_name(limit)], values)
            except (redis.RedisError, OSError) as error:
                self._note_outage(error)

    async def close(self) -> None:
        await self._client.aclose()
        self._thread_client.close()

    def _is_away(self) -> bool:
        return time.monotonic() < self._resume_at

    def _note_outage(self, error: Exception) -> None:
        if not self._resume_at:
            logger.error("rates_not_shared", error=type(error).__name__)
        self._resume_at = time.monotonic() + _PAUSE_SECONDS

    def _read(self, answer: Any, demands: Sequence[Demand]) -> Outcome:
        if self._resume_at:
            self._resume_at = 0.0
            logger.info("rates_shared_again")
        at, refused, wait, *fills = (int(value) for value in answer)
        readings = []
        for demand, fill in zip(demands, fills, strict=True):
            taken = 0 if refused else demand.count
            found = read(demand.limit, demand.limit.per_minute, taken, fill, at)
            readings.append(replace(found, shared=True))
        return Outcome(tuple(readings), demands[refused - 1].limit if refused else None, wait)


def _name(limit: Limit) -> str:
    return f"{_PREFIX}{limit.subject}:{limit.unit}"


def _write_take(demands: Sequence[Demand]) -> tuple[list[str], list[str | int]]:
    values: list[str | int] = ["take"]
    for demand in demands:
        values += [demand.limit.per_minute, demand.count, 0]
    return [_name(demand.limit) for demand in demands], values
