"""The audit log."""

from django.db import models

from accounts.models.people import Organisation
from portal.kernel.clock import utc_now
from portal.kernel.public_ids import PublicIdField


class AuditEvent(models.Model):
    """Who did what, from where. Append-only: triggers refuse changes on both databases."""

    public_id = PublicIdField(prefix="aud")
    # Null for what concerns no single organisation (the operator's own doings).
    organisation = models.ForeignKey(
        Organisation, on_delete=models.PROTECT, null=True, related_name="audit_events"
    )
    # Public id of a user or key, or "system"; the label is as it was then.
    actor_id = models.CharField(max_length=40)
    actor_label = models.CharField(max_length=254)
    action = models.CharField(max_length=60)
    target_id = models.CharField(max_length=80, blank=True)
    target_label = models.CharField(max_length=254, blank=True)
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    address = models.GenericIPAddressField(null=True)
    request_id = models.CharField(max_length=64, blank=True)
    recorded_at = models.DateTimeField(default=utc_now)

    class Meta:
        indexes = [models.Index(fields=["organisation", "-recorded_at"], name="audit_by_tenant")]

    def __str__(self) -> str:
        return f"{self.action} by {self.actor_label}"
