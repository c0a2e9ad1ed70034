"""Closing calls: capture, call, usage event and charge in one commit, once."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.utils.translation import gettext_lazy as _

from marketplace.catalog.pricing import charge
from marketplace.ledger import services as ledger
from marketplace.metering.commands import CloseCall, CloseResult
from marketplace.metering.models import (
    COSTING_STATUSES,
    Call,
    CallStatus,
    UsageEvent,
    UsageSource,
)
from marketplace.metering.services.rolling_up import forget_lost_call
from portal.kernel.errors import Rejected

_CLOSE = """
    UPDATE metering_call
       SET status = %s, error_code = %s, finish_reason = %s, upstream_id = %s, prompt_tokens = %s,
           cached_tokens = %s, completion_tokens = %s, usage_source = %s, usage_doubt = %s,
           cost_millitokens = %s, share_millitokens = %s, commission_millitokens = %s,
           uncovered_millitokens = %s, first_token_ms = %s, duration_ms = %s, ended_at = %s,
           rolled_up = %s
     WHERE id = %s AND status = %s
"""
_INSERT_EVENT = """
    INSERT INTO metering_usageevent (source, event_id, payload_hash, call_id, prompt_tokens,
           cached_tokens, completion_tokens, occurred_at, received_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING id
"""
_INSERT_CHARGE = """
    INSERT INTO metering_usagecharge (event_id, transaction_id, price_version_id,
           amount_millitokens)
    VALUES (%s, %s, %s, %s)
"""


class UsageNotPossible(Rejected):
    """The quantities cannot be: negative, or more cached than prompted."""

    code = "usage_not_possible"


@dataclass(frozen=True, slots=True)
class _Closing:
    """A request with what it costs: ``cost`` is the whole charge, ``share`` the provider's."""

    request: CloseCall
    cost: int
    share: int
    event_id: str
    payload_hash: str


def close_calls(requests: Sequence[CloseCall], *, now: datetime) -> list[CloseResult]:
    """Capture what each call costs and record it, all in one commit; safe to repeat.

    Raises UsageNotPossible, before anything is changed. A call is closed once: closing it again
    gives the first result. A call that the sweep had given up is closed late; what its wallet can
    no longer pay is the operator's.
    """
    closings = [_rate(request) for request in requests]
    try:
        with transaction.atomic():
            return _close_all(closings, now)
    except IntegrityError:
        if not any(_is_foreign(closing) for closing in closings):
            raise
        # Another process stored one of these events between our look and our write.
        with transaction.atomic():
            return _close_all(closings, now)


def _close_all(closings: list[_Closing], now: datetime) -> list[CloseResult]:
    known = _find_known_events(closings)
    clashes = []
    for closing in closings:
        name = (closing.request.event_source, closing.event_id)
        content = (closing.request.call.call_pk, closing.payload_hash)
        clashes.append(_is_foreign(closing) and known.setdefault(name, content) != content)
    good = [c for c, clash in zip(closings, clashes, strict=True) if not clash]
    captures = _capture(good, now)
    closed = iter([_close(c, capture, now) for c, capture in zip(good, captures, strict=True)])
    return [CloseResult(outcome="conflict") if clash else next(closed) for clash in clashes]


def _is_foreign(closing: _Closing) -> bool:
    """Whether the event has a provider's id; ours are as unique as calls."""
    return closing.event_id != closing.request.call.public_id


def _rate(request: CloseCall) -> _Closing:
    call = request.call
    cost = 0
    try:
        full = charge(
            call.price,
            prompt_tokens=request.prompt_tokens,
            cached_tokens=request.cached_tokens,
            completion_tokens=request.completion_tokens,
        )
    except ValueError as error:
        raise UsageNotPossible(_("These quantities of model tokens cannot be.")) from error
    if request.status in COSTING_STATUSES and request.usage_source != UsageSource.NONE:
        cost = full
    # Test tokens are never payable: their whole charge is the market's.
    rate = 0 if call.unit == "test" else 10_000 - call.commission_basis_points
    counted = f"{request.prompt_tokens}:{request.cached_tokens}:{request.completion_tokens}"
    return _Closing(
        request=request,
        cost=cost,
        share=cost * rate // 10_000,
        event_id=request.event_id or call.public_id,
        payload_hash=hashlib.sha256(counted.encode()).hexdigest(),
    )


def _find_known_events(closings: list[_Closing]) -> dict[tuple[str, str], tuple[int, str]]:
    """Call and content of each usage event that is stored already."""
    foreign = [closing for closing in closings if _is_foreign(closing)]
    if not foreign:
        return {}
    rows = UsageEvent.objects.filter(
        source__in={c.request.event_source for c in foreign},
        event_id__in={c.event_id for c in foreign},
    ).values_list("source", "event_id", "call_id", "payload_hash")
    return {(source, event_id): (call, digest) for source, event_id, call, digest in rows}


def _capture(closings: list[_Closing], now: datetime) -> list[ledger.CaptureResult | None]:
    """One result per closing; None where nothing was held because nothing can be charged."""
    holding = [closing for closing in closings if closing.request.call.hold_id]
    if not holding:
        return [None] * len(closings)
    results = iter(
        ledger.capture_holds(
            [
                ledger.CaptureRequest(
                    hold_id=closing.request.call.hold_id,
                    amount_millitokens=closing.cost,
                    credits=_credit(closing),
                    reference=f"call:{closing.request.call.public_id}",
                )
                for closing in holding
            ],
            now=now,
        )
    )
    return [next(results) if closing.request.call.hold_id else None for closing in closings]


def _credit(closing: _Closing) -> tuple[ledger.Credit, ...]:
    credits = (
        ledger.Credit(
            account_kind="payable",
            owner_key=closing.request.call.provider_public_id,
            amount_millitokens=closing.share,
        ),
        ledger.Credit(
            account_kind="commission",
            owner_key="operator",
            amount_millitokens=closing.cost - closing.share,
        ),
    )
    return tuple(credit for credit in credits if credit.amount_millitokens)


def _close(closing: _Closing, capture: ledger.CaptureResult | None, now: datetime) -> CloseResult:
    paid = capture.captured_millitokens if capture else 0
    uncovered = capture.uncovered_millitokens if capture else 0
    if capture is not None and capture.outcome == "replayed":
        return _read_result(closing)
    if capture is not None and capture.outcome == "already_resolved" and closing.cost:
        return _read_result(closing)
    if not _update_call(closing, paid, uncovered, now):
        return _read_result(closing)
    if closing.request.status in COSTING_STATUSES and (
        closing.request.usage_source != UsageSource.NONE
    ):
        _record_usage(closing, paid, capture, now)
    return CloseResult(
        outcome="closed",
        cost_millitokens=paid,
        uncovered_millitokens=uncovered,
        transaction_id=capture.transaction_id if capture else "",
    )


def _update_call(closing: _Closing, paid: int, uncovered: int, now: datetime) -> bool:
    """Whether this was the closing of the call: it was open, or given up by the sweep."""
    request = closing.request
    values: list[Any] = [
        request.status, _clean(request.error_code, 60), _clean(request.finish_reason, 30),
        _clean(request.upstream_id, 120), request.prompt_tokens, request.cached_tokens,
        request.completion_tokens, request.usage_source, request.usage_doubt, paid, closing.share,
        paid - closing.share, uncovered, request.first_token_ms, request.duration_ms,
        connection.ops.adapt_datetimefield_value(now), False, request.call.call_pk,
    ]  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_CLOSE, [*values, CallStatus.OPEN.value])
        if cursor.rowcount == 1:
            return True
        if not forget_lost_call(request.call.call_pk):
            return False
        cursor.execute(_CLOSE, [*values, CallStatus.LOST.value])
        return cursor.rowcount == 1


