"""Transactions, entries and burns: the immutable part of the books."""

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from marketplace.ledger.models.holds import Hold
from marketplace.ledger.models.wallets import Account, Lot, Wallet
from portal.kernel.public_ids import PublicIdField


class TransactionKind(models.TextChoices):
    """What happened."""

    PURCHASE = "purchase", _("Purchase")
    GRANT = "grant", _("Grant")
    CAPTURE = "capture", _("Call")
    EXPIRY = "expiry", pgettext_lazy("transaction", "Expiry")
    REFUND = "refund", _("Refund")
    CHARGEBACK = "chargeback", _("Charge-back")
    REVERSAL = "reversal", _("Reversal")
    ADJUSTMENT = "adjustment", _("Adjustment")
    PAYOUT = "payout", _("Payout")


class Transaction(models.Model):
    """Entries that belong together. Immutable; corrections are new transactions.

    ``entry_count`` seals it: a trigger refuses lines beyond it, and lines are unique, so nothing
    can be added to a transaction that is complete.
    """

    public_id = PublicIdField(prefix="txn")
    kind = models.CharField(max_length=10, choices=TransactionKind)
    idempotency_scope = models.CharField(max_length=80)
    idempotency_key = models.CharField(max_length=200)
    request_hash = models.CharField(max_length=64)
    entry_count = models.PositiveSmallIntegerField()
    hold = models.ForeignKey(
        Hold,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="transactions",
        db_index=False,
    )
    reverses = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="reversals",
        db_index=False,
    )
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
            models.UniqueConstraint(
                fields=["reverses", "reversal_no"],
                condition=Q(reverses__isnull=False),
                name="reversals_numbered",
            ),
            models.CheckConstraint(
                condition=Q(reverses__isnull=True, reversal_no__isnull=True)
                | Q(reverses__isnull=False, reversal_no__gt=0),
                name="only_reversals_are_numbered",
            ),
            models.CheckConstraint(
                condition=Q(entry_count__gt=0), name="transaction_moves_something"
            ),
            models.CheckConstraint(
                condition=Q(kind__in=TransactionKind.values), name="transaction_kind_known"
            ),
            models.CheckConstraint(
                condition=Q(kind="capture", hold__isnull=False)
                | (~Q(kind="capture") & Q(hold__isnull=True)),
                name="captures_and_only_they_have_holds",
            ),
            models.CheckConstraint(
                condition=Q(kind="reversal", reverses__isnull=False)
                | (~Q(kind="reversal") & Q(reverses__isnull=True)),
                name="reversals_and_only_they_reverse",
            ),
        ]
        indexes = [models.Index(fields=["reference"], name="transaction_reference")]

    def __str__(self) -> str:
        return f"{self.kind} {self.public_id}"


class Entry(models.Model):
    """One amount from one account to another, so the books balance by construction. Immutable."""

    transaction = models.ForeignKey(
        Transaction, on_delete=models.PROTECT, related_name="entries", db_index=False
    )
    line = models.PositiveSmallIntegerField()
    debit_account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="debits")
    credit_account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="credits")
    amount_millitokens = models.BigIntegerField()
    # The wallet that this entry moves, its position in that wallet's chain, and posted after it.
    wallet = models.ForeignKey(
        Wallet, on_delete=models.PROTECT, null=True, related_name="entries", db_index=False
    )
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
    """How much of a lot one transaction took; under a reversal, how much it gave back. Immutable.

    A lot's face less what remains is what was taken less what was given back.
    """

    transaction = models.ForeignKey(
        Transaction, on_delete=models.PROTECT, related_name="burns", db_index=False
    )
    lot = models.ForeignKey(Lot, on_delete=models.PROTECT, related_name="burns")
    amount_millitokens = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["transaction", "lot"], name="one_burn_per_lot"),
            models.CheckConstraint(condition=Q(amount_millitokens__gt=0), name="burn_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.lot_id} −{self.amount_millitokens}"
