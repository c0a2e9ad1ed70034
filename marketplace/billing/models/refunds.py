"""Money that goes back to the buyer because somebody of us or of the buyer wanted it to."""

from typing import Self

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.models import User
from marketplace.billing.models.orders import Order
from portal.kernel.clock import utc_now
from portal.kernel.public_ids import PublicIdField


class RequestState(models.TextChoices):
    """The life of a refund request."""

    REQUESTED = "requested", _("Waiting for our decision")
    APPROVED = "approved", _("Approved")  # money is to be sent; the outcome may be unknown
    SENT = "sent", _("On its way")  # the payment provider has taken it on
    DONE = "done", _("Refunded")
    DECLINED = "declined", pgettext_lazy("refund", "Declined")
    FAILED = "failed", pgettext_lazy("refund", "Failed")
    WITHDRAWN = "withdrawn", pgettext_lazy("refund", "Withdrawn")  # by the buyer, undecided


OPEN_REQUEST_STATES = (RequestState.REQUESTED, RequestState.APPROVED, RequestState.SENT)


class RefundRequestQuerySet(models.QuerySet["RefundRequest"]):
    """The vocabulary of refund requests."""

    def open(self) -> Self:
        """Their tokens are set aside and their money is not known to have gone back."""
        return self.filter(state__in=OPEN_REQUEST_STATES)


class RefundRequest(models.Model):
    """A buyer asks for its money back. While it is open, its tokens are set aside in the ledger.

    It is also the one call that sends the money: ``public_id`` is the idempotency key, and amount
    and payment never change. A call that failed for good ends it; another try is another request.
    """

    public_id = PublicIdField(prefix="rfq")
    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="refund_requests")
    requested_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    state = models.CharField(max_length=10, choices=RequestState, default=RequestState.REQUESTED)
    amount_minor = models.PositiveBigIntegerField()
    paid_millitokens = models.BigIntegerField()
    bonus_millitokens = models.BigIntegerField()
    reason = models.CharField(max_length=500, blank=True)
    # Above a limit two of our people have to agree.
    seconded_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    decided_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    note = models.CharField(max_length=500, blank=True)
    failure_code = models.CharField(max_length=60, blank=True)
    requested_at = models.DateTimeField(default=utc_now)
    # Or withdrawn, by nobody of us.
    decided_at = models.DateTimeField(null=True, blank=True)
    # When the provider was last asked to send it.
    sent_at = models.DateTimeField(null=True, blank=True)

    objects = RefundRequestQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["order"],
                condition=Q(state__in=["requested", "approved", "sent"]),
                name="one_open_request_per_order",
            ),
            models.CheckConstraint(
                condition=Q(state__in=RequestState.values), name="refund_request_state_known"
            ),
            models.CheckConstraint(
                condition=Q(amount_minor__gt=0, paid_millitokens__gt=0, bonus_millitokens__gte=0),
                name="refund_request_asks_something",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["requested", "failed", "withdrawn"])
                | Q(decided_by__isnull=False),
                name="refund_request_was_decided",
            ),
            models.CheckConstraint(
                condition=Q(seconded_by__isnull=True)
                | Q(decided_by__isnull=True)
                | ~Q(seconded_by=models.F("decided_by"))
                | Q(state="declined"),
                name="refund_second_person_is_another",
            ),
        ]
        indexes = [
            models.Index(
                fields=["requested_at"],
                condition=Q(state__in=["requested", "approved", "sent"]),
                name="refund_requests_open",
            )
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def is_open(self) -> bool:
        return self.state in OPEN_REQUEST_STATES

    @property
    def waits(self) -> bool:
        """For a decision of ours."""
        return self.state == RequestState.REQUESTED


class RefundState(models.TextChoices):
    """As the payment provider says; a failed one has moved nothing."""

    PENDING = "pending", _("On its way")
    SUCCEEDED = "succeeded", _("Refunded")
    FAILED = "failed", pgettext_lazy("refund", "Failed")


class Refund(models.Model):
    """A refund as the payment provider last told it, whoever made it there."""

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="refunds")
    # Null where staff made it at the provider.
    request = models.OneToOneField(
        RefundRequest, on_delete=models.PROTECT, null=True, blank=True, related_name="refund"
    )
    refund_id = models.CharField(max_length=120)
    amount_minor = models.PositiveBigIntegerField()
    state = models.CharField(max_length=10, choices=RefundState)
    first_seen_at = models.DateTimeField(default=utc_now)
    # When the provider first said what stands here now.
    changed_at = models.DateTimeField(default=utc_now, db_default=Now())
    succeeded_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["order", "refund_id"], name="one_row_per_refund"),
            models.CheckConstraint(
                condition=Q(state__in=RefundState.values), name="refund_state_known"
            ),
        ]

    def __str__(self) -> str:
        return self.refund_id
