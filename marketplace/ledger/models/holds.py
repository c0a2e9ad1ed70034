"""Holds, their parts, and the limits that they count in."""

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from marketplace.ledger.models.wallets import Unit, Wallet
from portal.kernel.public_ids import PublicIdField


class Limit(models.Model):
    """A cap on a subject in one period, kept in the same commit as the hold.

    ``subject`` is e.g. "key:key_…:month"; ``max_millitokens`` is the cap as last passed.
    """

    subject = models.CharField(max_length=120)
    period_start = models.DateTimeField()
    max_millitokens = models.BigIntegerField(null=True)
    held_millitokens = models.BigIntegerField(default=0)
    spent_millitokens = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["subject", "period_start"], name="one_limit_a_period"),
            models.CheckConstraint(
                condition=Q(held_millitokens__gte=0, spent_millitokens__gte=0),
                name="limit_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(max_millitokens__isnull=True)
                | Q(max_millitokens__gte=F("held_millitokens") + F("spent_millitokens")),
                name="limit_never_exceeded",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.subject} from {self.period_start:%Y-%m-%d}"


class HoldState(models.TextChoices):
    """A hold resolves once: pending → captured, released or expired; declined from the start."""

    PENDING = "pending", _("Pending")
    CAPTURED = "captured", _("Captured")
    RELEASED = "released", _("Released")
    EXPIRED = "expired", _("Expired")
    DECLINED = "declined", _("Declined")


class Hold(models.Model):
    """Tokens set aside before a call runs. Declines are kept too, so a retry can't change them."""

    public_id = PublicIdField(prefix="hld")
    owner_key = models.CharField(max_length=60)
    unit = models.CharField(max_length=4, choices=Unit)
    idempotency_scope = models.CharField(max_length=80)
    idempotency_key = models.CharField(max_length=200)
    request_hash = models.CharField(max_length=64)
    amount_millitokens = models.BigIntegerField()
    captured_millitokens = models.BigIntegerField(default=0)
    state = models.CharField(max_length=8, choices=HoldState, default=HoldState.PENDING)
    # Why it was declined: "insufficient_funds", "wallet_frozen", "limit_exceeded".
    decline_code = models.CharField(max_length=40, blank=True)
    # The limit that refused, by its subject.
    decline_subject = models.CharField(max_length=120, blank=True)
    reference = models.CharField(max_length=80, blank=True)  # "call:call_…"
    price_version = models.CharField(max_length=40, blank=True)
    placed_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["idempotency_scope", "idempotency_key"], name="one_hold_per_key"
            ),
            models.CheckConstraint(condition=Q(amount_millitokens__gt=0), name="hold_positive"),
            models.CheckConstraint(
                condition=Q(
                    captured_millitokens__gte=0,
                    captured_millitokens__lte=F("amount_millitokens"),
                ),
                name="captured_within_hold",
            ),
            models.CheckConstraint(
                condition=Q(state__in=HoldState.values), name="hold_state_known"
            ),
            models.CheckConstraint(
                condition=Q(state="captured") | Q(captured_millitokens=0),
                name="only_captured_holds_have_amounts",
            ),
            models.CheckConstraint(
                condition=Q(state="pending", resolved_at__isnull=True)
                | (~Q(state="pending") & Q(resolved_at__isnull=False)),
                name="resolved_hold_has_time",
            ),
        ]
        indexes = [
            models.Index(
                fields=["expires_at"], condition=Q(state="pending"), name="holds_that_expire"
            )
        ]

    def __str__(self) -> str:
        return f"{self.public_id} ({self.state})"


class HoldPart(models.Model):
    """What a hold takes from one wallet; capture burns the parts in ``position`` order."""

    hold = models.ForeignKey(Hold, on_delete=models.PROTECT, related_name="parts", db_index=False)
    wallet = models.ForeignKey(Wallet, on_delete=models.PROTECT, related_name="hold_parts")
    position = models.PositiveSmallIntegerField()
    amount_millitokens = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["hold", "wallet"], name="one_part_per_wallet"),
            models.CheckConstraint(
                condition=Q(amount_millitokens__gt=0), name="hold_part_positive"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.hold_id}/{self.position}"


class HoldLimit(models.Model):
    """That a hold counts in a limit: with its whole amount, then with what was captured."""

    hold = models.ForeignKey(
        Hold, on_delete=models.PROTECT, related_name="hold_limits", db_index=False
    )
    limit = models.ForeignKey(Limit, on_delete=models.PROTECT)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["hold", "limit"], name="hold_counted_once_per_limit")
        ]

    def __str__(self) -> str:
        return f"{self.hold_id} in {self.limit_id}"
