"""What calls cost, from when on."""

from datetime import datetime
from typing import Self

from django.db import models
from django.db.models import Q

from accounts.models import User
from marketplace.catalog.models.services import Service
from marketplace.catalog.pricing import PriceSnapshot
from portal.kernel.clock import utc_now
from portal.kernel.public_ids import PublicIdField


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
