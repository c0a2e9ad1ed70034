"""Accounts, wallets and the lots in them."""

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from portal.kernel.public_ids import PublicIdField

# In millitokens: a thousand million and four thousand million units of the tariff currency.
MAX_AMOUNT = 10**18
MAX_BALANCE = 4 * 10**18


class Unit(models.TextChoices):
    """Two units that never meet: test tokens reach test services and are never payable."""

    LIVE = "live", _("Live")
    TEST = "test", _("Test")


class AccountKind(models.TextChoices):
    """What an account stands for in the books."""

    WALLET = "wallet", _("Wallet")  # owed to a tenant
    PAYABLE = "payable", _("Payable")  # owed to a provider
    CLEARING = "clearing", _("Clearing")  # with a payment processor or bank
    RECEIVABLE = "receivable", _("Receivable")  # owed by a tenant
    COMMISSION = "commission", _("Commission")
    BREAKAGE = "breakage", _("Breakage")
    DISCOUNT = "discount", _("Discount")
    PROMOTION = "promotion", _("Promotion")
    SUSPENSE = "suspense", _("Suspense")


class Account(models.Model):
    """One side of an entry. ``owner_key`` of the operator's own accounts is "operator"."""

    kind = models.CharField(max_length=12, choices=AccountKind)
    owner_key = models.CharField(max_length=120)
    unit = models.CharField(max_length=4, choices=Unit)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["kind", "owner_key", "unit"], name="one_account_each"),
            models.CheckConstraint(condition=Q(unit__in=Unit.values), name="account_unit_known"),
            models.CheckConstraint(
                condition=Q(kind__in=AccountKind.values), name="account_kind_known"
            ),
            models.CheckConstraint(condition=~Q(owner_key=""), name="account_has_owner"),
        ]

    def __str__(self) -> str:
        return f"{self.kind}:{self.owner_key}:{self.unit}"


class Wallet(models.Model):
    """A tenant's balance, the only hot row.

    An organisation has one general wallet (scope "") per unit, and one more for each scope
    ("service:svc_…", "provider:prv_…", "modality:chat") that it holds lots in.
    """

    account = models.OneToOneField(Account, on_delete=models.PROTECT)
    owner_key = models.CharField(max_length=60)
    unit = models.CharField(max_length=4, choices=Unit)
    scope = models.CharField(max_length=60, blank=True, default="")
    posted_millitokens = models.BigIntegerField(default=0)
    held_millitokens = models.BigIntegerField(default=0)
    # Advances with each entry of this wallet, and with nothing else.
    seq = models.BigIntegerField(default=0)
    # The soonest expiry of a lot with a remainder. While it lies in the past, lots that could
    # not expire are pinned by holds, and nothing is spendable (see services.lot_expiry).
    next_expiry_at = models.DateTimeField(null=True, blank=True)
    # True while any Freeze row exists.
    frozen = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["owner_key", "unit", "scope"], name="one_wallet_each"),
            models.CheckConstraint(
                condition=Q(held_millitokens__gte=0), name="wallet_held_not_negative"
            ),
            models.CheckConstraint(
                condition=Q(posted_millitokens__gte=F("held_millitokens")),
                name="wallet_never_overspent",
            ),
            # Far below 2^63, so that no sum of a balance and an amount can overflow.
            models.CheckConstraint(
                condition=Q(posted_millitokens__lte=MAX_BALANCE), name="wallet_posted_bounded"
            ),
            models.CheckConstraint(condition=Q(seq__gte=0), name="wallet_seq_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.owner_key}:{self.unit}:{self.scope or 'general'}"

    @property
    def spendable_millitokens(self) -> int:
        """What a new hold could take; 0 while frozen."""
        return 0 if self.frozen else self.posted_millitokens - self.held_millitokens


class Freeze(models.Model):
    """Why a wallet refuses new holds; captures of existing holds go on."""

    wallet = models.ForeignKey(
        Wallet, on_delete=models.PROTECT, related_name="freezes", db_index=False
    )
    reason = models.CharField(max_length=120)
    frozen_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["wallet", "reason"], name="one_freeze_per_reason")
        ]

    def __str__(self) -> str:
        return f"{self.wallet}: {self.reason}"


class LotKind(models.TextChoices):
    """Where a lot's tokens came from; bonus burns before paid."""

    PAID = "paid", pgettext_lazy("lot", "Paid")
    BONUS = "bonus", _("Bonus")
    GRANT = "grant", _("Grant")


class Lot(models.Model):
    """What one purchase or grant put into a wallet; the UNIQUE rules out double crediting."""

    public_id = PublicIdField(prefix="lot")
    wallet = models.ForeignKey(Wallet, on_delete=models.PROTECT, related_name="lots")
    reference = models.CharField(max_length=80)
    kind = models.CharField(max_length=5, choices=LotKind)
    face_millitokens = models.BigIntegerField()
    remaining_millitokens = models.BigIntegerField()
    paid_minor = models.BigIntegerField(default=0)
    currency = models.CharField(max_length=3, blank=True)
    granted_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["reference", "kind"], name="credited_once"),
            models.CheckConstraint(condition=Q(face_millitokens__gt=0), name="lot_face_positive"),
            models.CheckConstraint(
                condition=Q(
                    remaining_millitokens__gte=0,
                    remaining_millitokens__lte=F("face_millitokens"),
                ),
                name="lot_remaining_within_face",
            ),
            models.CheckConstraint(condition=Q(kind__in=LotKind.values), name="lot_kind_known"),
        ]
        indexes = [
            models.Index(
                fields=["expires_at"],
                condition=Q(remaining_millitokens__gt=0, expires_at__isnull=False),
                name="lots_that_expire",
            ),
            models.Index(
                fields=["wallet", "expires_at"],
                condition=Q(remaining_millitokens__gt=0),
                name="lots_to_burn",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.reference} ({self.kind})"
