"""What webhooks forgot: open orders are asked about, lists of events read, old orders closed."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.db import transaction

from marketplace.billing.models import EventCursor, Order, OrderStatus
from marketplace.billing.payment_provider import PaymentProvider, PaymentsUnavailable
from marketplace.billing.providers import list_payment_providers
from marketplace.billing.services import attempts, inbox, refunds, reversing, settlement
from portal.kernel.errors import DomainError

_log = structlog.get_logger(__name__)

# A webhook normally comes within seconds; only then does the sweep ask.
FIRST_CHECK_AFTER = timedelta(minutes=2)
CHECK_EVERY = timedelta(minutes=5)
# Events are listed by the provider's clock and become visible late: read a little again.
LIST_OVERLAP = timedelta(minutes=10)
# How far back a first reading, and what the reconciliation asks about, goes.
LOOK_BACK = timedelta(days=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepResult:
    """What one sweep did: orders asked about, credited and closed, events newly found."""

    checked: int
    credited: int
    closed: int
    events_found: int


def sweep_orders(*, now: datetime, limit: int = 200) -> SweepResult:
    """One pass over what is open. A provider that can't be reached is left for the next pass."""
    events_found = sum(_read_events(provider, now=now) for provider in list_payment_providers())
    inbox.drive_inbox(now=now)
    refunds.send_due_refunds(now=now)
    reversing.sweep_reversals(now=now)
    due = Order.objects.to_check(
        now=now, older_than=now - FIRST_CHECK_AFTER, unchecked_since=now - CHECK_EVERY
    )
    checked = credited = closed = 0
    for order in list(due[:limit]):
        try:
            if settlement.settle_order(order_public_id=order.public_id, now=now):
                credited += 1
            elif order.expires_at <= now:
                closed += _expire_order(order, now=now)
            checked += 1
        except DomainError as error:
            _log.warning("order_not_swept", order=order.public_id, code=error.code)
    return SweepResult(checked=checked, credited=credited, closed=closed, events_found=events_found)


def _expire_order(order: Order, *, now: datetime) -> bool:
    """Close the session at the provider first: an order that is closed here can't be paid there."""
    closed = attempts.close_session(order=order)
    if closed.blocks:
        # Completed at the last moment.
        settlement.settle_order(order_public_id=order.public_id, now=now)
        return False
    return (
        attempts.close_order(order_pk=order.pk, closed=closed, status=OrderStatus.EXPIRED, now=now)
        is not None
    )


def _read_events(provider: PaymentProvider, *, now: datetime) -> int:
    """Take in what the provider lists since the last reading; how many were news to us.

    The cursor moves only after all of them are stored.
    """
    cursor = EventCursor.objects.filter(provider=provider.name).first()
    # A clock that was ahead, and is right again, must not leave out what happens meanwhile.
    since = min(cursor.read_until, now) - LIST_OVERLAP if cursor else now - LOOK_BACK
    try:
        events = provider.list_events(since=since)
    except PaymentsUnavailable as error:
        _log.warning("events_not_listed", provider=provider.name, code=error.code)
        return 0
    found = 0
    for event in events:
        if event.livemode == provider.livemode:
            found += inbox.store_event(provider=provider.name, event=event, now=now).is_new
    with transaction.atomic(durable=True):
        EventCursor.objects.update_or_create(provider=provider.name, defaults={"read_until": now})
    return found