def _clean(text: str, length: int) -> str:
    """What a provider wrote, fit for a column: PostgreSQL would refuse the whole commit for NUL."""
    return "".join(character for character in text if character.isprintable())[:length]


def _record_usage(
    closing: _Closing, paid: int, capture: ledger.CaptureResult | None, now: datetime
) -> None:
    request = closing.request
    adapt = connection.ops.adapt_datetimefield_value
    with connection.cursor() as cursor:
        cursor.execute(
            _INSERT_EVENT,
            [
                request.event_source, closing.event_id, closing.payload_hash,
                request.call.call_pk, request.prompt_tokens, request.cached_tokens,
                request.completion_tokens, adapt(request.occurred_at or now), adapt(now),
            ],
        )  # fmt: skip
        event_pk = cursor.fetchone()[0]
        transaction_pk = capture.transaction_pk if capture and paid else None
        cursor.execute(
            _INSERT_CHARGE,
            [event_pk, transaction_pk, request.call.price.price_version_pk, paid],
        )


def _read_result(closing: _Closing) -> CloseResult:
    row = (
        Call.objects.filter(pk=closing.request.call.call_pk)
        .values_list(
            "cost_millitokens",
            "uncovered_millitokens",
            "usage_event__charge__transaction__public_id",
        )
        .get()
    )
    return CloseResult(
        outcome="replayed",
        cost_millitokens=row[0],
        uncovered_millitokens=row[1],
        transaction_id=row[2] or "",
    )
