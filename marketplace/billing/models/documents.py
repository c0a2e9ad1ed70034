"""The documents of orders: invoices and credit notes. Issued once, then only ever mailed."""

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from marketplace.billing.models.orders import Order
from portal.kernel.immutability import fixed_columns
from portal.kernel.public_ids import PublicIdField


class DocumentKind(models.TextChoices):
    """What a document says of its order."""

    INVOICE = "invoice", _("Invoice")  # what was bought and paid
    CREDIT_NOTE = "credit_note", _("Credit note")  # what of it was given back


class DocumentCounter(models.Model):
    """The last number given out in a series and year.

    Taking a number locks this row until the document's commit, so a rolled-back settlement gives
    its number back and there are no gaps (docs/adr/0120).
    """

    series = models.CharField(max_length=30, blank=True, default="", db_default="")
    year = models.PositiveSmallIntegerField()
    last_number = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["series", "year"], name="one_counter_per_series")
        ]

    def __str__(self) -> str:
        return f"{self.series} {self.year}: {self.last_number}".lstrip()


class Document(models.Model):
    """One invoice or credit note. Triggers keep all of it but the mailing as it was issued.

    What was bought stands in the order's own snapshot; what depends on the day of issue (the
    parties, the amount, the tax) stands here. Money is in the currency's minor unit.
    """

    public_id = PublicIdField(prefix="doc")
    kind = models.CharField(max_length=12, choices=DocumentKind)
    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="documents")
    # The invoice that a credit note is about.
    corrects = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="credit_notes"
    )
    series = models.CharField(max_length=30, blank=True, default="")
    year = models.PositiveSmallIntegerField()
    number = models.PositiveIntegerField()
    # Names and addresses as they were when it was issued; both parties as
    # {"name", "legal_name", "address", "country", "tax_id", "email"}.
    parties = models.JSONField(default=dict)
    currency = models.CharField(max_length=3)
    # What this document charges or gives back; the tax is a part of it.
    amount_minor = models.PositiveBigIntegerField()
    tax_minor = models.PositiveBigIntegerField(default=0)
    # What was given back of the order by then, this document included; 0 on invoices.
    reversed_minor = models.PositiveBigIntegerField(default=0)
    issued_at = models.DateTimeField()
    # The intent to mail it is this row without ``mailed_at``; the lease keeps it to one sender.
    mailed_at = models.DateTimeField(null=True, blank=True)
    mail_leased_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["series", "year", "number"], name="documents_numbered"),
            models.CheckConstraint(condition=Q(number__gte=1), name="document_number_positive"),
            models.UniqueConstraint(
                fields=["order"], condition=Q(kind="invoice"), name="one_invoice_per_order"
            ),
            models.UniqueConstraint(
                fields=["order", "reversed_minor"],
                condition=Q(kind="credit_note"),
                name="one_credit_note_per_reversal",
            ),
            models.CheckConstraint(
                condition=Q(kind="invoice", corrects__isnull=True, reversed_minor=0)
                | Q(
                    kind="credit_note",
                    corrects__isnull=False,
                    reversed_minor__gte=F("amount_minor"),
                ),
                name="document_kind_sound",
            ),
            models.CheckConstraint(
                condition=Q(amount_minor__gt=0, tax_minor__lte=F("amount_minor")),
                name="document_amount_sound",
            ),
        ]
        indexes = [
            models.Index(
                fields=["issued_at"], condition=Q(mailed_at__isnull=True), name="documents_to_mail"
            )
        ]

    def __str__(self) -> str:
        return self.label

    @property
    def label(self) -> str:
        """The number as people write it: ``2026-000042``, ``CN-2026-000007``."""
        number = f"{self.year}-{self.number:06d}"
        return f"{self.series}-{number}" if self.series else number

    @property
    def net_minor(self) -> int:
        return self.amount_minor - self.tax_minor

    @property
    def is_invoice(self) -> bool:
        return self.kind == DocumentKind.INVOICE


DOCUMENT_GUARDS = fixed_columns(
    "billing_document",
    [
        "public_id", "kind", "order_id", "corrects_id", "series", "year", "number", "parties",
        "currency", "amount_minor", "tax_minor", "reversed_minor", "issued_at",
    ],
)  # fmt: skip
