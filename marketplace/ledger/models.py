"""The tables of the ledger, the only writer of balances.

Amounts are integers in millitokens (1/1000 wallet token). The ledger knows other rooms only by
strings: ``owner_key`` is an organisation's or provider's public id, ``reference`` is like
``order:ord_…``. What can be declared is declared here, as constraints; immutability is kept by
triggers (see the migrations and ``ledger.guards``).
"""

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from portal.kernel.public_ids import PublicIdField


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
    # The soonest expiry of a lot that is not pinned by holds.
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

    wallet = models.ForeignKey(Wallet, on_delete=models.PROTECT, related_name="freezes")
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

    PAID = "paid", _("Paid")
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

    hold = models.ForeignKey(Hold, on_delete=models.PROTECT, related_name="parts")
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
    """That a hold counts in a limit, with the hold's whole amount."""

    hold = models.ForeignKey(Hold, on_delete=models.PROTECT, related_name="hold_limits")
    limit = models.ForeignKey(Limit, on_delete=models.PROTECT)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["hold", "limit"], name="hold_counted_once_per_limit")
        ]

    def __str__(self) -> str:
        return f"{self.hold_id} in {self.limit_id}"


class TransactionKind(models.TextChoices):
    """What happened."""

    PURCHASE = "purchase", _("Purchase")
    GRANT = "grant", _("Grant")
    CAPTURE = "capture", _("Call")
    EXPIRY = "expiry", _("Expiry")
    REFUND = "refund", _("Refund")
    CHARGEBACK = "chargeback", _("Charge-back")
    REVERSAL = "reversal", _("Reversal")
    ADJUSTMENT = "adjustment", _("Adjustment")
    PAYOUT = "payout", _("Payout")


class Transaction(models.Model):
    """Entries that belong together. Immutable; corrections are new transactions."""

    public_id = PublicIdField(prefix="txn")
    kind = models.CharField(max_length=10, choices=TransactionKind)
    idempotency_scope = models.CharField(max_length=80)
    idempotency_key = models.CharField(max_length=200)
    request_hash = models.CharField(max_length=64)
    hold = models.ForeignKey(
        Hold, on_delete=models.PROTECT, null=True, blank=True, related_name="transactions"
    )
    reverses = models.ForeignKey("self", on_delete=models.PROTECT, null=True, blank=True)
    reversal_no = models.PositiveIntegerField(null=True, blank=True)
    reference = models.CharField(max_length=80, blank=True)  # "call:call_…", "order:ord_…"
    reason = models.CharField(max_length=200, blank=True)
    effective_at = models.DateTimeField()
    recorded_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["idempotency_scope", "idempotency_key"], name="one_transaction_per_key"
            ),
            models.UniqueConstraint(
                fields=["hold"], condition=Q(kind="capture"), name="one_capture_per_hold"
            ),
            models.UniqueConstraint(fields=["reverses", "reversal_no"], name="reversals_numbered"),
            models.CheckConstraint(
                condition=Q(kind__in=TransactionKind.values), name="transaction_kind_known"
            ),
        ]
        indexes = [models.Index(fields=["reference"], name="transaction_reference")]

    def __str__(self) -> str:
        return f"{self.kind} {self.public_id}"


class Entry(models.Model):
    """One amount from one account to another, so the books balance by construction. Immutable."""

    transaction = models.ForeignKey(Transaction, on_delete=models.PROTECT, related_name="entries")
    line = models.PositiveSmallIntegerField()
    debit_account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="debits")
    credit_account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="credits")
    amount_millitokens = models.BigIntegerField()
    # The wallet that this entry moves, its position in that wallet's chain, and posted after it.
    wallet = models.ForeignKey(Wallet, on_delete=models.PROTECT, null=True, related_name="entries")
    wallet_seq = models.BigIntegerField(null=True)
    wallet_after_millitokens = models.BigIntegerField(null=True)

    class Meta:
        verbose_name_plural = "entries"
        constraints = [
            models.UniqueConstraint(fields=["transaction", "line"], name="entry_lines_numbered"),
            models.UniqueConstraint(fields=["wallet", "wallet_seq"], name="wallet_chain"),
            models.CheckConstraint(condition=Q(amount_millitokens__gt=0), name="entry_positive"),
            models.CheckConstraint(
                condition=~Q(debit_account=F("credit_account")), name="entry_moves_something"
            ),
            models.CheckConstraint(
                condition=Q(
                    wallet__isnull=True,
                    wallet_seq__isnull=True,
                    wallet_after_millitokens__isnull=True,
                )
                | Q(
                    wallet__isnull=False,
                    wallet_seq__gt=0,
                    wallet_after_millitokens__gte=0,
                ),
                name="entry_wallet_fields_together",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.transaction_id}/{self.line}"


class LotBurn(models.Model):
    """How much of a lot one transaction took. Immutable; a reversal unwinds exactly these."""

    transaction = models.ForeignKey(Transaction, on_delete=models.PROTECT, related_name="burns")
    lot = models.ForeignKey(Lot, on_delete=models.PROTECT, related_name="burns")
    amount_millitokens = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["transaction", "lot"], name="one_burn_per_lot"),
            models.CheckConstraint(condition=Q(amount_millitokens__gt=0), name="burn_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.lot_id} −{self.amount_millitokens}"


IMMUTABLE_TABLES: tuple[str, ...] = ("ledger_transaction", "ledger_entry", "ledger_lotburn")
