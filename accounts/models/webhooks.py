"""Where an organisation's systems are told of events, and every message to them."""

from datetime import datetime

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.models.people import Organisation, User
from portal.kernel.encryption import EncryptedTextField
from portal.kernel.public_ids import PublicIdField


class WebhookEvent(models.TextChoices):
    """What can be told. A test is sent by hand, so nobody chooses it."""

    BALANCE_LOW = "balance.low", _("Few tokens left")
    BUDGET_REACHED = "budget.reached", _("Budget nearly or wholly used")
    KEY_SUSPENDED = "key.suspended", _("Key suspended")
    ORDER_PAID = "order.paid", _("Order paid")
    CALL_DISPUTED = "call.disputed", _("Provider counted too much for a call")
    TEST = "webhook.test", _("Test")


class WebhookEndpoint(models.Model):
    """An address that takes signed messages of the chosen types."""

    public_id = PublicIdField(prefix="whe")
    organisation = models.ForeignKey(
        Organisation, on_delete=models.CASCADE, related_name="webhook_endpoints"
    )
    url = models.CharField(max_length=500)
    event_types = models.JSONField(default=list)
    secret = EncryptedTextField()
    # Messages are signed with it too until then, so that the receiver can change in its own time.
    old_secret = EncryptedTextField(blank=True, default="")
    old_secret_until = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField()
    # Since when nothing was taken any more; null while messages are.
    failing_since = models.DateTimeField(null=True, blank=True)
    # Switched off after days of failures, until an owner switches it on.
    stopped_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "url"], name="webhook_address_once_each"
            )
        ]

    def __str__(self) -> str:
        return self.url

    def signing_secrets(self, now: datetime) -> tuple[str, str]:
        """The secret, and the one before while it still counts, else ""."""
        in_grace = self.old_secret_until is not None and now < self.old_secret_until
        return self.secret, self.old_secret if in_grace else ""


class WebhookDelivery(models.Model):
    """One event for one endpoint, written in the transaction of its cause."""

    public_id = PublicIdField(prefix="whd")
    endpoint = models.ForeignKey(
        WebhookEndpoint, on_delete=models.CASCADE, related_name="deliveries"
    )
    # The header webhook-id: the same for every endpoint and however often it is sent.
    event_id = models.CharField(max_length=40)
    event_type = models.CharField(max_length=20, choices=WebhookEvent)
    # Ids, figures and times; never words that people wrote.
    payload = models.JSONField(default=dict)
    created_at = models.DateTimeField()
    # Null when it is over: taken, or given up. While it is being sent, when to send it again if
    # the sender dies.
    due_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    attempted_at = models.DateTimeField(null=True, blank=True)
    delivered_at = models.DateTimeField(null=True, blank=True)
    # Of the last answer; null while there was none.
    answer_status = models.PositiveSmallIntegerField(null=True, blank=True)
    # Code of the last failure: "address_refused", "webhook_failed"; empty when there was none.
    failure_code = models.CharField(max_length=40, blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["endpoint", "event_id"], name="event_once_an_endpoint"),
            models.CheckConstraint(
                condition=Q(event_type__in=WebhookEvent.values), name="webhook_event_known"
            ),
        ]
        indexes = [
            models.Index(fields=["endpoint", "-id"], name="deliveries_newest_first"),
            models.Index(
                fields=["due_at"], condition=Q(due_at__isnull=False), name="deliveries_due"
            ),
            models.Index(fields=["created_at"], name="deliveries_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.event_type} → {self.endpoint}"

    @property
    def state(self) -> str:
        """``pending``, ``delivered`` or ``failed`` (given up)."""
        if self.due_at is not None:
            return "pending"
        return "delivered" if self.delivered_at else "failed"
