"""Providers, models, services and their prices; the review of listings."""

from datetime import datetime
from typing import Self

from django.db import models
from django.db.models import Q
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from accounts.models import Organisation, User
from marketplace.catalog.pricing import PriceSnapshot
from portal.kernel.clock import utc_now
from portal.kernel.encryption import EncryptedTextField
from portal.kernel.public_ids import PublicIdField


def in_reader_language(english: str, chinese: str) -> str:
    """The text in the reader's language, else the one there is."""
    if (get_language() or "en").startswith("zh"):
        return chinese or english
    return english or chinese


class Provider(models.Model):
    """An organisation that offers services."""

    public_id = PublicIdField(prefix="prv")
    organisation = models.OneToOneField(
        Organisation, on_delete=models.PROTECT, related_name="provider"
    )
    slug = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=120)
    summary_en = models.TextField(blank=True)
    summary_zh = models.TextField(blank=True)
    website = models.URLField(blank=True)
    country = models.CharField(max_length=2, blank=True)
    commission_basis_points = models.PositiveIntegerField(default=1000)
    is_sample = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=utc_now)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(commission_basis_points__lte=10_000), name="commission_at_most_all"
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def summary(self) -> str:
        return in_reader_language(self.summary_en, self.summary_zh)


class Modality(models.TextChoices):
    """What a model is called for."""

    CHAT = "chat", _("Chat")
    EMBEDDING = "embedding", _("Embeddings")


class AIModel(models.Model):
    """A set of published weights, whoever serves it."""

    public_id = PublicIdField(prefix="mdl")
    # What callers name in ``model``: "qwen/qwen3-8b".
    handle = models.CharField(max_length=120, unique=True)
    slug = models.SlugField(max_length=120, unique=True)
    name = models.CharField(max_length=120)
    family = models.CharField(max_length=60, db_index=True)
    author = models.CharField(max_length=80)
    modality = models.CharField(max_length=10, choices=Modality)
    # JSON lists of codes: ["text", "image"].
    input_modalities = models.JSONField(default=list)
    output_modalities = models.JSONField(default=list)
    context_length = models.PositiveIntegerField()
    parameters_millions = models.PositiveIntegerField(null=True, blank=True)
    licence_spdx = models.CharField(max_length=60)
    licence_url = models.URLField(blank=True)
    languages = models.JSONField(default=list)  # BCP 47 codes
    tasks = models.JSONField(default=list)  # see catalog.vocabulary
    industries = models.JSONField(default=list)
    tokenizer = models.CharField(max_length=60, blank=True)
    summary_en = models.TextField(blank=True)
    summary_zh = models.TextField(blank=True)
    released_on = models.DateField(null=True, blank=True)

    def __str__(self) -> str:
        return self.name

    @property
    def summary(self) -> str:
        return in_reader_language(self.summary_en, self.summary_zh)


class ServiceStatus(models.TextChoices):
    """The life of a listing."""

    DRAFT = "draft", _("Draft")
    IN_REVIEW = "in_review", _("In review")
    LIVE = "live", _("Live")
    PAUSED = "paused", _("Paused")
    RETIRED = "retired", _("Retired")


class CutStreamBilling(models.TextChoices):
    """What the provider bills when a client leaves in the middle of a stream."""

    FULL = "full", _("the whole answer")
    DELIVERED = "delivered", _("what was delivered")
    NOTHING = "nothing", _("nothing")


class ServiceQuerySet(models.QuerySet["Service"]):
    """The vocabulary of listings."""

    def public(self) -> Self:
        """What visitors see: live, or paused (shown as such)."""
        return self.filter(status__in=[ServiceStatus.LIVE, ServiceStatus.PAUSED], test=False)

    def callable(self) -> Self:
        """What the gateway may send a call to; a live service may still lack an endpoint."""
        return self.filter(status=ServiceStatus.LIVE)


