"""Closing calls: capture, call, usage event and charge in one commit, once."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _

from marketplace.catalog.pricing import charge
from marketplace.ledger import services as ledger
from marketplace.metering.commands import CloseCall, CloseResult, OpenedCall
from marketplace.metering.models import (
    Call,
    UsageEvent,
)
from marketplace.metering.services.recording import (
    Closing,
    close_lost_calls,
    is_counted,
    list_writes,
)
from portal.kernel.errors import Rejected


class UsageNotPossible(Rejected):
    """The quantities cannot be: negative, or more cached than prompted."""

    code = "usage_not_possible"


def close_calls(requests: Sequence[CloseCall], *, now: datetime) -> list[CloseResult]:
    """Capture what each call costs and record it, all in one commit; safe to repeat.

    Raises UsageNotPossible, before anything is changed. A call is closed once: closing it again
    gives the first result. A call that the sweep had given up is closed late: of what it held, the
    operator pays what its wallet no longer can.
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
    recording = _Recording(
        [c for c, clash in zip(closings, clashes, strict=True) if not clash], now
    )
    closed = iter(recording.close())
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
    tokens = f"{request.prompt_tokens}:{request.cached_tokens}:{request.completion_tokens}"
    return Closing(
        request=request,
        cost=cost,
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


class _Recording:
    """Closings, none of them a conflict, on their way through the ledger (see ledger.Beside)."""

    def __init__(self, closings: list[Closing], now: datetime) -> None:
        self._closings = closings
        self._now = now
        self._fresh: dict[int, Closing] = {}
        self._closed: set[int] = set()

    def close(self) -> list[CloseResult]:
        """Capture, and in the same statement write the records of each call that is still open."""
        requests = [_ask(closing) for closing in self._closings if closing.request.call.hold_id]
        captures = ledger.capture_holds(requests, now=self._now, beside=self)
        late = [closing for pk, closing in self._take(captures).items() if pk not in self._closed]
        self._closed |= close_lost_calls(late, self._now)
        new = {id(closing) for pk, closing in self._fresh.items() if pk in self._closed}
        return [_tell(closing, is_new=id(closing) in new) for closing in self._closings]

    def choose(self, results: Sequence[ledger.CaptureResult]) -> list[ledger.Call]:
        return list_writes(list(self._take(results).values()), self._now)

    def note(self, returned: Sequence[Sequence[ledger.Row]]) -> None:
        if returned:
            self._closed = {pk for (pk,) in returned[0]}

    def _take(self, results: Sequence[ledger.CaptureResult]) -> dict[int, Closing]:
        """Closings with what the ledger did (nothing where nothing was held); those that could
        still close their call, by its key."""
        captures = iter(results)
        self._closings = [
            replace(closing, capture=next(captures)) if closing.request.call.hold_id else closing
            for closing in self._closings
        ]
        self._fresh = {}
        for closing in self._closings:
            if not (closing.is_closed_already or closing.is_refused):
                self._fresh.setdefault(closing.call_pk, closing)
        return self._fresh


def _ask(closing: Closing) -> ledger.CaptureRequest:
    call = closing.request.call
    return ledger.CaptureRequest(
        hold_id=call.hold_id,
        amount_millitokens=closing.cost,
        payee=call.provider_public_id,
        share_basis_points=_share_of(call),
        reference=f"call:{call.public_id}",
        late=closing.request.late,
    )


def _share_of(call: OpenedCall) -> int:
    """The provider's, in basis points. Test tokens are never payable: all is the market's."""
    return 0 if call.unit == "test" else ledger.BASIS_POINTS - call.commission_basis_points


def _tell(closing: Closing, *, is_new: bool) -> CloseResult:
    if closing.is_refused:
        return CloseResult(outcome="expired")
    if not is_new:
        return _read_result(closing)
    return CloseResult(
        outcome="closed",
        cost_millitokens=closing.paid,
        uncovered_millitokens=closing.uncovered,
        transaction_id=closing.capture.transaction_id if closing.capture else "",
    )


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
