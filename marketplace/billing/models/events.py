"""The inbox of payment events, and how far each provider's list of events has been read."""

from django.db import models
from django.db.models import Q

from portal.kernel.clock import utc_now


class InboxState(models.TextChoices):
    """Where a payment event is; duplicates are dropped only when done."""

    RECEIVED = "received"
    PROCESSING = "processing"
    DONE = "done"
    FAILED = "failed"
    IGNORED = "ignored"


class InboxEvent(models.Model):
    """A verified event of a payment provider: type and object id only, the rest is refetched."""

    provider = models.CharField(max_length=20)
    event_id = models.CharField(max_length=120)
    event_type = models.CharField(max_length=80)
    object_id = models.CharField(max_length=120)
    livemode = models.BooleanField()
    state = models.CharField(max_length=10, choices=InboxState, default=InboxState.RECEIVED)
    attempts = models.PositiveSmallIntegerField(default=0)
    # While processing: when another may take it over. While failed: not before.
    leased_until = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=300, blank=True)
    received_at = models.DateTimeField(default=utc_now)
    done_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["provider", "event_id"], name="event_received_once"),
            models.CheckConstraint(
                condition=Q(state__in=InboxState.values), name="event_state_known"
            ),
            models.CheckConstraint(
                condition=~Q(state="processing") | Q(leased_until__isnull=False),
                name="processing_event_is_leased",
            ),
        ]
        indexes = [
            models.Index(
                fields=["received_at"],
                condition=Q(state__in=["received", "processing", "failed"]),
                name="events_to_drive",
            )
        ]

    def __str__(self) -> str:
        return f"{self.event_type} {self.event_id}"


class EventCursor(models.Model):
    """Up to when a provider's list of events has been read; the next read overlaps."""

    provider = models.CharField(max_length=20, unique=True)
    read_until = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.provider} until {self.read_until:%Y-%m-%d %H:%M}"
