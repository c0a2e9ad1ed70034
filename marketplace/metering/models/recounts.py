"""What came of counting calls again with their models' own tokenizers. Counts, never texts."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from marketplace.catalog.models import Service
from marketplace.ledger.models import Transaction
from marketplace.metering.models.calls import Call


class Verdict(models.TextChoices):
    """How the provider's count compares with the market's."""

    AGREES = "agrees", _("The counts agree")
    REVIEW = "review", _("The counts differ a little")
    DISPUTED = "disputed", _("The provider counted too much")
    UNCOUNTABLE = "uncountable", _("Could not be counted again")


class RecountReason(models.TextChoices):
    """Why a part was not counted again, or why a difference decides nothing."""

    CALIBRATING = "calibrating", _("The service's usual difference is still being learned.")
    REPORTED_LESS = "reported_less", _("The provider counted less, in your favour.")
    NO_TEMPLATE = "no_template", _("How this model writes a chat into its prompt is not known.")
    TOOLS = "tools", _("The prompt had tools or documents, which each server writes differently.")
    PLAIN_PROMPT = "plain_prompt", _("Of a text to be continued only the answer is compared.")
    MEDIA = "media", _("There was something else than text.")
    TEMPLATE_OPTIONS = "template_options", _("The request changed how the prompt is written.")
    UNUSUAL_CHAT = "unusual_chat", _("The conversation has an unusual order of roles.")
    TOKEN_INPUT = "token_input", _("The request had tokens instead of texts.")
    HIDDEN_REASONING = "hidden_reasoning", _("The model's thoughts were counted and not shown.")
    TOO_LONG = "too_long", _("The text was too long to be counted again.")
    NO_VOCABULARY = "no_vocabulary", _("This model's tokenizer is not installed here.")


class Recount(models.Model):
    """One call's tokens, counted again. Written once with all that followed from it.

    ``*_counted`` are None for a part that could not be counted. ``prompt_offset`` is what the
    service's prompts have beyond the texts, by the calibration of that version (0: none yet).
    """

    call = models.OneToOneField(Call, on_delete=models.PROTECT, related_name="recount")
    service = models.ForeignKey(Service, on_delete=models.PROTECT, related_name="+")
    tokenizer = models.CharField(max_length=30)
    prompt_reported = models.PositiveBigIntegerField()
    prompt_counted = models.PositiveBigIntegerField(null=True)
    prompt_offset = models.IntegerField(default=0)
    calibration_version = models.PositiveIntegerField(default=0)
    completion_reported = models.PositiveBigIntegerField()
    completion_counted = models.PositiveBigIntegerField(null=True)
    verdict = models.CharField(max_length=11, choices=Verdict)
    reason = models.CharField(max_length=20, choices=RecountReason, blank=True)
    # What the tenant got back of the call's charge, and the reversal that did it.
    returned_millitokens = models.BigIntegerField(default=0)
    correction = models.OneToOneField(Transaction, on_delete=models.PROTECT, null=True)
    counted_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(returned_millitokens=0, correction__isnull=True)
                | Q(returned_millitokens__gt=0, correction__isnull=False, verdict="disputed"),
                name="only_disputes_return_tokens",
            ),
        ]
        indexes = [
            # Calibrations are learned from a service's first prompts.
            models.Index(
                fields=["service", "id"],
                condition=Q(prompt_counted__isnull=False),
                name="recounts_of_prompts",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.call_id}: {self.verdict}"

    @property
    def prompt_expected(self) -> int | None:
        """What the provider should have counted, its usual additions included."""
        if self.prompt_counted is None:
            return None
        return max(self.prompt_counted + self.prompt_offset, 0)


class Calibration(models.Model):
    """How many tokens a service's prompts have beyond what the market counts.

    A few come from how its server writes a chat; many mean a system prompt of its own.
    """

    service = models.ForeignKey(Service, on_delete=models.PROTECT, related_name="calibrations")
    version = models.PositiveIntegerField()
    tokenizer = models.CharField(max_length=30)
    prompt_offset = models.IntegerField()
    learned_from = models.PositiveIntegerField()
    learned_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["service", "version"], name="calibrations_numbered"),
        ]

    def __str__(self) -> str:
        return f"{self.service_id} v{self.version}: {self.prompt_offset:+d}"


class RecountTally(models.Model):
    """How many recounts of a service came to which verdict on one day (UTC)."""

    service = models.ForeignKey(Service, on_delete=models.PROTECT, related_name="+")
    day = models.DateField()
    agrees = models.PositiveIntegerField(default=0)
    review = models.PositiveIntegerField(default=0)
    disputed = models.PositiveIntegerField(default=0)
    uncountable = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["service", "day"], name="one_recount_tally_a_day"),
        ]

    def __str__(self) -> str:
        return f"{self.service_id} {self.day}"
