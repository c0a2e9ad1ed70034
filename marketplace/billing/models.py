"""Packs, orders, attempts to pay, the inbox of payment events, receipts, and the sandbox.

Money is an integer in the currency's minor unit. Tokens are millitokens.
"""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.models import Organisation, User
from marketplace.catalog.models import in_reader_language
from portal.kernel.clock import utc_now
from portal.kernel.public_ids import PublicIdField


class Pack(models.Model):
    """A product: paid and bonus tokens, an expiry, a scope, prices in several currencies."""

    public_id = PublicIdField(prefix="pck")
    slug = models.SlugField(max_length=60, unique=True)
    name_en = models.CharField(max_length=80)
    name_zh = models.CharField(max_length=80, blank=True)
    summary_en = models.CharField(max_length=200, blank=True)
    summary_zh = models.CharField(max_length=200, blank=True)
    paid_millitokens = models.BigIntegerField()
    bonus_millitokens = models.BigIntegerField(default=0)
    # What the paid tokens are worth to the books in millitokens, whatever the sale currency:
    # paid minus the pack's discount (see docs/money.md).
    tariff_millitokens = models.BigIntegerField()
    expires_after_days = models.PositiveIntegerField(null=True, blank=True)
    # "" is everything; else "service:svc_…", "provider:prv_…", "modality:chat".
    scope = models.CharField(max_length=60, blank=True)
    on_sale = models.BooleanField(default=True)
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["position", "id"]
        constraints = [
            models.CheckConstraint(condition=Q(paid_millitokens__gt=0), name="pack_has_tokens"),
            models.CheckConstraint(
                condition=Q(bonus_millitokens__gte=0), name="pack_bonus_not_negative"
            ),
            models.CheckConstraint(
                condition=Q(
                    tariff_millitokens__gt=0,
                    tariff_millitokens__lte=models.F("paid_millitokens"),
                ),
                name="pack_tariff_within_paid",
            ),
        ]

    def __str__(self) -> str:
        return self.name_en

    @property
    def name(self) -> str:
        return in_reader_language(self.name_en, self.name_zh)

    @property
    def summary(self) -> str:
        return in_reader_language(self.summary_en, self.summary_zh)


class PackPrice(models.Model):
    """A pack's price in one sale currency."""

    pack = models.ForeignKey(Pack, on_delete=models.CASCADE, related_name="prices")
    currency = models.CharField(max_length=3)
    amount_minor = models.PositiveBigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["pack", "currency"], name="one_price_per_currency"),
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="pack_price_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.pack} {self.currency}"


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
    tax_minor = models.PositiveBigIntegerField(default=0)
    reversed_minor = models.PositiveBigIntegerField(default=0)
    purchase_reference = models.CharField(max_length=80, blank=True)
    livemode = models.BooleanField()
    provider = models.CharField(max_length=20)  # "sandbox", "stripe"
    provider_session_id = models.CharField(max_length=120, null=True, unique=True)
    provider_payment_id = models.CharField(max_length=120, null=True, unique=True)
    failure_code = models.CharField(max_length=60, blank=True)
    created_at = models.DateTimeField(default=utc_now)
    expires_at = models.DateTimeField()
    paid_at = models.DateTimeField(null=True, blank=True)

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
            models.CheckConstraint(condition=Q(quantity__gte=1), name="order_quantity_positive"),
            models.CheckConstraint(
                condition=Q(reversed_minor__lte=models.F("amount_minor")),
                name="order_reversed_within_amount",
            ),
            models.CheckConstraint(
                condition=Q(status__in=OrderStatus.values), name="order_status_known"
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


class Attempt(models.Model):
    """One create call to the payment provider, with its key and exact parameters."""

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="attempts")
    number = models.PositiveSmallIntegerField()
    idempotency_key = models.CharField(max_length=120, unique=True)
    parameters = models.JSONField()
    # "started", "created", "failed"
    state = models.CharField(max_length=10, default="started")
    session_id = models.CharField(max_length=120, blank=True)
    pay_url = models.URLField(blank=True, max_length=500)
    error = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(default=utc_now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["order", "number"], name="attempts_numbered")
        ]

    def __str__(self) -> str:
        return f"{self.order_id}/{self.number}"


class InboxState(models.TextChoices):
    """Where a payment event is; duplicates are dropped only when done."""

    RECEIVED = "received"
    PROCESSING = "processing"
    DONE = "done"
    FAILED = "failed"
    IGNORED = "ignored"


class InboxEvent(models.Model):
    """A verified event of a payment provider: type and object id only, the rest is refetched."""

    provider = models.CharField(max_length=20)
    event_id = models.CharField(max_length=120)
    event_type = models.CharField(max_length=80)
    object_id = models.CharField(max_length=120)
    livemode = models.BooleanField()
    state = models.CharField(max_length=10, choices=InboxState, default=InboxState.RECEIVED)
    attempts = models.PositiveSmallIntegerField(default=0)
    leased_until = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=300, blank=True)
    received_at = models.DateTimeField(default=utc_now)
    done_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["provider", "event_id"], name="event_received_once")
        ]
        indexes = [
            models.Index(
                fields=["received_at"],
                condition=Q(state__in=["received", "processing", "failed"]),
                name="events_to_drive",
            )
        ]

    def __str__(self) -> str:
        return f"{self.event_type} {self.event_id}"


class Receipt(models.Model):
    """The document of a paid order, numbered without gaps per year."""

    public_id = PublicIdField(prefix="rcp")
    order = models.OneToOneField(Order, on_delete=models.PROTECT, related_name="receipt")
    year = models.PositiveSmallIntegerField()
    number = models.PositiveIntegerField()
    # Names and addresses as they were: {"seller": …, "buyer": …, "tax_id": …}
    parties = models.JSONField(default=dict)
    issued_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["year", "number"], name="receipts_numbered")]

    def __str__(self) -> str:
        return f"{self.year}-{self.number:06d}"


class SandboxSession(models.Model):
    """The sandbox's own side: what a payment processor would know. No money moves."""

    session_id = models.CharField(max_length=120, unique=True)
    payment_id = models.CharField(max_length=120, unique=True)
    idempotency_key = models.CharField(max_length=120, unique=True)
    # "open", "complete", "expired"
    state = models.CharField(max_length=10, default="open")
    # "unpaid", "paid"
    payment_state = models.CharField(max_length=10, default="unpaid")
    failure_code = models.CharField(max_length=60, blank=True)
    amount_minor = models.PositiveBigIntegerField()
    currency = models.CharField(max_length=3)
    metadata = models.JSONField(default=dict)
    description = models.CharField(max_length=200)
    return_url = models.CharField(max_length=500)
    cancel_url = models.CharField(max_length=500)
    # Delayed success: when the payment will have succeeded.
    succeeds_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=utc_now)
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.session_id
