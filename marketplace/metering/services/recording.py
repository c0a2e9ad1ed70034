"""What closing a call writes beside the ledger: the call, its usage event, its charge."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from marketplace.ledger import services as ledger
from marketplace.metering.commands import CloseCall
from marketplace.metering.models import COSTING_STATUSES, CallStatus, UsageSource
from marketplace.metering.services.rolling_up import forget_lost_call

# Columns of calls that each closing sets, in the order of its values, after the call's own key.
_CLOSED = (
    "status", "error_code", "finish_reason", "upstream_id", "prompt_tokens", "cached_tokens",
    "completion_tokens", "usage_source", "usage_doubt", "cost_millitokens", "share_millitokens",
    "commission_millitokens", "uncovered_millitokens", "first_token_ms", "duration_ms",
)  # fmt: skip
# Where every value of a column is NULL, PostgreSQL takes the column for text.
_NULLABLE = frozenset({"first_token_ms", "duration_ms"})
_SET = ", ".join(
    f"{name} = CAST(v.column{n} AS integer)" if name in _NULLABLE else f"{name} = v.column{n}"
    for n, name in enumerate(_CLOSED, start=2)
)
_CLOSE = f"""
    UPDATE metering_call SET {_SET}, ended_at = %s, rolled_up = false
      FROM (VALUES {{rows}}) AS v
     WHERE metering_call.id = v.column1 AND metering_call.status = %s
    RETURNING id
"""  # noqa: S608 (our own column names)
_INSERT_EVENTS = """
    INSERT INTO metering_usageevent (source, event_id, payload_hash, call_id, prompt_tokens,
           cached_tokens, completion_tokens, occurred_at, received_at)
    VALUES {rows} RETURNING call_id, id
"""
_INSERT_CHARGES = """
    INSERT INTO metering_usagecharge (event_id, transaction_id, price_version_id,
           amount_millitokens)
    VALUES {rows}
"""


@dataclass(frozen=True, slots=True)
class Closing:
    """A request with what it costs: ``cost`` is the whole charge.

    ``capture`` is what the ledger made of it; None while it was not asked, or nothing was held.
    """

    request: CloseCall
    cost: int
    event_id: str
    payload_hash: str
    capture: ledger.CaptureResult | None = None

    @property
    def call_pk(self) -> int:
        return self.request.call.call_pk

    @property
    def paid(self) -> int:
        return self.capture.captured_millitokens if self.capture else 0

    @property
    def uncovered(self) -> int:
        """What the tenant did not pay, whether or not the provider is owed it."""
        if self.capture is None:
            return 0
        return self.capture.uncovered_millitokens + self.capture.in_suspense_millitokens

    @property
    def share(self) -> int:
        return self.capture.payable_millitokens if self.capture else 0

    @property
    def is_closed_already(self) -> bool:
        """Whether its hold was resolved by an earlier closing."""
        outcome = self.capture.outcome if self.capture else ""
        return outcome == "replayed" or (outcome == "already_resolved" and self.cost > 0)

    @property
    def is_refused(self) -> bool:
        """Whether its hold is past its time, and the request refuses late captures."""
        return self.capture is not None and self.capture.outcome == "expired"


def is_counted(request: CloseCall) -> bool:
    """Whether there is usage to charge, be it with nothing."""
    return request.status in COSTING_STATUSES and request.usage_source != UsageSource.NONE


def update_calls(closings: list[Closing], now: datetime) -> set[int]:
    """Keys of the calls that this closed: they were open, or given up by the sweep."""
    updated = _update_those(CallStatus.OPEN, closings, now)
    late = [closing for closing in closings if closing.call_pk not in updated]
    lost = [closing for closing in late if forget_lost_call(closing.call_pk)]
    return updated | _update_those(CallStatus.LOST, lost, now)


def _update_those(status: CallStatus, closings: list[Closing], now: datetime) -> set[int]:
    if not closings:
        return set()
    values: list[Any] = [connection.ops.adapt_datetimefield_value(now)]
    for closing in closings:
        values += _values(closing)
    with connection.cursor() as cursor:
        rows = _rows(1 + len(_CLOSED), closings)
        cursor.execute(_CLOSE.format(rows=rows), [*values, status.value])
        return {pk for (pk,) in cursor.fetchall()}


def _values(closing: Closing) -> list[Any]:
    request = closing.request
    return [
        closing.call_pk, request.status, _clean(request.error_code, 60),
        _clean(request.finish_reason, 30), _clean(request.upstream_id, 120),
        request.prompt_tokens, request.cached_tokens, request.completion_tokens,
        str(request.usage_source), str(request.usage_doubt), closing.paid, closing.share,
        closing.paid - closing.share, closing.uncovered, request.first_token_ms,
        request.duration_ms,
    ]  # fmt: skip


def _clean(text: str, length: int) -> str:
    """What a provider wrote, fit for a column: PostgreSQL would refuse the whole commit for NUL."""
    return "".join(character for character in text if character.isprintable())[:length]


def record_usage(closings: list[Closing], now: datetime) -> None:
    """Event and charge of each closing."""
    if not closings:
        return
    adapt = connection.ops.adapt_datetimefield_value
    events: list[Any] = []
    for closing in closings:
        request = closing.request
        events += [
            request.event_source, closing.event_id, closing.payload_hash, closing.call_pk,
            request.prompt_tokens, request.cached_tokens, request.completion_tokens,
            adapt(request.occurred_at or now), adapt(now),
        ]  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_INSERT_EVENTS.format(rows=_rows(9, closings)), events)
        event_pks = dict(cursor.fetchall())
        charges: list[Any] = []
        for closing in closings:
            transaction_pk = closing.capture.transaction_pk if closing.capture else None
            charges += [
                event_pks[closing.call_pk], transaction_pk if closing.paid else None,
                closing.request.call.price.price_version_pk, closing.paid,
            ]  # fmt: skip
        cursor.execute(_INSERT_CHARGES.format(rows=_rows(4, closings)), charges)


def _rows(columns: int, closings: list[Closing]) -> str:
    return ", ".join([f"({', '.join(['%s'] * columns)})"] * len(closings))
