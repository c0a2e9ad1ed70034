"""People and the organisations they belong to."""

from datetime import datetime
from typing import Any, ClassVar

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from portal.kernel.clock import utc_now
from portal.kernel.public_ids import PublicIdField
from portal.kernel.quantities import MILLITOKENS_PER_TOKEN


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
    name = models.CharField(pgettext_lazy("person", "name"), max_length=120, blank=True)
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


# Also what a process of before the column writes into it while the new one is being brought in.
NO_POLICY = models.Value({}, models.JSONField())


class Organisation(models.Model):
    """A company: the tenant, owner of wallets and keys; a provider is one too."""

    public_id = PublicIdField(prefix="org")
    name = models.CharField(_("company"), max_length=120)
    slug = models.SlugField(max_length=60, unique=True)
    legal_name = models.CharField(_("legal name"), max_length=200, blank=True)
    address = models.TextField(_("address"), max_length=400, blank=True, default="", db_default="")
    tax_id = models.CharField(_("tax id"), max_length=40, blank=True)
    country = models.CharField(_("country"), max_length=2, blank=True)
    timezone = models.CharField(_("time zone"), max_length=64, default="UTC")
    billing_email = models.EmailField(_("billing e-mail"), blank=True)
    # Below this its owners and billing are warned; null for LOW_BALANCE_TOKENS, 0 for never.
    low_balance_tokens = models.PositiveBigIntegerField(
        _("warn below so many tokens"), null=True, blank=True
    )
    # Whether its members need a second factor to come in.
    two_factor_required = models.BooleanField(_("two-factor sign-in required"), default=False)
    # What calls may go to, as services.policies stores it.
    policy = models.JSONField(default=dict, db_default=NO_POLICY, blank=True)
    # Set when the first owner proved their e-mail address.
    verified_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=utc_now)
    members = models.ManyToManyField(User, through="Membership", related_name="organisations")

    def __str__(self) -> str:
        return self.name

    @property
    def low_balance_millitokens(self) -> int:
        """Fewer than this are a low balance."""
        own = self.low_balance_tokens
        tokens = settings.LOW_BALANCE_TOKENS if own is None else own
        return tokens * MILLITOKENS_PER_TOKEN


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
