"""How long calls took, in classes that can be added up and read as percentiles."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

# The longest duration of each class in milliseconds; the last class has none.
BOUNDS_MS = (
    25, 50, 100, 200, 300, 450, 700, 1_000, 1_500, 2_200, 3_300, 5_000, 10_000, 20_000, 60_000,
)  # fmt: skip
CLASSES = len(BOUNDS_MS) + 1
COLUMNS = tuple(f"took_{number}" for number in range(CLASSES))
# Below this many calls a percentile says nothing.
ENOUGH_CALLS = 5


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Durations in milliseconds, read from classes: right to within a class."""

    p50_ms: int
    p95_ms: int
    p99_ms: int


def class_of(duration_ms: int) -> int:
    """Which class a duration belongs to, from 0."""
    return bisect_left(BOUNDS_MS, duration_ms)


def read_percentiles(counts: Sequence[int]) -> Percentiles | None:
    """From calls per class; None when there are too few to say."""
    if sum(counts) < ENOUGH_CALLS:
        return None
    return Percentiles(_percentile(counts, 50), _percentile(counts, 95), _percentile(counts, 99))


def _percentile(counts: Sequence[int], percent: int) -> int:
    """Linear within the class; in the open last class its beginning, the least it can be."""
    wanted = sum(counts) * percent / 100
    before = 0
    for number, count in enumerate(counts):
        if count and before + count >= wanted:
            lower = BOUNDS_MS[number - 1] if number else 0
            upper = BOUNDS_MS[number] if number < len(BOUNDS_MS) else lower
            return round(lower + (upper - lower) * (wanted - before) / count)
        before += count
    return BOUNDS_MS[-1]
