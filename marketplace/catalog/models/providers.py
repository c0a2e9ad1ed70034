"""Who offers services."""

from django.db import models
from django.db.models import Q

from accounts.models import Organisation
from marketplace.catalog import vocabulary
from marketplace.catalog.models.texts import in_reader_language
from portal.kernel.clock import utc_now
from portal.kernel.public_ids import PublicIdField


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

    @property
    def country_label(self) -> str:
        """The country in the reader's language; empty when it is not known."""
        return vocabulary.country_label(self.country) if self.country else ""
