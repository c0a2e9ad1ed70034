"""Payments that arrived and paid for nothing."""

from django.db import models
from django.db.models import Q

from marketplace.billing.models.orders import Order
from portal.kernel.clock import utc_now
from portal.kernel.public_ids import PublicIdField


class StrayKind(models.TextChoices):
    """Why it paid for nothing; a placed one was credited to its order after all."""

    SURPLUS = "surplus"  # its order had been credited by another payment
    UNMATCHED = "unmatched"  # it names no order that we know
    PART = "part"  # of what its order costs; the rest has not arrived
    PLACED = "placed"


class StrayPayment(models.Model):
    """A payment at a provider that bought no tokens, once per payment: staff give it back.

    Its worth in tokens waits in the ledger's suspense account; 0 where it has none (a currency
    that nothing converts). The money itself is ``amount_minor``.
    """

    public_id = PublicIdField(prefix="pay")
    provider = models.CharField(max_length=20)
    # The payment's id, or the session's where the provider gives no other.
    payment_id = models.CharField(max_length=120)
    session_id = models.CharField(max_length=120)
    kind = models.CharField(max_length=10, choices=StrayKind)
    order = models.ForeignKey(
        Order, on_delete=models.PROTECT, null=True, blank=True, related_name="stray_payments"
    )
    amount_minor = models.PositiveBigIntegerField()
    currency = models.CharField(max_length=3)
    suspense_millitokens = models.BigIntegerField()
    found_at = models.DateTimeField(default=utc_now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["provider", "payment_id"], name="stray_payment_once"),
            models.CheckConstraint(
                condition=Q(kind="unmatched", order__isnull=True)
                | Q(kind__in=["surplus", "part", "placed"], order__isnull=False),
                name="stray_payment_kind_sound",
            ),
            models.CheckConstraint(
                condition=Q(suspense_millitokens__gte=0), name="stray_suspense_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider}:{self.payment_id}"

    @property
    def reference(self) -> str:
        """What the ledger calls it."""
        return f"payment:{self.public_id}"
