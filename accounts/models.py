"""People, organisations, memberships, invitations, API keys and the audit log.

Other rooms are referred to by public id only; this room imports none of them.
"""

from datetime import datetime
from typing import Any, ClassVar, Self

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from portal.kernel.clock import utc_now
from portal.kernel.public_ids import PublicIdField


class UserManager(BaseUserManager["User"]):
    """Makes people by e-mail address; there are no user names."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        user = self.model(email=email.strip().lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)


class User(AbstractBaseUser, PermissionsMixin):
    """A person. What they may do comes from their memberships; staff run the market."""

    public_id = PublicIdField(prefix="usr")
    email = models.EmailField(_("e-mail address"), unique=True)
    name = models.CharField(_("name"), max_length=120, blank=True)
    language = models.CharField(max_length=10, default="en")
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    date_joined = models.DateTimeField(default=utc_now)

    objects = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    def __str__(self) -> str:
        return self.name or self.email


class Organisation(models.Model):
    """A company: the tenant, owner of wallets and keys; a provider is one too."""

    public_id = PublicIdField(prefix="org")
    name = models.CharField(_("company"), max_length=120)
    slug = models.SlugField(max_length=60, unique=True)
    legal_name = models.CharField(_("legal name"), max_length=200, blank=True)
    tax_id = models.CharField(_("tax id"), max_length=40, blank=True)
    country = models.CharField(_("country"), max_length=2, blank=True)
    timezone = models.CharField(_("time zone"), max_length=64, default="UTC")
    billing_email = models.EmailField(_("billing e-mail"), blank=True)
    # Whether its members need a second factor to come in.
    two_factor_required = models.BooleanField(_("two-factor sign-in required"), default=False)
    # Set when the first owner proved their e-mail address.
    verified_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=utc_now)
    members = models.ManyToManyField(User, through="Membership", related_name="organisations")

    def __str__(self) -> str:
        return self.name


class Role(models.TextChoices):
    """What a member may do; each role includes the ones below it."""

    OWNER = "owner", _("Owner")
    BILLING = "billing", _("Billing")
    MEMBER = "member", _("Member")

    @property
    def rank(self) -> int:
        """Higher includes lower."""
        return {Role.MEMBER: 0, Role.BILLING: 1, Role.OWNER: 2}[self]


class Membership(models.Model):
    """One person's role in one organisation."""

    organisation = models.ForeignKey(
        Organisation, on_delete=models.CASCADE, related_name="memberships"
    )
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role, default=Role.MEMBER)
    joined_at = models.DateTimeField(default=utc_now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organisation", "user"], name="one_role_per_person"),
            models.CheckConstraint(condition=Q(role__in=Role.values), name="membership_role_known"),
        ]

    def __str__(self) -> str:
        return f"{self.user} · {self.role}"

    def includes(self, role: str) -> bool:
        """Whether this member may do what ``role`` may."""
        return Role(self.role).rank >= Role(role).rank


class Invitation(models.Model):
    """A link sent by e-mail; only the digest of its token is kept."""

    public_id = PublicIdField(prefix="inv")
    organisation = models.ForeignKey(
        Organisation, on_delete=models.CASCADE, related_name="invitations"
    )
    email = models.EmailField()
    role = models.CharField(max_length=10, choices=Role, default=Role.MEMBER)
    token_digest = models.CharField(max_length=64, unique=True)
    invited_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True)
    created_at = models.DateTimeField(default=utc_now)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, blank=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "email"],
                condition=Q(accepted_at__isnull=True, withdrawn_at__isnull=True),
                name="one_open_invitation_per_address",
            )
        ]

    def __str__(self) -> str:
        return f"{self.email} → {self.organisation}"

    def is_open(self, *, now: datetime) -> bool:
        """Whether the link still works."""
        return not self.accepted_at and not self.withdrawn_at and now < self.expires_at


class TrialClaim(models.Model):
    """That an organisation took its trial lot; a company domain or a person can do so once."""

    organisation = models.OneToOneField(Organisation, on_delete=models.PROTECT)
    # Null for addresses at public mail providers, which many companies share.
    email_domain = models.CharField(max_length=253, unique=True, null=True)
    # SHA-256 of the address without its "+tag": one person, one trial, also at public providers.
    address_digest = models.CharField(max_length=64, unique=True, null=True)
    claimed_at = models.DateTimeField(default=utc_now)

    def __str__(self) -> str:
        return f"{self.organisation} ({self.email_domain or '—'})"


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


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    """The vocabulary of keys."""

    def usable(self, *, now: datetime) -> Self:
        """Neither revoked, nor suspended, nor expired."""
        return self.not_ended(now=now).filter(suspended_at__isnull=True)

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
    created_at = models.DateTimeField(default=utc_now)
    expires_at = models.DateTimeField(null=True, blank=True)
    suspended_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    rotated_to = models.OneToOneField(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="rotated_from"
    )
    last_used_at = models.DateTimeField(null=True, blank=True)

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(cap_millitokens__isnull=True) | Q(cap_millitokens__gte=0),
                name="api_key_cap_not_negative",
            ),
            models.CheckConstraint(condition=Q(kind__in=KeyKind.values), name="api_key_kind_known"),
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
