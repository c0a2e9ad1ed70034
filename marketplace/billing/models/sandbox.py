"""The sandbox's own side: what a payment processor would know. No money moves.

Nothing outside ``marketplace.billing.sandbox`` reads these tables: to the rest of the room the
sandbox is as remote as a real processor.
"""

from django.db import models
from django.db.models import Q

from portal.kernel.clock import utc_now


class SandboxState(models.TextChoices):
    """A session is open until the buyer decided; an unpaid one closes by decline or by time."""

    OPEN = "open"
    COMPLETE = "complete"
    EXPIRED = "expired"


class SandboxSession(models.Model):
    """One visit to the sandbox's pay page."""

    session_id = models.CharField(max_length=120, unique=True)
    payment_id = models.CharField(max_length=120, unique=True)
    idempotency_key = models.CharField(max_length=120, unique=True)
    state = models.CharField(max_length=10, choices=SandboxState, default=SandboxState.OPEN)
    # "unpaid", "paid"
    payment_state = models.CharField(max_length=10, default="unpaid")
    failure_code = models.CharField(max_length=60, blank=True)
    amount_minor = models.PositiveBigIntegerField()
    currency = models.CharField(max_length=3)
    metadata = models.JSONField(default=dict)
    description = models.CharField(max_length=200)
    return_url = models.CharField(max_length=500)
    cancel_url = models.CharField(max_length=500)
    # Delayed success: when the payment will have succeeded.
    succeeds_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=utc_now)
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=SandboxState.values), name="sandbox_state_known"
            ),
            models.CheckConstraint(
                condition=Q(payment_state="unpaid") | Q(payment_state="paid", state="complete"),
                name="sandbox_paid_is_complete",
            ),
        ]

    def __str__(self) -> str:
        return self.session_id


class SandboxCard(models.Model):
    """One visit to the sandbox's page for cards, and the card that was chosen there."""

    visit_id = models.CharField(max_length=120, unique=True)
    card_id = models.CharField(max_length=120, unique=True)
    idempotency_key = models.CharField(max_length=120, unique=True)
    customer_id = models.CharField(max_length=120)
    # "open" until one of the cards was chosen: "good", "declines" or "asks_holder"; "forgotten".
    state = models.CharField(max_length=20, default="open")
    return_url = models.CharField(max_length=500)
    cancel_url = models.CharField(max_length=500)
    created_at = models.DateTimeField(default=utc_now)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=["open", "good", "declines", "asks_holder", "forgotten"]),
                name="sandbox_card_state_known",
            )
        ]

    def __str__(self) -> str:
        return self.card_id


class SandboxEvent(models.Model):
    """What happened to a session: kept for listing, and the intent to deliver it."""

    event_id = models.CharField(max_length=120, unique=True)
    event_type = models.CharField(max_length=80)
    session = models.ForeignKey(SandboxSession, on_delete=models.PROTECT, related_name="events")
    created_at = models.DateTimeField(default=utc_now)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(default=utc_now)
    delivered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["next_attempt_at"],
                condition=Q(delivered_at__isnull=True),
                name="sandbox_events_to_deliver",
            ),
            models.Index(fields=["created_at"], name="sandbox_events_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.event_type} {self.event_id}"


class SandboxRefund(models.Model):
    """Played money that went back. ``request_id`` is "" where staff played it."""

    refund_id = models.CharField(max_length=120, unique=True)
    session = models.ForeignKey(SandboxSession, on_delete=models.PROTECT, related_name="refunds")
    request_id = models.CharField(max_length=120, blank=True)
    amount_minor = models.PositiveBigIntegerField()
    # "pending", "succeeded", "failed"
    state = models.CharField(max_length=10, default="succeeded")
    created_at = models.DateTimeField(default=utc_now)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["request_id"],
                condition=~Q(request_id=""),
                name="sandbox_refund_once_per_request",
            )
        ]

    def __str__(self) -> str:
        return self.refund_id


class SandboxDispute(models.Model):
    """A played dispute of a whole payment, one at most."""

    dispute_id = models.CharField(max_length=120, unique=True)
    session = models.OneToOneField(SandboxSession, on_delete=models.PROTECT, related_name="dispute")
    amount_minor = models.PositiveBigIntegerField()
    # "open", "won", "lost"
    state = models.CharField(max_length=10, default="open")
    created_at = models.DateTimeField(default=utc_now)

    def __str__(self) -> str:
        return self.dispute_id


class SandboxMovement(models.Model):
    """A line of the played account. It keeps its own figures, and takes no fees."""

    movement_id = models.CharField(max_length=120, unique=True)
    session = models.ForeignKey(SandboxSession, on_delete=models.PROTECT, related_name="movements")
    kind = models.CharField(max_length=20)  # of MovementKind
    source_id = models.CharField(max_length=120)
    # In: positive, out: negative.
    amount_minor = models.BigIntegerField()
    created_at = models.DateTimeField(default=utc_now)

    class Meta:
        indexes = [models.Index(fields=["created_at"], name="sandbox_movements_by_time")]

    def __str__(self) -> str:
        return f"{self.kind} {self.movement_id}"
