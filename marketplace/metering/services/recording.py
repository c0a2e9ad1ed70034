"""What closing a call writes beside the ledger: the call, its usage event, its charge."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from marketplace.ledger import services as ledger
from marketplace.metering.commands import CloseCall
from marketplace.metering.models import COSTING_STATUSES, CallStatus, UsageSource
from marketplace.metering.services.rolling_up import forget_lost_call

# Each writes only for what the one before it has written: a call that is closed already gets no
# second event, and without an event there is no charge.
_CLOSE_CALLS = ledger.Statement(
    """
    UPDATE metering_call SET status = v.status, error_code = v.error_code,
      finish_reason = v.finish_reason, upstream_id = v.upstream_id,
      prompt_tokens = v.prompt_tokens, cached_tokens = v.cached_tokens,
      completion_tokens = v.completion_tokens, usage_source = v.usage_source,
      usage_doubt = v.usage_doubt, cost_millitokens = v.cost, share_millitokens = v.share,
      commission_millitokens = v.commission, uncovered_millitokens = v.uncovered,
      first_token_ms = v.first_token_ms, duration_ms = v.duration_ms, ended_at = v.now,
      rolled_up = false
    FROM {rows}
    WHERE metering_call.id = v.id AND metering_call.status = v.status_before
    RETURNING metering_call.id
    """,
    columns="id bigint, status_before text, status text, error_code text, finish_reason text, "
    "upstream_id text, prompt_tokens bigint, cached_tokens bigint, completion_tokens bigint, "
    "usage_source text, usage_doubt text, cost bigint, share bigint, commission bigint, "
    "uncovered bigint, first_token_ms bigint, duration_ms bigint, now timestamptz",
    table="metering_call",
)
_INSERT_EVENTS = ledger.Statement(
    """
    INSERT INTO metering_usageevent (source, event_id, payload_hash, call_id, prompt_tokens,
      cached_tokens, completion_tokens, occurred_at, received_at)
    SELECT v.source, v.event_id, v.payload_hash, v.call_id, v.prompt_tokens, v.cached_tokens,
      v.completion_tokens, v.occurred_at, v.received_at
    FROM {rows} JOIN {new metering_call: id bigint} c ON c.id = v.call_id
    RETURNING id, call_id
    """,
    columns="source text, event_id text, payload_hash text, call_id bigint, "
    "prompt_tokens bigint, cached_tokens bigint, completion_tokens bigint, "
    "occurred_at timestamptz, received_at timestamptz",
    table="metering_usageevent",
)
_INSERT_CHARGES = ledger.Statement(
    """
    INSERT INTO metering_usagecharge (event_id, transaction_id, price_version_id,
      amount_millitokens)
    SELECT e.id, COALESCE(v.transaction_pk, t.id), v.price_version_pk, v.amount
    FROM {rows}
    JOIN {new metering_usageevent: id bigint, call_id bigint} e ON e.call_id = v.call_id
    LEFT JOIN {new ledger_transaction: id bigint, public_id text} t
      ON t.public_id = v.transaction_id
    RETURNING id
    """,
    columns="call_id bigint, transaction_pk bigint, transaction_id text, "
    "price_version_pk bigint, amount bigint",
)


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


def list_writes(
    closings: Sequence[Closing], now: datetime, *, status: CallStatus = CallStatus.OPEN
) -> list[ledger.Call]:
    """Statements that close those of the calls that have this status, each with usage event and
    charge; to be executed together. The first returns the keys of the calls that it closed."""
    if not closings:
        return []
    calls = [_call_row(closing, status, now) for closing in closings]
    counted = [closing for closing in closings if is_counted(closing.request)]
    if not counted:
        return [(_CLOSE_CALLS, calls)]
    return [
        (_CLOSE_CALLS, calls),
        (_INSERT_EVENTS, [_event_row(closing, now) for closing in counted]),
        (_INSERT_CHARGES, [_charge_row(closing) for closing in counted]),
    ]


def close_lost_calls(closings: Sequence[Closing], now: datetime) -> set[int]:
    """Close those of the calls that the sweep had given up; their keys."""
    lost = [closing for closing in closings if forget_lost_call(closing.call_pk)]
    if not lost:
        return set()
    closed, *_records = ledger.run_together(*list_writes(lost, now, status=CallStatus.LOST))
    return {pk for (pk,) in closed}


def _call_row(closing: Closing, status: CallStatus, now: datetime) -> ledger.Row:
    request, paid, share = closing.request, closing.paid, closing.share
    return (
        closing.call_pk, status.value, request.status, _clean(request.error_code, 60),
        _clean(request.finish_reason, 30), _clean(request.upstream_id, 120),
        request.prompt_tokens, request.cached_tokens, request.completion_tokens,
        str(request.usage_source), str(request.usage_doubt), paid, share, paid - share,
        closing.uncovered, request.first_token_ms, request.duration_ms, now,
    )  # fmt: skip


def _clean(text: str, length: int) -> str:
    """What a provider wrote, fit for a column: PostgreSQL would refuse the whole commit for NUL."""
    if not text.isprintable():
        text = "".join(character for character in text if character.isprintable())
    return text[:length]


def _event_row(closing: Closing, now: datetime) -> ledger.Row:
    request = closing.request
    return (
        request.event_source, closing.event_id, closing.payload_hash, closing.call_pk,
        request.prompt_tokens, request.cached_tokens, request.completion_tokens,
        request.occurred_at or now, now,
    )  # fmt: skip


def _charge_row(closing: Closing) -> ledger.Row:
    """The transaction by its key where that is known, else by the id of one that is being made."""
    capture = closing.capture if closing.paid else None
    return (
        closing.call_pk,
        capture.transaction_pk if capture else None,
        capture.transaction_id if capture else None,
        closing.request.call.price.price_version_pk,
        closing.paid,
    )
