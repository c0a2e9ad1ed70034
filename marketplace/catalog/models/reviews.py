"""What staff said of a listing."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from marketplace.catalog.models.services import Service
from portal.kernel.clock import utc_now
from portal.kernel.encryption import EncryptedTextField
from portal.kernel.public_ids import PublicIdField


class ReviewDecision(models.TextChoices):
    """How a review of a listing ended."""

    APPROVED = "approved", _("Approved")
    CHANGES_REQUESTED = "changes_requested", _("Changes requested")
    REJECTED = "rejected", _("Rejected")
    WITHDRAWN = "withdrawn", _("Withdrawn")


class ServiceReview(models.Model):
    """A submission of a listing and what staff decided about it.

    Never edited while open: what staff approve is exactly what they were shown.
    """

    public_id = PublicIdField(prefix="rev")
    service = models.ForeignKey(Service, on_delete=models.PROTECT, related_name="reviews")
    submitted_by_label = models.CharField(max_length=254)
    submitted_at = models.DateTimeField(default=utc_now)
    # The listing as submitted (never the credential), to be compared with the last approved one.
    # For a live service it holds changes that are not in force yet; approval applies them.
    snapshot = models.JSONField(default=dict)
    # Changes that a live service waits for; none for a first listing.
    changed_fields = models.JSONField(default=list)
    # A new credential that comes into force with the approval; empty: unchanged.
    credential = EncryptedTextField(blank=True)
    decision = models.CharField(max_length=20, choices=ReviewDecision, blank=True)
    decided_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    note = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["service"], condition=Q(decision=""), name="one_open_review_per_service"
            ),
            models.CheckConstraint(
                condition=Q(decision="", decided_at__isnull=True)
                | (~Q(decision="") & Q(decided_at__isnull=False)),
                name="decided_review_has_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.service} ({self.decision or 'open'})"
