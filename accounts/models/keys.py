"""API keys, and the answers that REST remembers for them."""

from datetime import datetime
from typing import Self

from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext_lazy as _

from accounts.models.people import NO_POLICY, Membership, Organisation, User
from portal.kernel.clock import utc_now
from portal.kernel.public_ids import PublicIdField

# What a process of before the column writes into it while the new one is being brought in.
NONE_LISTED = models.Value([], models.JSONField())


class KeyKind(models.TextChoices):
    """Which door a key opens. Test keys reach test services only."""

    LIVE = "live", _("Live")
    TEST = "test", _("Test")
    PROVIDER = "provider", _("Provider")


class CapPeriod(models.TextChoices):
    """The period that a key's cap is counted in, in the organisation's time zone."""

    DAY = "day", _("per day")
    WEEK = "week", _("per week")
    MONTH = "month", _("per month")
    TOTAL = "total", _("in total")


def _holder_is_in() -> Exists:
    return Exists(
        Membership.objects.filter(
            organisation=OuterRef("organisation"), user=OuterRef("created_by"), user__is_active=True
        )
    )


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    """The vocabulary of keys."""

    def usable(self, *, now: datetime) -> Self:
        """Opens doors: not stopped, and its holder is a member who can come in."""
        return self.not_stopped(now=now).filter(_holder_is_in())

    def not_stopped(self, *, now: datetime) -> Self:
        """Neither revoked, nor suspended, nor expired."""
        return self.not_ended(now=now).filter(suspended_at__isnull=True)

    def with_holder_state(self) -> Self:
        """Each with ``holder_is_in``: whether its holder is a member who can come in."""
        return self.annotate(holder_is_in=_holder_is_in())

    def not_ended(self, *, now: datetime) -> Self:
        """Neither revoked nor expired."""
        return self.filter(
            Q(expires_at__isnull=True) | Q(expires_at__gt=now), revoked_at__isnull=True
        )

    def ended(self, *, now: datetime) -> Self:
        """Revoked or expired: of no use any more."""
        return self.filter(Q(revoked_at__isnull=False) | Q(expires_at__lte=now))


class ApiKey(models.Model):
    """A credential ``tw_live_…``, ``tw_test_…`` or ``tw_provider_…``; the secret is not kept."""

    public_id = PublicIdField(prefix="key")
    organisation = models.ForeignKey(
        Organisation, on_delete=models.PROTECT, related_name="api_keys"
    )
    # Its holder: who made it, or was handed it when that person went.
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="api_keys")
    kind = models.CharField(max_length=10, choices=KeyKind, default=KeyKind.LIVE)
    name = models.CharField(_("name"), max_length=80)
    # Shown in lists and looked up by: kind and the first characters of the secret.
    prefix = models.CharField(max_length=32, unique=True)
    # SHA-256 of the whole key; it has 256 bits of randomness, so no slow hash is needed.
    digest = models.CharField(max_length=64, unique=True)
    scopes = models.JSONField(default=list)
    cap_millitokens = models.BigIntegerField(null=True, blank=True)
    cap_period = models.CharField(max_length=5, choices=CapPeriod, default=CapPeriod.MONTH)
    # What the cap is counted under: the public id of the first key in a line of rotations, so
    # that rotating does not start a fresh count.
    cap_subject = models.CharField(max_length=40)
    # Public ids of services; empty means all.
    allowed_services = models.JSONField(default=list, blank=True)
    # As services.policies stores it; applies beside the organisation's.
    policy = models.JSONField(default=dict, db_default=NO_POLICY, blank=True)
    # How fast calls may come; null leaves it to the site's setting.
    requests_per_minute = models.PositiveIntegerField(null=True, blank=True)
    tokens_per_minute = models.PositiveIntegerField(null=True, blank=True)
    # Networks in CIDR that it may be used from (empty means all), and origins of web pages that
    # browsers may use it from (empty means none).
    allowed_networks = models.JSONField(default=list, db_default=NONE_LISTED, blank=True)
    allowed_origins = models.JSONField(default=list, db_default=NONE_LISTED, blank=True)
    created_at = models.DateTimeField(default=utc_now)
    expires_at = models.DateTimeField(null=True, blank=True)
    suspended_at = models.DateTimeField(null=True, blank=True)
    # Null when the system did it: then, as when an owner did, only owners resume the key.
    suspended_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    revoked_at = models.DateTimeField(null=True, blank=True)
    rotated_to = models.OneToOneField(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="rotated_from"
    )
    last_used_at = models.DateTimeField(null=True, blank=True)

    holder_is_in: bool  # where ``with_holder_state`` was asked for

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(cap_millitokens__isnull=True) | Q(cap_millitokens__gte=0),
                name="api_key_cap_not_negative",
            ),
            models.CheckConstraint(condition=Q(kind__in=KeyKind.values), name="api_key_kind_known"),
            models.CheckConstraint(
                condition=Q(requests_per_minute__isnull=True) | Q(requests_per_minute__gt=0),
                name="api_key_requests_limit_positive",
            ),
            models.CheckConstraint(
                condition=Q(tokens_per_minute__isnull=True) | Q(tokens_per_minute__gt=0),
                name="api_key_tokens_limit_positive",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    def status(self, *, now: datetime) -> str:
        """``revoked``, ``expired``, ``suspended``, ``rotated`` (within the grace) or ``active``."""
        if self.revoked_at:
            return "revoked"
        if self.expires_at and self.expires_at <= now:
            return "expired"
        if self.suspended_at:
            return "suspended"
        return "rotated" if self.rotated_to_id else "active"


class RememberedAnswer(models.Model):
    """The answer to a REST write under an ``Idempotency-Key``, for repeating it unchanged."""

    api_key = models.ForeignKey(ApiKey, on_delete=models.CASCADE)
    idempotency_key = models.CharField(max_length=200)
    request_hash = models.CharField(max_length=64)
    # Null while the first request still runs.
    status = models.PositiveSmallIntegerField(null=True)
    body = models.JSONField(null=True)
    created_at = models.DateTimeField(default=utc_now, db_index=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["api_key", "idempotency_key"], name="one_answer_per_idempotency_key"
            )
        ]

    def __str__(self) -> str:
        return self.idempotency_key
