"""The calls to the payment provider that an order took."""

from django.db import models
from django.db.models import Q

from marketplace.billing.models.orders import Order
from portal.kernel.clock import utc_now


class AttemptState(models.TextChoices):
    """How a create call went. At most one attempt of an order is started or created."""

    STARTED = "started"  # sent or about to be; the outcome is unknown until it is sent again
    CREATED = "created"  # the session exists
    REFUSED = "refused"  # the provider said no, for good
    CLOSED = "closed"  # the session is over without a payment


class Attempt(models.Model):
    """One create call to the payment provider, with its key and exact parameters."""

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="attempts")
    number = models.PositiveSmallIntegerField()
    idempotency_key = models.CharField(max_length=120, unique=True)
    parameters = models.JSONField()
    # Of a saved card: nobody is sent to a page.
    is_charge = models.BooleanField(default=False, db_default=False)
    state = models.CharField(max_length=10, choices=AttemptState, default=AttemptState.STARTED)
    session_id = models.CharField(max_length=120, blank=True)
    # Stripe's carry a long fragment.
    pay_url = models.URLField(blank=True, max_length=4000)
    error = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(default=utc_now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["order", "number"], name="attempts_numbered"),
            # Two live sessions of one order could both be paid.
            models.UniqueConstraint(
                fields=["order"],
                condition=Q(state__in=["started", "created"]),
                name="one_live_attempt_per_order",
            ),
            models.CheckConstraint(
                condition=Q(state__in=AttemptState.values), name="attempt_state_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.order_id}/{self.number}"
