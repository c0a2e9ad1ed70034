"""Automatic top-up: the saved card, and what its organisation has agreed to, word by word."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.models import Organisation, User
from marketplace.billing.models.packs import Pack
from portal.kernel.clock import utc_now
from portal.kernel.public_ids import PublicIdField


class SavedCard(models.Model):
    """One visit to the provider's page for cards, and the card that was saved there.

    asked → saved → removed; a visit that came to nothing is removed without ever being saved.
    """

    public_id = PublicIdField(prefix="crd")
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="cards")
    provider = models.CharField(max_length=20)
    # The organisation at the provider: the same for all its cards there.
    customer_id = models.CharField(max_length=120)
    visit_id = models.CharField(max_length=120, null=True, unique=True)
    card_id = models.CharField(max_length=120, blank=True)
    brand = models.CharField(max_length=40, blank=True)
    last4 = models.CharField(max_length=4, blank=True)
    expires_year = models.PositiveSmallIntegerField(null=True, blank=True)
    expires_month = models.PositiveSmallIntegerField(null=True, blank=True)
    asked_by = models.ForeignKey(User, on_delete=models.PROTECT)
    asked_at = models.DateTimeField(default=utc_now)
    saved_at = models.DateTimeField(null=True, blank=True)
    removed_at = models.DateTimeField(null=True, blank=True)
    # When the provider was told; later than removed_at if it could not be reached.
    forgotten_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation"],
                condition=Q(saved_at__isnull=False, removed_at__isnull=True),
                name="one_saved_card_each",
            ),
            models.CheckConstraint(
                condition=Q(saved_at__isnull=True) | ~Q(card_id=""), name="saved_card_has_id"
            ),
        ]

    def __str__(self) -> str:
        return self.label or self.public_id

    @property
    def label(self) -> str:
        """ "Visa •••• 4242"; "" until a card is saved."""
        return f"{self.brand} •••• {self.last4}" if self.last4 else ""


class RuleEnd(models.TextChoices):
    """Why a rule no longer tops up."""

    REPLACED = "replaced", _("replaced by another agreement")
    SWITCHED_OFF = "switched_off", _("switched off")
    CARD_REMOVED = "card_removed", _("the card was removed")
    OFFER_CHANGED = "offer_changed", _("the price or the terms of the pack changed")
    FAILURES = "failures", _("three payments in a row failed")


class TopUpRule(models.Model):
    """A consent and its terms. They never change: whoever wants others agrees anew."""

    public_id = PublicIdField(prefix="tur")
    organisation = models.ForeignKey(
        Organisation, on_delete=models.PROTECT, related_name="top_up_rules"
    )
    card = models.ForeignKey(SavedCard, on_delete=models.PROTECT, related_name="rules")
    # Buy when the general wallet has fewer free tokens than this.
    threshold_millitokens = models.BigIntegerField()
    pack = models.ForeignKey(Pack, on_delete=models.PROTECT)
    quantity = models.PositiveSmallIntegerField(default=1)
    currency = models.CharField(max_length=3)
    # The offer that was agreed to: its price, and the digest of all its terms.
    amount_minor = models.PositiveBigIntegerField()
    terms = models.CharField(max_length=64)
    # The most that is charged in one calendar month of the zone that the consent names, wherever
    # the organisation moves later.
    cap_minor = models.PositiveBigIntegerField()
    timezone = models.CharField(max_length=64)
    consent_text = models.TextField()
    agreed_by = models.ForeignKey(User, on_delete=models.PROTECT)
    agreed_at = models.DateTimeField(default=utc_now)
    ended_at = models.DateTimeField(null=True, blank=True)
    end_reason = models.CharField(max_length=20, choices=RuleEnd, blank=True)
    # Whose turn it is: one worker at a time, and the next one when that has died.
    leased_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation"],
                condition=Q(ended_at__isnull=True),
                name="one_top_up_rule_each",
            ),
            models.CheckConstraint(
                condition=Q(
                    threshold_millitokens__gt=0,
                    amount_minor__gt=0,
                    quantity__gte=1,
                    cap_minor__gte=models.F("amount_minor"),
                ),
                name="top_up_rule_sound",
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True, end_reason="")
                | Q(ended_at__isnull=False, end_reason__in=RuleEnd.values),
                name="ended_rule_says_why",
            ),
        ]

    def __str__(self) -> str:
        return self.public_id
