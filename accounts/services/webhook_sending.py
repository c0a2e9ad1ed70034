"""Sending webhooks: at least once, under one id, with longer and longer pauses.

A sender leases a message by moving its due time: one that dies lets it fall due again.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, Window
from django.db.models.functions import RowNumber

from accounts.models import NoticeKind, WebhookDelivery, WebhookEndpoint
from accounts.services import notices
from portal.kernel.clock import utc_now
from portal.kernel.errors import DomainError
from portal.kernel.webhooks import send_webhook

_log = structlog.get_logger(__name__)

# After the first attempt, the second and so on; after the last pause it is tried once more.
PAUSES = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
STOPPED_AFTER = timedelta(days=5)
# Longer than all of a round can take: each waits 15 s at most, in lanes beside each other.
LEASE = timedelta(minutes=3)
_LANES = 8
_ROUND = 32
# So that nobody's slow receiver holds up the others.
_PER_ENDPOINT = 4


@dataclass(frozen=True)
class _Outcome:
    status: int | None
    failure_code: str


def send_due_webhooks(*, now: datetime, clock: Callable[[], datetime] = utc_now) -> int:
    """One round: what is due is sent once; how many were taken by their receivers."""
    leased = [one for one in _choose(now) if _lease(one, now)]
    with ThreadPoolExecutor(max_workers=_LANES) as lanes:
        # No thread touches the database.
        outcomes = list(lanes.map(lambda one: _send(one, now), leased))
    for delivery, outcome in zip(leased, outcomes, strict=True):
        _conclude(delivery, outcome, clock())
    return sum(not outcome.failure_code for outcome in outcomes)


def prune_webhook_deliveries(*, now: datetime) -> int:
    """Delete what is older than NOTICE_KEEP_DAYS; how many."""
    before = now - timedelta(days=settings.NOTICE_KEEP_DAYS)
    # What waits for an endpoint to be switched on again is of no use after so long.
    over = Q(due_at__isnull=True) | Q(endpoint__stopped_at__isnull=False)
    return WebhookDelivery.objects.filter(over, created_at__lt=before).delete()[0]


def _choose(now: datetime) -> list[WebhookDelivery]:
    """What is due longest, but only so many of each endpoint."""
    place = Window(RowNumber(), partition_by="endpoint_id", order_by=["due_at", "pk"])
    due = (
        WebhookDelivery.objects.filter(due_at__lte=now, endpoint__stopped_at__isnull=True)
        .annotate(place=place)
        .filter(place__lte=_PER_ENDPOINT)
        .select_related("endpoint__organisation")
        .order_by("due_at", "pk")
    )
    return list(due[:_ROUND])


def _lease(delivery: WebhookDelivery, now: datetime) -> bool:
    """Whether we are the one who sends it."""
    before = delivery.due_at
    delivery.due_at = now + LEASE
    same = WebhookDelivery.objects.filter(pk=delivery.pk, due_at=before)
    return bool(same.update(due_at=delivery.due_at, attempts=F("attempts") + 1, attempted_at=now))


def _send(delivery: WebhookDelivery, now: datetime) -> _Outcome:
    endpoint = delivery.endpoint
    secret, old_secret = endpoint.signing_secrets(now)
    try:
        status = send_webhook(
            endpoint.url,
            secret,
            delivery.event_id,
            delivery.event_type,
            delivery.payload,
            old_secret=old_secret,
            happened_at=delivery.created_at,
        )
    except DomainError as failure:
        return _Outcome(failure.data.get("status"), failure.code)
    except ValueError:
        # An address that the client cannot use after all: one must not hold up the others.
        _log.warning("webhook_not_sendable", delivery=delivery.public_id, exc_info=True)
        return _Outcome(None, "address_refused")
    return _Outcome(status, "")


def _conclude(delivery: WebhookDelivery, outcome: _Outcome, now: datetime) -> None:
    """Unless somebody else leased it since, because we took too long."""
    attempts = delivery.attempts + 1
    change: dict[str, object] = {
        "answer_status": outcome.status,
        "failure_code": outcome.failure_code,
        "due_at": None,
    }
    if not outcome.failure_code:
        change["delivered_at"] = now
    elif attempts <= len(PAUSES):
        change["due_at"] = now + PAUSES[attempts - 1]
    with transaction.atomic():
        ours = WebhookDelivery.objects.filter(pk=delivery.pk, due_at=delivery.due_at)
        if ours.update(**change):
            _judge_endpoint(delivery.endpoint, failed=bool(outcome.failure_code), now=now)


def _judge_endpoint(endpoint: WebhookEndpoint, *, failed: bool, now: datetime) -> None:
    same = WebhookEndpoint.objects.filter(pk=endpoint.pk)
    if not failed:
        same.filter(failing_since__isnull=False).update(failing_since=None)
        return
    same.filter(failing_since__isnull=True).update(failing_since=now)
    long_since = same.filter(failing_since__lte=now - STOPPED_AFTER, stopped_at__isnull=True)
    if long_since.update(stopped_at=now):
        notices.announce_event(
            organisation=endpoint.organisation,
            kind=NoticeKind.WEBHOOK_STOPPED,
            subject=f"{endpoint.public_id}:{now.isoformat()}",
            params={"webhook": endpoint.public_id, "url": endpoint.url},
            now=now,
        )
