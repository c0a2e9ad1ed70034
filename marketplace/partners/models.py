"""Direct mode: the grants that let a tenant call a provider itself."""

from django.db import models
from django.db.models import Q

from accounts.models import ApiKey, Organisation
from marketplace.catalog.models import Service
from marketplace.metering.models import Call
from portal.kernel.clock import utc_now
from portal.kernel.encryption import EncryptedTextField
from portal.kernel.public_ids import PublicIdField


class SigningKey(models.Model):
    """An Ed25519 key that grants are signed with; the public half is in the JWKS."""

    key_id = PublicIdField(prefix="sig")
    private_pem = EncryptedTextField()
    public_jwk = models.JSONField()
    created_at = models.DateTimeField(default=utc_now)
    retired_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.key_id


class DirectGrant(models.Model):
    """A tenant's leave for one service to hold up to a ceiling from its wallet."""

    public_id = PublicIdField(prefix="grt")  # the token's jti
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT)
    api_key = models.ForeignKey(ApiKey, on_delete=models.PROTECT)
    service = models.ForeignKey(Service, on_delete=models.PROTECT)
    ceiling_millitokens = models.BigIntegerField()
    created_at = models.DateTimeField(default=utc_now)
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(ceiling_millitokens__gt=0), name="grant_ceiling_positive"
            )
        ]

    def __str__(self) -> str:
        return self.public_id


class CappedReport(models.Model):
    """What a provider reported beyond a hold.

    The call was charged up to its hold and no further: the tenant is never overdrawn, and nobody
    owes the rest. The row is what was claimed, for whoever looks into it.
    """

    call = models.OneToOneField(Call, on_delete=models.PROTECT, related_name="capped_report")
    prompt_tokens = models.PositiveBigIntegerField()
    cached_tokens = models.PositiveBigIntegerField()
    completion_tokens = models.PositiveBigIntegerField()
    reported_millitokens = models.BigIntegerField()
    held_millitokens = models.BigIntegerField()
    received_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(reported_millitokens__gt=models.F("held_millitokens")),
                name="capped_report_exceeds_hold",
            )
        ]

    def __str__(self) -> str:
        return f"{self.call_id}: {self.reported_millitokens} of {self.held_millitokens}"


class QuarantinedReport(models.Model):
    """A usage event that was reported again with other content: kept apart, never charged.

    One row per event, with what was said last; the first content is the usage event's own.
    """

    call = models.OneToOneField(Call, on_delete=models.PROTECT, related_name="quarantined_report")
    source = models.CharField(max_length=60)
    event_id = models.CharField(max_length=120)
    hold_id = models.CharField(max_length=80)  # as it was written in the report
    prompt_tokens = models.PositiveBigIntegerField()
    cached_tokens = models.PositiveBigIntegerField()
    completion_tokens = models.PositiveBigIntegerField()
    times = models.PositiveIntegerField(default=1)
    first_received_at = models.DateTimeField()
    last_received_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.source}/{self.event_id}"


class Intake(models.Model):
    """What became of the usage events that a provider reported, counted by the day (UTC).

    ``received`` is counted in a commit of its own before a batch is judged, the rest after it:
    so a batch whose answer was lost shows as received and nothing else.
    """

    source = models.CharField(max_length=60)
    day = models.DateField()
    since = models.DateTimeField()  # when its counting began
    received = models.PositiveBigIntegerField(default=0)
    repeated = models.PositiveBigIntegerField(default=0)
    quarantined = models.PositiveBigIntegerField(default=0)
    rejected = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["source", "day"], name="one_intake_per_source_and_day")
        ]

    def __str__(self) -> str:
        return f"{self.source} {self.day}"
