"""The documents of paid orders."""

from django.db import models
from django.db.models import Q

from marketplace.billing.models.orders import Order
from portal.kernel.public_ids import PublicIdField


class ReceiptCounter(models.Model):
    """The last number given out in a year.

    Taking a number locks this row until the receipt's commit, so a rolled-back settlement gives
    its number back and there are no gaps.
    """

    year = models.PositiveSmallIntegerField(unique=True)
    last_number = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.year}: {self.last_number}"


class Receipt(models.Model):
    """The document of a paid order, numbered without gaps per year."""

    public_id = PublicIdField(prefix="rcp")
    order = models.OneToOneField(Order, on_delete=models.PROTECT, related_name="receipt")
    year = models.PositiveSmallIntegerField()
    number = models.PositiveIntegerField()
    # Names and addresses as they were when it was issued; both parties as
    # {"name", "legal_name", "address", "country", "tax_id", "email"}.
    parties = models.JSONField(default=dict)
    issued_at = models.DateTimeField()
    # The intent to mail it is this row without ``mailed_at``; the lease keeps it to one sender.
    mailed_at = models.DateTimeField(null=True, blank=True)
    mail_leased_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["year", "number"], name="receipts_numbered"),
            models.CheckConstraint(condition=Q(number__gte=1), name="receipt_number_positive"),
        ]
        indexes = [
            models.Index(
                fields=["issued_at"], condition=Q(mailed_at__isnull=True), name="receipts_to_mail"
            )
        ]

    def __str__(self) -> str:
        return self.label

    @property
    def label(self) -> str:
        """The number as people write it: ``2026-000042``."""
        return f"{self.year}-{self.number:06d}"
