"""Money that a buyer's bank took back."""

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from marketplace.billing.models.orders import Order
from portal.kernel.clock import utc_now


class DisputeState(models.TextChoices):
    """Whether the disputed money is with us; an inquiry has taken none."""

    INQUIRY = "inquiry", _("Inquiry")
    OPEN = "open", pgettext_lazy("dispute", "Open")
    WON = "won", _("Won")
    LOST = "lost", _("Lost")


# While one of these, the bank has the money.
WITHDRAWN_STATES = (DisputeState.OPEN, DisputeState.LOST)
# Something is still to be heard of these.
UNDECIDED_STATES = (DisputeState.INQUIRY, DisputeState.OPEN)


class Dispute(models.Model):
    """A dispute as the payment provider last told it."""

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="disputes")
    dispute_id = models.CharField(max_length=120)
    amount_minor = models.PositiveBigIntegerField()
    state = models.CharField(max_length=10, choices=DisputeState)
    first_seen_at = models.DateTimeField(default=utc_now)
    changed_at = models.DateTimeField(default=utc_now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["order", "dispute_id"], name="one_row_per_dispute"),
            models.CheckConstraint(
                condition=models.Q(state__in=DisputeState.values), name="dispute_state_known"
            ),
        ]
        indexes = [
            models.Index(
                fields=["changed_at"],
                condition=models.Q(state__in=["inquiry", "open"]),
                name="disputes_undecided",
            )
        ]

    def __str__(self) -> str:
        return self.dispute_id

    @property
    def has_the_money(self) -> bool:
        return self.state in WITHDRAWN_STATES
