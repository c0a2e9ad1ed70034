"""Listings: one model, one provider, their terms."""

from typing import Self

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from marketplace.catalog import vocabulary
from marketplace.catalog.models.ai_models import AIModel
from marketplace.catalog.models.providers import Provider
from marketplace.catalog.models.texts import in_reader_language
from portal.kernel.clock import utc_now
from portal.kernel.encryption import EncryptedTextField
from portal.kernel.public_ids import PublicIdField

# More than any service does; a mistyped number is more likely.
MOST_PER_MINUTE = 1_000_000_000


class ServiceStatus(models.TextChoices):
    """The life of a listing."""

    DRAFT = "draft", _("Draft")
    IN_REVIEW = "in_review", _("In review")
    LIVE = "live", pgettext_lazy("service", "Live")
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
    # What it takes per minute from all callers together; null: it does not say.
    requests_per_minute = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(MOST_PER_MINUTE)]
    )
    tokens_per_minute = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(MOST_PER_MINUTE)]
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
            ),
            models.CheckConstraint(
                condition=Q(requests_per_minute__isnull=True) | Q(requests_per_minute__gt=0),
                name="service_requests_limit_positive",
            ),
            models.CheckConstraint(
                condition=Q(tokens_per_minute__isnull=True) | Q(tokens_per_minute__gt=0),
                name="service_tokens_limit_positive",
            ),
        ]

    def __str__(self) -> str:
        return self.handle

    @property
    def own_summary(self) -> str:
        """What the provider says of this service besides the model's summary; may be empty."""
        return in_reader_language(self.summary_en, self.summary_zh)

    @property
    def summary(self) -> str:
        return self.own_summary or self.model.summary

    @property
    def is_connected(self) -> bool:
        return bool(self.endpoint_url)

    @property
    def unit(self) -> str:
        """The ledger unit that calls of this service are charged in."""
        return "test" if self.test else "live"

    @property
    def is_ready(self) -> bool:
        """Whether a call would reach an endpoint now."""
        return self.is_connected and self.status == ServiceStatus.LIVE

    @property
    def place(self) -> str:
        """Where it runs: "Germany, Central Europe"; the region alone where it names the country."""
        region = vocabulary.region_label(self.region)
        country = self.country_label
        if country in region:
            return region
        return gettext("%(country)s, %(region)s") % {"country": country, "region": region}

    @property
    def country_label(self) -> str:
        return vocabulary.country_label(self.country)

    @property
    def context_label(self) -> str:
        """The context as the trade writes it: 8K for 8,192, 128K, 1M; the same in any language."""
        return vocabulary.context_label(self.context_length)

    @property
    def quantisation_label(self) -> str:
        return vocabulary.label_of(vocabulary.QUANTISATIONS, self.quantisation)
