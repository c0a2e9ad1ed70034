"""One purchase: its life, and what was offered."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Self

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.models import Organisation, User
from marketplace.billing.models.packs import Pack
from marketplace.billing.models.top_ups import TopUpRule
from portal.kernel.clock import utc_now
from portal.kernel.public_ids import PublicIdField

if TYPE_CHECKING:
    from marketplace.billing.models.documents import Document


class OrderStatus(models.TextChoices):
    """The life of an order."""

    DRAFT = "draft", _("Draft")
    PENDING = "pending", _("Waiting for payment")
    PROCESSING = "processing", _("Payment in progress")
    PAID = "paid", _("Paid")
    EXPIRED = "expired", _("Expired")
    FAILED = "failed", _("Failed")
    CANCELLED = "cancelled", _("Cancelled")
    PARTIALLY_REVERSED = "partially_reversed", _("Partly refunded")
    REVERSED = "reversed", _("Refunded")


OPEN_ORDER_STATUSES = (OrderStatus.DRAFT, OrderStatus.PENDING, OrderStatus.PROCESSING)
# Its tokens were credited, whatever happened to them later.
CREDITED_ORDER_STATUSES = (
    OrderStatus.PAID,
    OrderStatus.PARTIALLY_REVERSED,
    OrderStatus.REVERSED,
)
# The payment arrived, but is not the one that was ordered: staff decide, nothing is credited.
MISMATCH = "mismatch"
# The saved card could not be charged without its holder.
HOLDER_NEEDED = "authentication_required"
# The name of the payment provider that is our own bank account.
BY_TRANSFER = "bank"


class OrderQuerySet(models.QuerySet["Order"]):
    """The vocabulary of orders."""

    def open(self) -> Self:
        """Could still be paid in the ordinary way."""
        return self.filter(status__in=OPEN_ORDER_STATUSES)

    def uncredited(self) -> Self:
        """Whatever their status says: a payment that arrives for one of these is honoured."""
        return self.exclude(status__in=CREDITED_ORDER_STATUSES)

    def awaiting_money_back(self, *, asked_before: datetime) -> Self:
        """Credited ones of which a refund is under way or a dispute undecided, longest unasked."""
        under_way = Q(refund_requests__state="sent") | Q(refunds__state="pending")
        return (
            self.filter(status__in=CREDITED_ORDER_STATUSES)
            .filter(under_way | Q(disputes__state__in=["inquiry", "open"]))
            .filter(Q(money_back_asked_at__isnull=True) | Q(money_back_asked_at__lte=asked_before))
            .order_by(models.F("money_back_asked_at").asc(nulls_first=True), "id")
            .distinct()
        )

    def to_check(self, *, now: datetime, older_than: datetime, unchecked_since: datetime) -> Self:
        """Open orders that the sweep asks the provider about, longest unasked first."""
        return (
            self.open()
            .exclude(failure_code=MISMATCH)
            .filter(
                Q(checked_at__isnull=True, created_at__lte=older_than)
                | Q(checked_at__lte=unchecked_since)
                | Q(expires_at__lte=now, status__in=[OrderStatus.DRAFT, OrderStatus.PENDING])
            )
            .order_by(models.F("checked_at").asc(nulls_first=True), "id")
        )


class Order(models.Model):
    """One purchase of packs, with a snapshot of what was offered."""

    public_id = PublicIdField(prefix="ord")
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="orders")
    ordered_by = models.ForeignKey(User, on_delete=models.PROTECT)
    pack = models.ForeignKey(Pack, on_delete=models.PROTECT)
    quantity = models.PositiveSmallIntegerField(default=1)
    # The form's or caller's key: a double submit finds the first order.
    idempotency_key = models.CharField(max_length=200)
    request_hash = models.CharField(max_length=64)
    status = models.CharField(max_length=20, choices=OrderStatus, default=OrderStatus.DRAFT)
    # Snapshot at ordering; totals over the quantity.
    pack_name = models.CharField(max_length=80)
    paid_millitokens = models.BigIntegerField()
    bonus_millitokens = models.BigIntegerField(default=0)
    tariff_millitokens = models.BigIntegerField()
    expires_after_days = models.PositiveIntegerField(null=True)
    scope = models.CharField(max_length=60, blank=True)
    currency = models.CharField(max_length=3)
    amount_minor = models.PositiveBigIntegerField()
    # A part of the amount, at the rate that was in force; in basis points (1900 = 19 %).
    tax_minor = models.PositiveBigIntegerField(default=0)
    tax_name = models.CharField(max_length=40, blank=True, default="", db_default="")
    tax_basis_points = models.PositiveIntegerField(default=0, db_default=0)
    # What the provider says has gone back: refunds that did not fail and what disputes have taken.
    reversed_minor = models.PositiveBigIntegerField(default=0)
    # When the provider was asked what stands here of its refunds and disputes.
    money_back_asked_at = models.DateTimeField(null=True, blank=True)
    purchase_reference = models.CharField(max_length=80, blank=True)
    # The agreement that it was made by itself under; null for what a person ordered.
    top_up = models.ForeignKey(
        TopUpRule, on_delete=models.PROTECT, null=True, blank=True, related_name="orders"
    )
    livemode = models.BooleanField()
    provider = models.CharField(max_length=20)  # "sandbox", "stripe", "bank"
    provider_session_id = models.CharField(max_length=120, null=True, unique=True)
    provider_payment_id = models.CharField(max_length=120, null=True, unique=True)
    failure_code = models.CharField(max_length=60, blank=True)
    created_at = models.DateTimeField(default=utc_now)
    expires_at = models.DateTimeField()
    # When the provider was last asked about it.
    checked_at = models.DateTimeField(null=True, blank=True)
    paid_at = models.DateTimeField(null=True, blank=True)

    objects = OrderQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "idempotency_key"], name="one_order_per_key"
            ),
            models.CheckConstraint(
                condition=(
                    Q(status__in=["paid", "partially_reversed", "reversed"], paid_at__isnull=False)
                    | (
                        ~Q(status__in=["paid", "partially_reversed", "reversed"])
                        & Q(paid_at__isnull=True)
                    )
                ),
                name="paid_order_has_time",
            ),
            models.UniqueConstraint(
                fields=["organisation"],
                condition=Q(top_up__isnull=False, status__in=["draft", "pending", "processing"]),
                name="one_top_up_in_flight",
            ),
            models.CheckConstraint(condition=Q(quantity__gte=1), name="order_quantity_positive"),
            models.CheckConstraint(
                condition=Q(reversed_minor__lte=models.F("amount_minor")),
                name="order_reversed_within_amount",
            ),
            models.CheckConstraint(
                condition=Q(status__in=OrderStatus.values), name="order_status_known"
            ),
            models.CheckConstraint(
                condition=Q(
                    paid_millitokens__gt=0,
                    bonus_millitokens__gte=0,
                    tariff_millitokens__gt=0,
                    tariff_millitokens__lte=models.F("paid_millitokens"),
                ),
                name="order_tokens_sound",
            ),
            models.CheckConstraint(
                condition=Q(amount_minor__gt=0, tax_minor__lte=models.F("amount_minor")),
                name="order_amount_sound",
            ),
        ]
        indexes = [
            models.Index(fields=["organisation", "-created_at"], name="orders_by_tenant"),
            models.Index(
                fields=["created_at"],
                condition=Q(status__in=["draft", "pending", "processing"]),
                name="orders_still_open",
            ),
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def reference(self) -> str:
        """What the ledger calls this purchase; the UNIQUE on it rules out a second credit."""
        return f"order:{self.public_id}"

    @property
    def payment_reference(self) -> str:
        """What its provider knows the payment by."""
        return self.provider_payment_id or self.provider_session_id or ""

    @property
    def is_by_transfer(self) -> bool:
        """Paid by bank transfer, under the reference that is its session's id."""
        return self.provider == BY_TRANSFER

    @property
    def total_millitokens(self) -> int:
        return self.paid_millitokens + self.bonus_millitokens

    @property
    def unit_minor(self) -> int:
        """The price of one pack; exact, since the amount is a multiple of it."""
        return self.amount_minor // self.quantity

    @property
    def invoice(self) -> "Document | None":
        """Of a credited order; asks no more when the documents were prefetched."""
        return next((one for one in self.documents.all() if one.is_invoice), None)

    @property
    def tokens_expire_at(self) -> datetime | None:
        """When its tokens do; None before payment, and for tokens that don't."""
        if self.paid_at is None or self.expires_after_days is None:
            return None
        return self.paid_at + timedelta(days=self.expires_after_days)

    @property
    def is_open(self) -> bool:
        return self.status in OPEN_ORDER_STATUSES

    @property
    def is_credited(self) -> bool:
        return self.status in CREDITED_ORDER_STATUSES

    @property
    def is_mismatched(self) -> bool:
        return self.failure_code == MISMATCH and not self.is_credited

    def may_be_paid(self, *, now: datetime) -> bool:
        """Whether the buyer can be sent to the payment page (again).

        A top-up only where the bank asked for its buyer, and never after it failed: by then the
        next may be under way.
        """
        payable = {OrderStatus.DRAFT, OrderStatus.PENDING, OrderStatus.FAILED}
        if self.top_up_id is not None:
            payable -= {OrderStatus.FAILED}
        return (
            self.status in payable
            and not self.is_mismatched
            and not self.is_charging
            and now < self.expires_at
        )

    @property
    def needs_holder(self) -> bool:
        """A top-up whose bank wants to ask the card's holder, who has not gone to pay yet."""
        return self.status == OrderStatus.DRAFT and self.failure_code == HOLDER_NEEDED

    @property
    def is_charging(self) -> bool:
        """Its saved card is being charged, so nobody needs to do anything."""
        live = self.attempts.filter(state__in=["started", "created"], is_charge=True)
        return self.top_up_id is not None and live.exists()
