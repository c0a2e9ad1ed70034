"""Bank transfers: what an order is to be paid by, what arrived at the bank, what is sent back.

The bank tells us nothing by itself. Staff copy its statement here, so these rows are its word for
all that follows, and each says who wrote it.
"""

from typing import Self

from django.db import models
from django.db.models import Q, Sum
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from portal.kernel.clock import utc_now
from portal.kernel.public_ids import PublicIdField


class TransferSlip(models.Model):
    """What the buyer is asked to transfer, and the reference to name: the session of an order."""

    reference = models.CharField(max_length=25, unique=True)
    idempotency_key = models.CharField(max_length=120, unique=True)
    amount_minor = models.PositiveBigIntegerField()
    currency = models.CharField(max_length=3)
    metadata = models.JSONField()
    # The order's page, which says how to pay.
    pay_url = models.URLField(max_length=500)
    livemode = models.BooleanField()
    # Whether it is still offered; what arrives later counts all the same.
    is_open = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=utc_now)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="transfer_slip_amount")
        ]

    def __str__(self) -> str:
        return self.reference

    @property
    def received_minor(self) -> int:
        """What was matched to it; all in its own currency."""
        return self.transfers.aggregate(total=Sum("amount_minor"))["total"] or 0


class BankTransferQuerySet(models.QuerySet["BankTransfer"]):
    """The vocabulary of transfers."""

    def waiting(self) -> Self:
        """Nobody has said yet what they are for."""
        return self.filter(slip__isnull=True)


class BankTransfer(models.Model):
    """One payment that arrived, as the bank's statement says. Only what it is for ever changes."""

    public_id = PublicIdField(prefix="trf")
    # Our account, and the bank's own name of the payment in it.
    account = models.CharField(max_length=40)
    bank_id = models.CharField(max_length=80)
    amount_minor = models.PositiveBigIntegerField()
    currency = models.CharField(max_length=3)
    value_date = models.DateField()
    payer = models.CharField(max_length=140, blank=True)
    text = models.CharField(max_length=500, blank=True)
    recorded_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    recorded_at = models.DateTimeField(default=utc_now)
    slip = models.ForeignKey(
        TransferSlip, on_delete=models.PROTECT, null=True, blank=True, related_name="transfers"
    )
    matched_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    matched_at = models.DateTimeField(null=True, blank=True)

    objects = BankTransferQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "bank_id"], name="bank_transfer_once"),
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="bank_transfer_amount"),
            models.CheckConstraint(
                condition=Q(slip__isnull=True, matched_by__isnull=True, matched_at__isnull=True)
                | Q(slip__isnull=False, matched_by__isnull=False, matched_at__isnull=False),
                name="bank_transfer_match_whole",
            ),
        ]
        indexes = [
            models.Index(
                fields=["recorded_at"],
                condition=Q(slip__isnull=True),
                name="bank_transfers_waiting",
            )
        ]

    def __str__(self) -> str:
        return self.public_id


class PaybackState(models.TextChoices):
    """The life of a transfer that staff are to send; the same words as a refund's."""

    PENDING = "pending", _("To be sent")
    SUCCEEDED = "succeeded", _("Sent")
    FAILED = "failed", _("Could not be sent")


class BankPayback(models.Model):
    """Money of an order that staff send back by bank, because a refund request was approved."""

    public_id = PublicIdField(prefix="tbk")
    slip = models.ForeignKey(TransferSlip, on_delete=models.PROTECT, related_name="paybacks")
    request_id = models.CharField(max_length=40, unique=True)
    amount_minor = models.PositiveBigIntegerField()
    state = models.CharField(max_length=10, choices=PaybackState, default=PaybackState.PENDING)
    # The bank's own name of the payment, once it was sent. Not unique: a batch is one line of the
    # statement, whatever number of refunds is in it.
    bank_id = models.CharField(max_length=80, blank=True)
    recorded_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(default=utc_now)
    changed_at = models.DateTimeField(default=utc_now)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=PaybackState.values), name="bank_payback_state_known"
            ),
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="bank_payback_amount"),
            models.CheckConstraint(
                condition=Q(state="pending", bank_id="", recorded_by__isnull=True)
                | Q(state="succeeded", recorded_by__isnull=False) & ~Q(bank_id="")
                | Q(state="failed", recorded_by__isnull=False),
                name="bank_payback_was_recorded",
            ),
        ]
        indexes = [
            models.Index(
                fields=["created_at"], condition=Q(state="pending"), name="bank_paybacks_to_send"
            )
        ]

    def __str__(self) -> str:
        return self.public_id
