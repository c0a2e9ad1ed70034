"""The inbox of payment events: verify, store, answer; then drive each to its end, once.

received → processing (leased) → done | failed (leased until the next try) ; unknown → ignored.
A duplicate is dropped only when its first copy is done. The row is the work: the queue merely
wakes a worker, and a worker that dies leaves a lease that runs out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import F, Q, QuerySet

from marketplace.billing.models import InboxEvent, InboxState
from marketplace.billing.payment_provider import MONEY_BACK_EVENTS, EventRefused, PaymentEvent
from marketplace.billing.providers import get_payment_provider
from marketplace.billing.services import reversing, settlement
from portal.kernel.errors import DomainError
from portal.kernel.waking import wake_on_commit

_log = structlog.get_logger(__name__)

LEASE = timedelta(minutes=2)
FIRST_RETRY = timedelta(seconds=30)
LAST_RETRY = timedelta(hours=1)
MAX_TRIES = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Reception:
    """How an event was taken in. ``state`` is that of its row at this moment."""

    event_pk: int
    state: str
    is_new: bool


def receive_event(
    *, provider: str, body: bytes, headers: Mapping[str, str], now: datetime
) -> Reception:
    """Verify one webhook over its raw body and store it; a worker is woken to do the rest.

    Raises ProviderSwitchedOff for an unknown one, EventRefused for whatever is not genuine.
    """
    door = get_payment_provider(provider)
    event = door.parse_event(body, headers, now=now)
    if event.livemode != door.livemode:
        raise EventRefused(code="livemode_wrong")
    return store_event(provider=provider, event=event, now=now)


def store_event(*, provider: str, event: PaymentEvent, now: datetime) -> Reception:
    """The event's row, made now unless it is known; for webhooks and for lists of events."""
    draft = InboxEvent(
        provider=provider,
        event_id=event.event_id,
        event_type=event.type[:80],
        object_id=event.object_id,
        livemode=event.livemode,
        state=InboxState.RECEIVED if event.is_known else InboxState.IGNORED,
        received_at=now,
    )
    with transaction.atomic(durable=True):
        known = InboxEvent.objects.filter(provider=provider, event_id=event.event_id)
        is_new = not known.exists()
        # Copies that arrive together all come here; the UNIQUE lets one of them in.
        InboxEvent.objects.bulk_create([draft], ignore_conflicts=True)
        row = known.get()
        if row.state not in (InboxState.DONE, InboxState.IGNORED):
            wake_on_commit("billing.drive_inbox")
    return Reception(event_pk=row.pk, state=row.state, is_new=is_new)


def drive_inbox(*, now: datetime, limit: int = 200) -> int:
    """Drive what waits, what failed and may be tried again, and what a dead worker left.

    Returns how many events were brought to their end.
    """
    pks = list(_drivable(now).order_by("received_at").values_list("pk", flat=True)[:limit])
    return sum(drive_event(event_pk=pk, now=now) for pk in pks)


def drive_event(*, event_pk: int, now: datetime) -> bool:
    """Drive one event, if it is nobody else's. True when it is now done."""
    lease = now + LEASE
    claimed = (
        _drivable(now)
        .filter(pk=event_pk)
        .update(state=InboxState.PROCESSING, leased_until=lease, attempts=F("attempts") + 1)
    )
    if not claimed:
        return False
    event = InboxEvent.objects.get(pk=event_pk)
    try:
        if event.event_type in MONEY_BACK_EVENTS:
            reversing.place_reversal(provider=event.provider, object_id=event.object_id, now=now)
        else:
            settlement.place_payment(provider=event.provider, object_id=event.object_id, now=now)
    except DomainError as error:
        _log.warning("event_failed", event_id=event.event_id, code=error.code)
        _fail(event, error.code, now=now)
        return False
    except Exception as error:  # a bug of ours must not hide the other events
        _log.exception("event_crashed", event_id=event.event_id)
        _fail(event, type(error).__name__, now=now)
        return False
    _finish(event, state=InboxState.DONE, done_at=now, leased_until=None, last_error="")
    return True


def _fail(event: InboxEvent, error: str, *, now: datetime) -> None:
    wait = min(FIRST_RETRY * 2 ** min(event.attempts - 1, 10), LAST_RETRY)
    _finish(event, state=InboxState.FAILED, leased_until=now + wait, last_error=error[:300])


def _finish(event: InboxEvent, **values: object) -> None:
    """Only while the lease is still ours: whoever took over has the last word."""
    InboxEvent.objects.filter(
        pk=event.pk, state=InboxState.PROCESSING, attempts=event.attempts
    ).update(**values)


def _drivable(now: datetime) -> QuerySet[InboxEvent]:
    return InboxEvent.objects.filter(
        Q(state=InboxState.RECEIVED)
        | Q(state=InboxState.PROCESSING, leased_until__lte=now)
        | Q(state=InboxState.FAILED, leased_until__lte=now, attempts__lt=MAX_TRIES)
    )
