"""What payment providers say has moved in their accounts with us: their own books, kept here."""

from django.db import models

from portal.kernel.clock import utc_now
from portal.kernel.immutability import append_only


class MovementKind(models.TextChoices):
    """What moved, in our words. The first six are of a payment: compared with our records."""

    CHARGE = "charge"
    CHARGE_FAILURE = "charge_failure"
    REFUND = "refund"
    REFUND_FAILURE = "refund_failure"
    DISPUTE = "dispute"
    DISPUTE_REVERSAL = "dispute_reversal"
    OWN = "own"  # the operator's: fees that are billed apart, payouts to its bank, reserves
    OTHER = "other"  # nothing that this site causes


class MoneyMovement(models.Model):
    """One line of a payment provider's account, as it was first told.

    ``amount_minor`` is what the buyer paid or got back, in the currency that was paid; ``gross``
    and ``fee`` are the same line in the currency of the account. In: positive, out: negative; a fee
    is positive where the provider took it.
    """

    provider = models.CharField(max_length=20)
    movement_id = models.CharField(max_length=120)
    kind = models.CharField(max_length=20, choices=MovementKind)
    # The payment that it belongs to, "" where to none.
    payment_id = models.CharField(max_length=120, blank=True)
    # The charge, refund or dispute that moved the money.
    source_id = models.CharField(max_length=120, blank=True)
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    gross_minor = models.BigIntegerField()
    fee_minor = models.BigIntegerField()
    account_currency = models.CharField(max_length=3)
    created_at = models.DateTimeField()
    read_at = models.DateTimeField(default=utc_now)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "movement_id"], name="money_movement_read_once"
            )
        ]
        indexes = [
            models.Index(fields=["payment_id"], name="money_movements_by_payment"),
            models.Index(fields=["source_id"], name="money_movements_by_source"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.movement_id}"


class MovementCursor(models.Model):
    """From when on and until when a provider's account has been read here, without a gap."""

    provider = models.CharField(max_length=20, unique=True)
    read_from = models.DateTimeField()
    read_until = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.provider} until {self.read_until:%Y-%m-%d %H:%M}"


MOVEMENT_GUARDS = append_only("billing_moneymovement")
