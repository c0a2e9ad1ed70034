"""What members who may not buy ask their owners and billing to buy."""

from typing import Self

from django.db import models
from django.db.models import Q
from django.utils.translation import pgettext_lazy

from accounts.models import Organisation, User
from marketplace.billing.models.orders import Order
from marketplace.billing.models.packs import Pack
from portal.kernel.clock import utc_now
from portal.kernel.public_ids import PublicIdField


class PurchaseState(models.TextChoices):
    """The life of a purchase request; it is decided once."""

    REQUESTED = "requested", pgettext_lazy("purchase", "Waiting for a decision")
    ORDERED = "ordered", pgettext_lazy("purchase", "Approved and ordered")
    DECLINED = "declined", pgettext_lazy("purchase", "Declined")
    WITHDRAWN = "withdrawn", pgettext_lazy("purchase", "Withdrawn")


class PurchaseRequestQuerySet(models.QuerySet["PurchaseRequest"]):
    """The vocabulary of purchase requests."""

    def open(self) -> Self:
        """Nobody has decided yet."""
        return self.filter(state=PurchaseState.REQUESTED)


class PurchaseRequest(models.Model):
    """A pack × quantity that somebody wants bought, at the price that was seen then.

    The price binds nobody: who approves reviews the offer of that day, as for any order.
    """

    public_id = PublicIdField(prefix="prq")
    organisation = models.ForeignKey(
        Organisation, on_delete=models.PROTECT, related_name="purchase_requests"
    )
    requested_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    # The form's key: a double submit finds the first request.
    form_key = models.CharField(max_length=64)
    pack = models.ForeignKey(Pack, on_delete=models.PROTECT, related_name="+")
    quantity = models.PositiveSmallIntegerField()
    currency = models.CharField(max_length=3)
    amount_minor = models.PositiveBigIntegerField()
    note = models.CharField(max_length=500, blank=True)
    state = models.CharField(max_length=10, choices=PurchaseState, default=PurchaseState.REQUESTED)
    # What it became; however that order ends, the request stays approved.
    order = models.OneToOneField(
        Order, on_delete=models.PROTECT, null=True, blank=True, related_name="purchase_request"
    )
    decided_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    answer = models.CharField(max_length=500, blank=True)
    requested_at = models.DateTimeField(default=utc_now)
    # Or withdrawn.
    decided_at = models.DateTimeField(null=True, blank=True)

    objects = PurchaseRequestQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "requested_by", "form_key"],
                name="one_purchase_request_per_form",
            ),
            models.CheckConstraint(
                condition=Q(state__in=PurchaseState.values), name="purchase_request_state_known"
            ),
            models.CheckConstraint(
                condition=Q(quantity__gte=1, amount_minor__gt=0),
                name="purchase_request_asks_something",
            ),
            models.CheckConstraint(
                condition=Q(state="ordered", order__isnull=False, decided_by__isnull=False)
                | Q(state="declined", order__isnull=True, decided_by__isnull=False)
                | Q(state__in=["requested", "withdrawn"], order__isnull=True),
                name="purchase_request_was_decided",
            ),
        ]
        indexes = [
            models.Index(
                fields=["organisation", "-requested_at"], name="purchase_requests_by_tenant"
            )
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def waits(self) -> bool:
        """For a decision."""
        return self.state == PurchaseState.REQUESTED
