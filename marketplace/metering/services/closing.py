"""Closing calls: capture, call, usage event and charge in one commit, once."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _

from marketplace.catalog.pricing import charge
from marketplace.ledger import services as ledger
from marketplace.metering.commands import CloseCall, CloseResult
from marketplace.metering.models import (
    Call,
    UsageEvent,
)
from marketplace.metering.services.recording import (
    Closing,
    is_counted,
    record_usage,
    update_calls,
)
from portal.kernel.errors import Rejected


class UsageNotPossible(Rejected):
    """The quantities cannot be: negative, or more cached than prompted."""

    code = "usage_not_possible"


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


def _close_all(closings: list[Closing], now: datetime) -> list[CloseResult]:
    known = _find_known_events(closings)
    clashes = []
    for closing in closings:
        name = (closing.request.event_source, closing.event_id)
        content = (closing.call_pk, closing.payload_hash)
        clashes.append(_is_foreign(closing) and known.setdefault(name, content) != content)
    good = [c for c, clash in zip(closings, clashes, strict=True) if not clash]
    closed = iter(_close(_capture(good, now), now))
    return [CloseResult(outcome="conflict") if clash else next(closed) for clash in clashes]


def _is_foreign(closing: Closing) -> bool:
    """Whether the event has a provider's id; ours are as unique as calls."""
    return closing.event_id != closing.request.call.public_id


def _rate(request: CloseCall) -> Closing:
    call = request.call
    try:
        full = charge(
            call.price,
            prompt_tokens=request.prompt_tokens,
            cached_tokens=request.cached_tokens,
            completion_tokens=request.completion_tokens,
        )
    except ValueError as error:
        raise UsageNotPossible(_("These quantities of model tokens cannot be.")) from error
    cost = full if is_counted(request) else 0
    # Test tokens are never payable: their whole charge is the market's.
    rate = 0 if call.unit == "test" else 10_000 - call.commission_basis_points
    tokens = f"{request.prompt_tokens}:{request.cached_tokens}:{request.completion_tokens}"
    return Closing(
        request=request,
        cost=cost,
        share=cost * rate // 10_000,
        event_id=request.event_id or call.public_id,
        payload_hash=hashlib.sha256(tokens.encode()).hexdigest(),
    )


def _find_known_events(closings: list[Closing]) -> dict[tuple[str, str], tuple[int, str]]:
    """Call and content of each usage event that is stored already."""
    foreign = [closing for closing in closings if _is_foreign(closing)]
    if not foreign:
        return {}
    rows = UsageEvent.objects.filter(
        source__in={c.request.event_source for c in foreign},
        event_id__in={c.event_id for c in foreign},
    ).values_list("source", "event_id", "call_id", "payload_hash")
    return {(source, event_id): (call, digest) for source, event_id, call, digest in rows}


def _capture(closings: list[Closing], now: datetime) -> list[Closing]:
    """The closings with what the ledger did; nothing where nothing was held."""
    requests = [
        ledger.CaptureRequest(
            hold_id=closing.request.call.hold_id,
            amount_millitokens=closing.cost,
            credits=_credit(closing),
            reference=f"call:{closing.request.call.public_id}",
        )
        for closing in closings
        if closing.request.call.hold_id
    ]
    results = iter(ledger.capture_holds(requests, now=now))
    return [
        replace(closing, capture=next(results)) if closing.request.call.hold_id else closing
        for closing in closings
    ]


def _credit(closing: Closing) -> tuple[ledger.Credit, ...]:
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


def _close(closings: list[Closing], now: datetime) -> list[CloseResult]:
    fresh: dict[int, Closing] = {}
    for closing in closings:
        if not closing.is_closed_already:
            fresh.setdefault(closing.call_pk, closing)
    updated = update_calls(list(fresh.values()), now)
    done = [closing for pk, closing in fresh.items() if pk in updated]
    record_usage([closing for closing in done if is_counted(closing.request)], now)
    return [
        CloseResult(
            outcome="closed",
            cost_millitokens=closing.paid,
            uncovered_millitokens=closing.uncovered,
            transaction_id=closing.capture.transaction_id if closing.capture else "",
        )
        if closing.call_pk in updated and fresh[closing.call_pk] is closing
        else _read_result(closing)
        for closing in closings
    ]


def _read_result(closing: Closing) -> CloseResult:
    row = (
        Call.objects.filter(pk=closing.call_pk)
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
