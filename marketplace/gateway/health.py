"""How each service has been doing lately, from the calls that this process made.

It decides in which order services are tried, and never refuses: where nothing better is left, a
service in trouble is asked all the same. Every process has its own view; none outlives it.
"""

import threading
import time
from dataclasses import dataclass
from typing import Literal

from marketplace.gateway.service_record import (
    ENOUGH_TO_TELL,
    LEAST_TOKENS_FOR_SPEED,
    ServiceRecord,
    Standing,
)
from marketplace.upstream.failures import UpstreamBusy, UpstreamFailure

Status = Literal["normal", "degraded", "fallback_only", "resting"]


@dataclass(frozen=True, slots=True)
class ServiceHealth:
    """One service as this process sees it.

    ``uptime`` is in percent, None below a hundred calls. ``latency_ms`` (to the first token; the
    whole call for embeddings) and ``throughput`` (tokens per second) are by percentile, 50 to 99,
    None while nothing was measured.
    """

    status: Status = "normal"
    uptime: float | None = None
    latency_ms: dict[int, float] | None = None
    throughput: dict[int, float] | None = None


class Health:
    """The services that were called; written by the event loop, read by the database's threads.

    Moments are those of ``time.monotonic``; a service is named by its primary key.
    """

    def __init__(self) -> None:
        self._records: dict[int, ServiceRecord] = {}
        self._lock = threading.Lock()

    def note_success(
        self,
        service_pk: int,
        *,
        began_at: float,
        latency_ms: int | None,
        duration_ms: int,
        completion_tokens: int,
    ) -> None:
        """A call that was answered in full."""
        now = time.monotonic()
        with self._lock:
            record = self._of(service_pk, now)
            record.count_success(now, began_at)
            if latency_ms is not None:
                record.latency_ms.add(now, latency_ms)
            generating_ms = duration_ms - (latency_ms or 0)
            if completion_tokens >= LEAST_TOKENS_FOR_SPEED and generating_ms > 0:
                record.throughput.add(now, completion_tokens * 1000 / generating_ms)

    def note_failure(self, service_pk: int, failure: UpstreamFailure, *, began_at: float) -> None:
        """A call that failed; what is not the provider's fault leaves its uptime alone."""
        now = time.monotonic()
        with self._lock:
            record = self._of(service_pk, now)
            if isinstance(failure, UpstreamBusy):
                record.rests_until = max(
                    record.rests_until, now + failure.data["retry_after_seconds"]
                )
            if failure.is_providers_fault:
                record.count_failure(now, began_at)

    def standing(self, service_pk: int) -> Standing:
        """Where it stands in the order of trying."""
        record = self._records.get(service_pk)
        return record.standing(time.monotonic()) if record else Standing.NORMAL

    def admit(self, service_pk: int) -> bool:
        """Whether this call may go there; of an open circuit, one trial at a time may."""
        record = self._records.get(service_pk)
        if record is None:
            return True
        with self._lock:
            return record.admit(time.monotonic())

    def median_latency_ms(self, service_pk: int) -> float | None:
        """To the first token; None while nothing was measured."""
        record = self._records.get(service_pk)
        if record is None:
            return None
        with self._lock:
            return record.latency_ms.median(time.monotonic())

    def median_throughput(self, service_pk: int) -> float | None:
        """Tokens per second; None while nothing was measured."""
        record = self._records.get(service_pk)
        if record is None:
            return None
        with self._lock:
            return record.throughput.median(time.monotonic())

    def describe(self, service_pk: int) -> ServiceHealth:
        """A snapshot to show; a service that was never called is well."""
        record = self._records.get(service_pk)
        if record is None:
            return ServiceHealth()
        with self._lock:
            now = time.monotonic()
            known = record.weight(now) >= ENOUGH_TO_TELL
            return ServiceHealth(
                status=_STATUSES[record.standing(now)],
                uptime=round(record.uptime * 100, 1) if known else None,
                latency_ms=record.latency_ms.percentiles(now),
                throughput=record.throughput.percentiles(now),
            )

    def _of(self, service_pk: int, now: float) -> ServiceRecord:
        record = self._records.get(service_pk)
        if record is None:
            record = self._records[service_pk] = ServiceRecord(counted_at=now)
        return record


_STATUSES: dict[Standing, Status] = {
    Standing.NORMAL: "normal",
    Standing.DEGRADED: "degraded",
    Standing.FALLBACK_ONLY: "fallback_only",
    Standing.RESTING: "resting",
}
