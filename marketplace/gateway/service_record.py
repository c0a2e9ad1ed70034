"""What was seen of one service: calls that fade, failures in a row, the circuit, measurements.

Moments are those of ``time.monotonic``; every method is told what time it is.
"""

from collections import deque
from dataclasses import dataclass, field
from enum import IntEnum

# What was seen weighs half after so long. Uptime is of about the last half hour then.
HALF_LIFE_SECONDS = 300.0
# The weight of calls from which uptime orders services, and from which it is told.
ENOUGH_TO_ORDER = 20.0
ENOUGH_TO_TELL = 100.0
NORMAL_UPTIME = 0.95
DEGRADED_UPTIME = 0.80
# So many failures in a row open the circuit. After a pause one call is let through as a trial;
# each trial that fails doubles the pause. The next trial does not wait for one that hangs.
OPENS_AFTER = 5
FIRST_PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 300.0
TRIAL_SECONDS = 30.0
# Latest measurements that percentiles are read from, no older than half an hour.
MOST_SAMPLES = 200
LONGEST_SAMPLE_SECONDS = 1800.0
# The speed of a very short answer says nothing.
LEAST_TOKENS_FOR_SPEED = 16
# How old a median may be that orders services.
MEDIAN_SECONDS = 1.0
_PERCENTILES = (50, 75, 90, 99)


class Standing(IntEnum):
    """How early a service is tried: the lower, the earlier."""

    NORMAL = 0
    DEGRADED = 1
    FALLBACK_ONLY = 2
    RESTING = 3


class Samples:
    """The latest measurements of one kind, with the moments when they were made."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float]] = deque(maxlen=MOST_SAMPLES)
        self._median: float | None = None
        self._median_at = float("-inf")

    def add(self, now: float, value: float) -> None:
        self._samples.append((now, value))

    def percentiles(self, now: float) -> dict[int, float] | None:
        oldest = now - LONGEST_SAMPLE_SECONDS
        values = sorted(value for at, value in self._samples if at >= oldest)
        if not values:
            return None
        return {p: values[min(len(values) * p // 100, len(values) - 1)] for p in _PERCENTILES}

    def median(self, now: float) -> float | None:
        if self._median is None or now - self._median_at >= MEDIAN_SECONDS:
            found = self.percentiles(now)
            self._median, self._median_at = found[50] if found else None, now
        return self._median


@dataclass(slots=True)
class ServiceRecord:
    """What was seen of one service. ``good`` and ``bad`` are calls, as of ``counted_at``."""

    counted_at: float
    good: float = 0.0
    bad: float = 0.0
    failures_in_a_row: int = 0
    opened_at: float | None = None
    pause_seconds: float = FIRST_PAUSE_SECONDS
    trial_until: float = 0.0
    rests_until: float = 0.0
    latency_ms: Samples = field(default_factory=Samples)
    throughput: Samples = field(default_factory=Samples)

    def _count(self, now: float, *, good: int = 0, bad: int = 0) -> None:
        fading = _fade(now - self.counted_at)
        self.good, self.bad, self.counted_at = (
            self.good * fading + good,
            self.bad * fading + bad,
            now,
        )

    def weight(self, now: float) -> float:
        return (self.good + self.bad) * _fade(now - self.counted_at)

    @property
    def uptime(self) -> float:
        return self.good / (self.good + self.bad)

    def count_success(self, now: float, began_at: float) -> None:
        self._count(now, good=1)
        self.failures_in_a_row = 0
        # What began before the trouble did is no sign that it is over.
        if self.opened_at is not None and began_at >= self.opened_at:
            self.opened_at, self.pause_seconds = None, FIRST_PAUSE_SECONDS

    def count_failure(self, now: float, began_at: float) -> None:
        self._count(now, bad=1)
        self.failures_in_a_row += 1
        if self.opened_at is None:
            if self.failures_in_a_row >= OPENS_AFTER:
                self.opened_at, self.trial_until = now, 0.0
        # Many calls that hung together are one failed trial, not many.
        elif began_at >= self.opened_at:
            self.opened_at, self.trial_until = now, 0.0
            self.pause_seconds = min(self.pause_seconds * 2, LONGEST_PAUSE_SECONDS)

    def rests(self, now: float) -> bool:
        """Whether it is not to be tried: told to wait, or the circuit is open and no trial due."""
        if now < self.rests_until:
            return True
        if self.opened_at is None:
            return False
        return now < self.opened_at + self.pause_seconds or now < self.trial_until

    def admit(self, now: float) -> bool:
        """Whether a call may go there now; of an open circuit it is the trial."""
        if self.rests(now):
            return False
        if self.opened_at is not None:
            self.trial_until = now + TRIAL_SECONDS
        return True

    def standing(self, now: float) -> Standing:
        if self.rests(now):
            return Standing.RESTING
        # A trial is due: it goes where the service would stand.
        if self.opened_at is not None or self.weight(now) < ENOUGH_TO_ORDER:
            return Standing.NORMAL
        if self.uptime >= NORMAL_UPTIME:
            return Standing.NORMAL
        return Standing.DEGRADED if self.uptime >= DEGRADED_UPTIME else Standing.FALLBACK_ONLY


def _fade(seconds: float) -> float:
    return float(0.5 ** (seconds / HALF_LIFE_SECONDS))
