"""Totals per quarter of an hour: each ended call is counted once, in one commit with its mark."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import F

from marketplace.metering import latency
from marketplace.metering.models import Call, CallStatus, RollUp, UsageTotal
from marketplace.metering.periods import start_of_quarter

BATCH = 2000
MOST_BATCHES = 50

Bucket = tuple[Any, ...]

_SUMMED = (
    "prompt_tokens", "cached_tokens", "completion_tokens", "cost_millitokens", "share_millitokens",
)  # fmt: skip
_KEY = (
    "organisation_id", "bucket_start", "service_id", "api_key_id", "member_id", "unit", "status",
)  # fmt: skip
_KEY_OF_CALL = tuple(name for name in _KEY if name != "bucket_start")
_ADDED = ("calls", *_SUMMED, *latency.COLUMNS)
_UPSERT = f"""
    INSERT INTO metering_usagetotal ({", ".join((*_KEY, *_ADDED))})
    VALUES ({", ".join(["%s"] * len((*_KEY, *_ADDED)))})
    ON CONFLICT (organisation_id, bucket_start, service_id, api_key_id, unit, status)
    DO UPDATE SET {", ".join(f"{n} = metering_usagetotal.{n} + excluded.{n}" for n in _ADDED)}
"""  # noqa: S608 (our own column names)


def roll_up_usage(*, now: datetime) -> int:
    """Add the calls that ended since the last time to the totals; returns how many.

    Safe to run twice at once: one roll-up at a time holds the row that says when it ran.
    """
    counted = 0
    for _number in range(MOST_BATCHES):
        with transaction.atomic():
            _take_turn()
            batch = _take_batch()
            _add(batch)
            counted += Call.objects.filter(pk__in=[row["pk"] for row in batch]).update(
                rolled_up=True
            )
            RollUp.objects.update(finished_at=now)
        if len(batch) < BATCH:
            break
    return counted


def forget_lost_call(call_pk: int) -> bool:
    """Take a call that the sweep gave up out of the totals, since it will be closed after all.

    Part of closing it, in the same transaction. False when the call was not given up.
    """
    _take_turn()
    call = (
        Call.objects.select_for_update()
        .filter(pk=call_pk, status=CallStatus.LOST)
        .values("rolled_up", "started_at", *_KEY_OF_CALL)
        .first()
    )
    if call is None:
        return False
    if call.pop("rolled_up"):
        bucket = start_of_quarter(call.pop("started_at"))
        UsageTotal.objects.filter(bucket_start=bucket, **call).update(calls=F("calls") - 1)
    return True


def _take_turn() -> None:
    """One at a time: two that add the same calls would wait for each other's totals."""
    if not list(RollUp.objects.select_for_update().values_list("pk")):
        raise RuntimeError("the row of metering_rollup is missing: run the migrations")


def _take_batch() -> list[dict[str, Any]]:
    return list(
        Call.objects.select_for_update(skip_locked=True)
        .filter(rolled_up=False)
        .exclude(status=CallStatus.OPEN)
        .order_by("pk")
        .values("pk", "started_at", "duration_ms", *_KEY_OF_CALL, *_SUMMED)[:BATCH]
    )


def _add(batch: Iterable[dict[str, Any]]) -> None:
    sums: dict[Bucket, dict[str, int]] = defaultdict(lambda: dict.fromkeys(_ADDED, 0))
    for call in batch:
        call["bucket_start"] = start_of_quarter(call["started_at"])
        total = sums[tuple(call[name] for name in _KEY)]
        total["calls"] += 1
        for name in _SUMMED:
            total[name] += call[name]
        if call["status"] == CallStatus.SUCCEEDED and call["duration_ms"] is not None:
            total[latency.COLUMNS[latency.class_of(call["duration_ms"])]] += 1
    adapt = connection.ops.adapt_datetimefield_value
    rows = [
        [adapt(part) if isinstance(part, datetime) else part for part in key]
        + [added[name] for name in _ADDED]
        for key, added in sums.items()
    ]
    with connection.cursor() as cursor:
        cursor.executemany(_UPSERT, rows)
