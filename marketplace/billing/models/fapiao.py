"""Fapiao: the invoices of mainland China, which the tax authority's own system issues, not we.

Here stands who asked for one, what staff issued there, and what of it is to be taken back in red.
Amounts are fen: only orders that were paid in yuan have a fapiao.
"""

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.models import Organisation, User
from marketplace.billing.models.orders import Order
from portal.kernel.clock import utc_now
from portal.kernel.public_ids import PublicIdField

FAPIAO_CURRENCY = "CNY"


class FapiaoKind(models.TextChoices):
    """Both are fully digital ones. A special one lets its buyer deduct the VAT."""

    ORDINARY = "ordinary", _("Ordinary VAT fapiao")
    SPECIAL = "special", _("Special VAT fapiao")


class FapiaoState(models.TextChoices):
    """The life of a fapiao."""

    REQUESTED = "requested", pgettext_lazy("fapiao", "Asked for")
    ISSUED = "issued", pgettext_lazy("fapiao", "Issued")
    DECLINED = "declined", pgettext_lazy("fapiao", "Declined")
    WITHDRAWN = "withdrawn", pgettext_lazy("fapiao", "Withdrawn")
    # Some of its money has gone back since: staff owe the authority a red-letter fapiao.
    RED_LETTER_DUE = "red_letter_due", pgettext_lazy("fapiao", "Red letter due")
    RED_LETTERED = "red_lettered", pgettext_lazy("fapiao", "Red letter issued")


ISSUED_STATES = (FapiaoState.ISSUED, FapiaoState.RED_LETTER_DUE, FapiaoState.RED_LETTERED)
WAITING_STATES = (FapiaoState.REQUESTED, FapiaoState.RED_LETTER_DUE)


class Fapiao(models.Model):
    """One request and what came of it. Names are the buyer's, numbers the tax authority's."""

    public_id = PublicIdField(prefix="fap")
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="fapiao")
    requested_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=10, choices=FapiaoKind)
    state = models.CharField(max_length=16, choices=FapiaoState, default=FapiaoState.REQUESTED)
    title = models.CharField(max_length=100)
    tax_id = models.CharField(max_length=20)
    # What a special one names besides.
    address = models.CharField(max_length=200, blank=True)
    phone = models.CharField(max_length=40, blank=True)
    bank = models.CharField(max_length=100, blank=True)
    bank_account = models.CharField(max_length=40, blank=True)
    email = models.EmailField()
    # What was really kept of its orders when it was issued; null before.
    amount_minor = models.PositiveBigIntegerField(null=True, blank=True)
    # How much of that is to be taken back in red yet: recomputed from the orders.
    red_due_minor = models.PositiveBigIntegerField(default=0)
    number = models.CharField(max_length=20, null=True, blank=True, unique=True)
    issued_on = models.DateField(null=True, blank=True)
    decided_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    note = models.CharField(max_length=500, blank=True)
    requested_at = models.DateTimeField(default=utc_now)
    # Or withdrawn, by nobody of us.
    decided_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "fapiao"
        constraints = [
            models.CheckConstraint(
                condition=Q(kind__in=FapiaoKind.values), name="fapiao_kind_known"
            ),
            models.CheckConstraint(
                condition=Q(
                    state__in=["requested", "declined", "withdrawn"],
                    number__isnull=True,
                    issued_on__isnull=True,
                    amount_minor__isnull=True,
                )
                | Q(
                    state__in=["issued", "red_letter_due", "red_lettered"],
                    number__isnull=False,
                    issued_on__isnull=False,
                    amount_minor__gt=0,
                    decided_by__isnull=False,
                ),
                name="issued_fapiao_has_its_number",
            ),
            models.CheckConstraint(
                condition=Q(state="red_letter_due", red_due_minor__gt=0)
                | (~Q(state="red_letter_due") & Q(red_due_minor=0)),
                name="fapiao_red_letter_due_sound",
            ),
            models.CheckConstraint(
                condition=Q(kind="ordinary")
                | (~Q(address="") & ~Q(phone="") & ~Q(bank="") & ~Q(bank_account="")),
                name="special_fapiao_names_its_bank",
            ),
        ]
        indexes = [
            models.Index(
                fields=["requested_at"],
                condition=Q(state__in=["requested", "red_letter_due"]),
                name="fapiao_to_do",
            ),
            models.Index(fields=["organisation", "-requested_at"], name="fapiao_by_tenant"),
        ]

    def __str__(self) -> str:
        return self.number or self.public_id

    @property
    def waits(self) -> bool:
        """For a decision of ours; until then its buyer may withdraw it."""
        return self.state == FapiaoState.REQUESTED

    @property
    def was_issued(self) -> bool:
        return self.state in ISSUED_STATES


class FapiaoLine(models.Model):
    """One order of a fapiao. While it is live, no other fapiao may be asked for the order."""

    fapiao = models.ForeignKey(Fapiao, on_delete=models.PROTECT, related_name="lines")
    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="fapiao_lines")
    is_live = models.BooleanField(default=True)
    # What was kept of the order when the fapiao was issued; null before.
    amount_minor = models.PositiveBigIntegerField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["order"], condition=Q(is_live=True), name="one_live_fapiao_per_order"
            ),
            models.UniqueConstraint(fields=["fapiao", "order"], name="fapiao_names_order_once"),
        ]

    def __str__(self) -> str:
        return f"{self.fapiao_id}: {self.order_id}"


class RedLetter(models.Model):
    """A red-letter fapiao: so much of the one that was issued is taken back."""

    fapiao = models.ForeignKey(Fapiao, on_delete=models.PROTECT, related_name="red_letters")
    number = models.CharField(max_length=20, unique=True)
    issued_on = models.DateField()
    amount_minor = models.PositiveBigIntegerField()
    recorded_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    recorded_at = models.DateTimeField(default=utc_now)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(amount_minor__gt=0), name="red_letter_takes_something"
            )
        ]

    def __str__(self) -> str:
        return self.number


def kept_minor(order: Order) -> int:
    """What has not gone back of the order, in its currency's minor unit."""
    return order.amount_minor - order.reversed_minor


KEPT_MINOR = F("amount_minor") - F("reversed_minor")
