"""How fast something may be used: leaky buckets of requests and model tokens, in whole numbers.

A bucket holds what a limit allows in a minute and empties at that rate all the time. What does not
fit is refused; what is taken by estimate is put right when it is known.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

MINUTE_MS = 60_000
# Buckets that may be kept before those that ran empty are dropped.
_KEPT = 10_000

Unit = Literal["requests", "tokens"]


@dataclass(frozen=True, slots=True)
class Limit:
    """``subject`` ("key:key_…", "service:svc_…") may use so much of ``unit`` per minute."""

    subject: str
    unit: Unit
    per_minute: int


@dataclass(frozen=True, slots=True)
class Demand:
    """``count`` is never more than the limit: such a demand would never fit."""

    limit: Limit
    count: int


@dataclass(frozen=True, slots=True)
class Reading:
    """A limit after a demand. ``taken`` is 0 when the demand, or one beside it, did not fit;
    ``reset_ms`` is how long the bucket takes to run empty if nothing more is taken. ``at`` is the
    moment, in ms of the clock of who counted, and ``shared`` whether all processes do together."""

    limit: Limit
    taken: int
    remaining: int
    reset_ms: int
    at: int
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """All demands were taken; or none, and ``refused`` has room for its own in ``wait_ms``."""

    readings: tuple[Reading, ...]
    refused: Limit | None = None
    wait_ms: int = 0


@dataclass(slots=True)
class Taken:
    """What a call took from limits, and how many model tokens it turned out to use."""

    outcome: Outcome
    used: int = 0


class Rates(Protocol):
    """Where limits are counted."""

    async def take(self, demands: Sequence[Demand]) -> Outcome:
        """Takes all of them or nothing."""

    def take_from_thread(self, demands: Sequence[Demand]) -> Outcome:
        """The same where no event loop runs."""

    async def put_right(self, reading: Reading, used: int) -> None:
        """Count what was ``used`` instead of what was taken, whether it fits or not.

        Of a bucket that ran empty meanwhile nothing is given back: it lost that already.
        """

    async def close(self) -> None:
        """Let go of connections."""


class LocalRates:
    """Counted in this process, exactly: nothing comes between looking and taking.

    With several ``processes`` each lets its share through, at least one a minute.
    """

    def __init__(self, *, processes: int = 1) -> None:
        self._processes = max(processes, 1)
        self._buckets: dict[tuple[str, Unit], _Bucket] = {}
        self._most = _KEPT
        # Keys are looked at by the event loop, services by the threads of the database.
        self._lock = threading.Lock()

    async def take(self, demands: Sequence[Demand]) -> Outcome:
        return self.take_from_thread(demands)

    def take_from_thread(self, demands: Sequence[Demand]) -> Outcome:
        rates = [self._share(demand.limit) for demand in demands]
        counts = [min(demand.count, rate) for demand, rate in zip(demands, rates, strict=True)]
        with self._lock:
            now = time.monotonic_ns() // 1_000_000
            buckets = [
                self._look(demand.limit, rate, now)
                for demand, rate in zip(demands, rates, strict=True)
            ]
            refused, wait = find_refusal(rates, counts, [bucket.fill for bucket in buckets])
            if refused is None:
                for bucket, count in zip(buckets, counts, strict=True):
                    bucket.fill += count * MINUTE_MS
            readings = tuple(
                read(demand.limit, rate, 0 if refused is not None else count, bucket.fill, now)
                for demand, rate, count, bucket in zip(demands, rates, counts, buckets, strict=True)
            )
        return Outcome(readings, None if refused is None else demands[refused].limit, wait)

    async def put_right(self, reading: Reading, used: int) -> None:
        more = used - reading.taken
        with self._lock:
            now = time.monotonic_ns() // 1_000_000
            bucket = self._look(reading.limit, self._share(reading.limit), now)
            if more > 0 or bucket.since <= reading.at:
                bucket.fill = max(bucket.fill + more * MINUTE_MS, 0)

    async def close(self) -> None:
        return

    def _share(self, limit: Limit) -> int:
        return max(limit.per_minute // self._processes, 1)

    def _look(self, limit: Limit, rate: int, now: int) -> "_Bucket":
        """The bucket as it is now."""
        key = (limit.subject, limit.unit)
        bucket = self._buckets.get(key)
        if bucket is None:
            self._make_room(now)
            bucket = self._buckets[key] = _Bucket(0, now, rate, now)
        bucket.leak(now, rate)
        return bucket

    def _make_room(self, now: int) -> None:
        if len(self._buckets) < self._most:
            return
        for bucket in self._buckets.values():
            bucket.leak(now, bucket.rate)
        self._buckets = {key: bucket for key, bucket in self._buckets.items() if bucket.fill}
        self._most = max(_KEPT, 2 * len(self._buckets))


@dataclass(slots=True)
class _Bucket:
    """``fill`` in count × MINUTE_MS at the moment ``at``; not empty ``since``."""

    fill: int
    at: int
    rate: int
    since: int

    def leak(self, now: int, rate: int) -> None:
        self.fill = max(self.fill - (now - self.at) * rate, 0)
        self.at, self.rate = now, rate
        if not self.fill:
            self.since = now


def find_refusal(
    rates: Sequence[int], counts: Sequence[int], fills: Sequence[int]
) -> tuple[int | None, int]:
    """Which demand has to wait longest, and how many ms; (None, 0) when all fit."""
    refused, longest = None, 0
    for number, (rate, count, fill) in enumerate(zip(rates, counts, fills, strict=True)):
        wait = -(((rate - count) * MINUTE_MS - fill) // rate)
        if wait > longest:
            refused, longest = number, wait
    return refused, longest


def read(limit: Limit, rate: int, taken: int, fill: int, at: int) -> Reading:
    """What callers are told of a bucket that is so full now."""
    return Reading(
        limit=limit,
        taken=taken,
        remaining=max(rate * MINUTE_MS - fill, 0) // MINUTE_MS,
        reset_ms=-(-fill // rate),
        at=at,
    )
