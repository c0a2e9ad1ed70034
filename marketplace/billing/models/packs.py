"""What is sold: packs and their prices. Tokens are millitokens, money minor units."""

from django.db import models
from django.db.models import Q

from marketplace.billing.currencies import validate_sale_currency
from marketplace.catalog.models import in_reader_language
from portal.kernel.public_ids import PublicIdField


class Pack(models.Model):
    """A product: paid and bonus tokens, an expiry, a scope, prices in several currencies."""

    public_id = PublicIdField(prefix="pck")
    slug = models.SlugField(max_length=60, unique=True)
    name_en = models.CharField(max_length=80)
    name_zh = models.CharField(max_length=80, blank=True)
    summary_en = models.CharField(max_length=200, blank=True)
    summary_zh = models.CharField(max_length=200, blank=True)
    paid_millitokens = models.BigIntegerField()
    bonus_millitokens = models.BigIntegerField(default=0)
    # What the paid tokens are worth to the books in millitokens, whatever the sale currency:
    # paid minus the pack's discount (see docs/money.md).
    tariff_millitokens = models.BigIntegerField()
    expires_after_days = models.PositiveIntegerField(null=True, blank=True)
    # "" is everything; else "service:svc_…", "provider:prv_…", "modality:chat".
    scope = models.CharField(max_length=60, blank=True)
    on_sale = models.BooleanField(default=True)
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["position", "id"]
        constraints = [
            models.CheckConstraint(condition=Q(paid_millitokens__gt=0), name="pack_has_tokens"),
            models.CheckConstraint(
                condition=Q(bonus_millitokens__gte=0), name="pack_bonus_not_negative"
            ),
            models.CheckConstraint(
                condition=Q(
                    tariff_millitokens__gt=0,
                    tariff_millitokens__lte=models.F("paid_millitokens"),
                ),
                name="pack_tariff_within_paid",
            ),
        ]

    def __str__(self) -> str:
        return self.name_en

    @property
    def name(self) -> str:
        return in_reader_language(self.name_en, self.name_zh)

    @property
    def summary(self) -> str:
        return in_reader_language(self.summary_en, self.summary_zh)


class PackPrice(models.Model):
    """A pack's price in one sale currency."""

    pack = models.ForeignKey(Pack, on_delete=models.CASCADE, related_name="prices")
    currency = models.CharField(max_length=3, validators=[validate_sale_currency])
    amount_minor = models.PositiveBigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["pack", "currency"], name="one_price_per_currency"),
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="pack_price_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.pack} {self.currency}"
