"""Vouchers: codes that staff hand out, each good for tokens; only their digests are kept."""

from datetime import datetime

from django.db import models
from django.db.models import F, Q

from accounts.models import Organisation, User
from portal.kernel.clock import utc_now
from portal.kernel.public_ids import PublicIdField


class VoucherBatch(models.Model):
    """Codes that were made together and on the same terms, which never change."""

    public_id = PublicIdField(prefix="vba")
    # Of the key that made it and its codes; null in batches from before there were keys.
    key_digest = models.CharField(max_length=64, unique=True, null=True, editable=False)
    name = models.CharField(max_length=80)
    # What each redemption grants, to whichever wallet of this scope, and for how long.
    millitokens = models.BigIntegerField()
    scope = models.CharField(max_length=60, blank=True)
    tokens_expire_after_days = models.PositiveIntegerField(null=True)
    # How many organisations may redeem one code; how many of these codes one organisation may.
    uses_per_code = models.PositiveIntegerField(default=1)
    codes_per_organisation = models.PositiveIntegerField(default=1)
    redeemable_until = models.DateTimeField()
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT)
    created_at = models.DateTimeField(default=utc_now)

    class Meta:
        verbose_name_plural = "voucher batches"
        constraints = [
            models.CheckConstraint(
                condition=Q(millitokens__gt=0, uses_per_code__gt=0, codes_per_organisation__gt=0),
                name="voucher_batch_sound",
            )
        ]

    def __str__(self) -> str:
        return self.name

    def is_open(self, *, now: datetime) -> bool:
        """Whether its codes can still be redeemed."""
        return self.withdrawn_at is None and now < self.redeemable_until


class Voucher(models.Model):
    """One code. ``uses`` counts its redemptions, under the lock of its batch."""

    public_id = PublicIdField(prefix="vch")
    batch = models.ForeignKey(VoucherBatch, on_delete=models.PROTECT, related_name="vouchers")
    digest = models.CharField(max_length=64, unique=True)
    most_uses = models.PositiveIntegerField()
    uses = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(uses__lte=F("most_uses")), name="voucher_not_used_up_twice"
            )
        ]

    def __str__(self) -> str:
        return self.public_id


class VoucherRedemption(models.Model):
    """That an organisation redeemed a code: once, whatever happens."""

    voucher = models.ForeignKey(Voucher, on_delete=models.PROTECT, related_name="redemptions")
    organisation = models.ForeignKey(
        Organisation, on_delete=models.PROTECT, related_name="voucher_redemptions"
    )
    redeemed_by = models.ForeignKey(User, on_delete=models.PROTECT)
    redeemed_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["voucher", "organisation"], name="voucher_redeemed_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.voucher} by {self.organisation}"

    @property
    def reference(self) -> str:
        """What the ledger calls the grant; the UNIQUE on it rules out a second one."""
        return f"voucher:{self.voucher.public_id}:{self.organisation.public_id}"
