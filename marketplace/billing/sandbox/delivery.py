"""The sandbox's events on their way to our inbox: signed, and through the same door as all.

In process there is no HTTP, only a body, headers and the inbox's own receive function. An event's
row is the intent; whatever interrupts a delivery, beat comes back to it.
"""

from datetime import datetime, timedelta

import structlog
from django.db.models import F

from marketplace.billing import services
from marketplace.billing.models import SandboxEvent
from marketplace.billing.providers import sandbox_is_allowed
from marketplace.billing.sandbox import processor, signature
from marketplace.billing.sandbox.adapter import SandboxProvider, encode_event
from portal.kernel.clock import utc_now
from portal.kernel.errors import DomainError

_log = structlog.get_logger(__name__)

RETRY_AFTER = timedelta(seconds=30)


def deliver_due_events(*, now: datetime | None = None, limit: int = 200) -> int:
    """Deliver what happened and was not delivered yet; how many arrived. None where it is off."""
    if not sandbox_is_allowed():
        return 0
    now = now or utc_now()
    processor.let_time_pass(now=now)
    due = SandboxEvent.objects.filter(delivered_at__isnull=True, next_attempt_at__lte=now)
    events = list(due.select_related("session").order_by("created_at", "id")[:limit])
    return sum(_deliver(event, now=now) for event in events)


def _deliver(event: SandboxEvent, *, now: datetime) -> bool:
    mine = SandboxEvent.objects.filter(
        pk=event.pk, delivered_at__isnull=True, next_attempt_at=event.next_attempt_at
    ).update(attempts=F("attempts") + 1, next_attempt_at=now + RETRY_AFTER)
    if not mine:
        return False
    body = encode_event(event)
    headers = signature.sign(body, event_id=event.event_id, secret=signature.get_secret(), now=now)
    try:
        reception = services.receive_event(
            provider=SandboxProvider.name, body=body, headers=headers, now=now
        )
    except DomainError as error:
        _log.warning("sandbox_event_not_delivered", event_id=event.event_id, code=error.code)
        return False
    SandboxEvent.objects.filter(pk=event.pk).update(delivered_at=now)
    # The far side has its 200 and is done. Being in the same process, the near side need not
    # wait for a worker; if this fails, the inbox row is driven like any other.
    services.drive_event(event_pk=reception.event_pk, now=now)
    return True