class Service(models.Model):
    """One model offered by one provider: an endpoint, its terms and its prices."""

    public_id = PublicIdField(prefix="svc")
    provider = models.ForeignKey(Provider, on_delete=models.PROTECT, related_name="services")
    model = models.ForeignKey(AIModel, on_delete=models.PROTECT, related_name="services")
    # What callers name in ``model`` to get exactly this one: "qwen/qwen3-8b@provider".
    handle = models.CharField(max_length=200, unique=True)
    slug = models.SlugField(max_length=200, unique=True)
    status = models.CharField(max_length=10, choices=ServiceStatus, default=ServiceStatus.DRAFT)
    # Test services serve test keys only and spend test tokens only.
    test = models.BooleanField(default=False)
    region = models.CharField(max_length=40)  # "eu-central", shown with the country
    country = models.CharField(max_length=2)
    quantisation = models.CharField(max_length=20, default="unknown")
    context_length = models.PositiveIntegerField()
    max_output_tokens = models.PositiveIntegerField(default=4096)
    # Empty: not connected; calls are answered 503 ``service_not_connected``.
    endpoint_url = models.URLField(blank=True, max_length=300)
    upstream_model = models.CharField(max_length=120, blank=True)
    credential = EncryptedTextField(blank=True)
    supported_parameters = models.JSONField(default=list)
    cut_stream_billing = models.CharField(
        max_length=10, choices=CutStreamBilling, default=CutStreamBilling.DELIVERED
    )
    retains_prompts_days = models.PositiveIntegerField(default=0)
    trains_on_data = models.BooleanField(default=False)
    summary_en = models.TextField(blank=True)
    summary_zh = models.TextField(blank=True)
    # A listing of a well-known model for show, "sample listing, not connected".
    is_sample = models.BooleanField(default=False)
    # Lower-cased words and character bigrams of everything searchable, see catalog.search.
    search_text = models.TextField(blank=True, editable=False)
    created_at = models.DateTimeField(default=utc_now)
    went_live_at = models.DateTimeField(null=True, blank=True)

    objects = ServiceQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=ServiceStatus.values), name="service_status_known"
            )
        ]

    def __str__(self) -> str:
        return self.handle

    @property
    def summary(self) -> str:
        return in_reader_language(self.summary_en, self.summary_zh) or self.model.summary

    @property
    def is_connected(self) -> bool:
        return bool(self.endpoint_url)

    @property
    def unit(self) -> str:
        """The ledger unit that calls of this service are charged in."""
        return "test" if self.test else "live"


class PriceVersionQuerySet(models.QuerySet["PriceVersion"]):
    """The vocabulary of prices."""

    def in_force(self, *, now: datetime) -> Self:
        """Already effective, the newest first."""
        return self.filter(effective_at__lte=now).order_by("-effective_at", "-number")


class PriceVersion(models.Model):
    """A service's prices from one moment on. Immutable: triggers refuse changes.

    Prices are millitokens per model token: 800 is "0.80 per 1M tokens" at list price.
    """

    public_id = PublicIdField(prefix="prc")
    service = models.ForeignKey(Service, on_delete=models.PROTECT, related_name="price_versions")
    number = models.PositiveIntegerField()
    effective_at = models.DateTimeField()
    input_millitokens = models.PositiveBigIntegerField()
    cached_input_millitokens = models.PositiveBigIntegerField()
    output_millitokens = models.PositiveBigIntegerField(default=0)
    request_millitokens = models.PositiveBigIntegerField(default=0)
    created_at = models.DateTimeField(default=utc_now)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True)

    objects = PriceVersionQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["service", "number"], name="price_version_numbered"),
            models.CheckConstraint(
                condition=Q(cached_input_millitokens__lte=models.F("input_millitokens")),
                name="cached_input_never_dearer",
            ),
        ]
        indexes = [models.Index(fields=["service", "-effective_at"], name="price_in_force")]

    def __str__(self) -> str:
        return f"{self.service} v{self.number}"

    @property
    def snapshot(self) -> PriceSnapshot:
        return PriceSnapshot(
            price_version_pk=self.pk,
            public_id=self.public_id,
            input_millitokens=self.input_millitokens,
            cached_input_millitokens=self.cached_input_millitokens,
            output_millitokens=self.output_millitokens,
            request_millitokens=self.request_millitokens,
        )


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


# Triggers refuse UPDATE, DELETE and TRUNCATE; see portal.kernel.immutability.
IMMUTABLE_TABLES: tuple[str, ...] = ("catalog_priceversion",)
