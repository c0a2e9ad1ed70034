"""What is served: published weights and what is known of them."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from marketplace.catalog import vocabulary
from marketplace.catalog.models.texts import in_reader_language
from portal.kernel.public_ids import PublicIdField


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

    @property
    def parameters(self) -> int | None:
        """The number of parameters; None when the author keeps it."""
        return None if self.parameters_millions is None else self.parameters_millions * 1_000_000

    @property
    def context_label(self) -> str:
        return vocabulary.context_label(self.context_length)

    @property
    def licence(self) -> vocabulary.Licence | None:
        """What is known of the licence; None for one outside the vocabulary."""
        return vocabulary.get_licence(self.licence_spdx)

    @property
    def licence_link(self) -> str:
        """Where the licence can be read: the model's own copy, else its usual text."""
        return self.licence_url or (self.licence.url if self.licence else "")

    @property
    def licence_label(self) -> str:
        return self.licence.name if self.licence else self.licence_spdx

    @property
    def task_labels(self) -> list[str]:
        return [vocabulary.label_of(vocabulary.TASKS, code) for code in self.tasks]

    @property
    def industry_labels(self) -> list[str]:
        return [vocabulary.label_of(vocabulary.INDUSTRIES, code) for code in self.industries]

    @property
    def languages_text(self) -> str:
        """The languages in a row, as the reader's language writes a row."""
        return vocabulary.in_a_row([vocabulary.language_label(code) for code in self.languages])
