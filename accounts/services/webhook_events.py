"""What is to be told to an organisation's own systems, written with its cause."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from accounts.models import Organisation, WebhookDelivery, WebhookEndpoint
from portal.kernel.waking import wake_on_commit

_ID_DIGITS = 32


def record_webhook_event(
    *,
    organisation: Organisation,
    event_type: str,
    subject: str,
    data: Mapping[str, Any],
    now: datetime,
) -> None:
    """One message for each endpoint that wants this type, in the caller's transaction.

    ``subject`` is the event's own name: recorded a second time, also at the same time, it is
    nothing. ``data`` becomes the message's; never a secret, never words that people wrote.
    """
    endpoints = WebhookEndpoint.objects.filter(organisation=organisation, stopped_at__isnull=True)
    wanting = [one for one in endpoints if event_type in one.event_types]
    name = f"{organisation.public_id}:{event_type}:{subject}"
    record_deliveries(wanting, event_type, name, data, now=now)


def record_deliveries(
    endpoints: list[WebhookEndpoint],
    event_type: str,
    name: str,
    data: Mapping[str, Any],
    *,
    now: datetime,
) -> None:
    """For these endpoints; ``name`` is the event's, unique in the whole market."""
    if not endpoints:
        return
    event_id = f"evt_{hashlib.sha256(name.encode()).hexdigest()[:_ID_DIGITS]}"
    WebhookDelivery.objects.bulk_create(
        [
            WebhookDelivery(
                endpoint=endpoint,
                event_id=event_id,
                event_type=event_type,
                payload=dict(data),
                created_at=now,
                due_at=now,
            )
            for endpoint in endpoints
        ],
        ignore_conflicts=True,
    )
    wake_on_commit("accounts.send_webhooks")
