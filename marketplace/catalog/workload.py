"""What a buyer plans to do, in words and calls, and what it costs at a price.

Buyers count words, models count tokens. Common tokenizers take about four tokens for three
English words; a Chinese character takes one token or less, so counting each as a word overstates
a little. Nothing is charged by this estimate.
"""

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from marketplace.catalog.pricing import PriceSnapshot, charge

TOKENS_PER_THREE_WORDS = 4
MOST_CALLS = 1_000_000_000
MOST_WORDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Workload:
    """Calls a month, and the words that one call sends and receives."""

    calls: int
    words_in: int
    words_out: int

    @property
    def prompt_tokens(self) -> int:
        return tokens_of(self.words_in)

    @property
    def completion_tokens(self) -> int:
        return tokens_of(self.words_out)

    def fits(self, *, context_length: int, modality: str) -> bool:
        """Whether one call fits the context; embeddings answer with numbers, not with words."""
        output = 0 if modality == "embedding" else self.completion_tokens
        return self.prompt_tokens + output <= context_length

    def cost(self, price: PriceSnapshot) -> int:
        """Millitokens a month, without any help from a cache."""
        return self.calls * charge(
            price,
            prompt_tokens=self.prompt_tokens,
            cached_tokens=0,
            completion_tokens=self.completion_tokens,
        )


def tokens_of(words: int) -> int:
    """Model tokens for so many words, rounded up."""
    return -(-words * TOKENS_PER_THREE_WORDS // 3)


@dataclass(frozen=True, slots=True)
class Example:
    """Everyday work that prices are told in; one piece of it is one call of so many words."""

    work: str | Promise
    pieces: str | Promise
    words_in: int
    words_out: int

    def count_for(self, price: PriceSnapshot, *, budget_millitokens: int) -> int | None:
        """How many pieces a budget pays for; None when they cost nothing."""
        cost = Workload(1, self.words_in, self.words_out).cost(price)
        return budget_millitokens // cost if cost else None


EXAMPLES: dict[str, tuple[Example, ...]] = {
    "chat": (
        Example(_("Customer e-mails"), _("customer e-mails answered"), 300, 150),
        Example(_("Summaries"), _("pages summarised"), 500, 80),
        Example(_("Invoices to data"), _("invoices turned into data"), 250, 60),
        Example(_("Product texts"), _("product texts written"), 100, 200),
    ),
    "embedding": (
        Example(_("Search index"), _("pages indexed for search"), 500, 0),
        Example(_("Search questions"), _("search questions"), 12, 0),
    ),
}
# Shown until the buyer enters their own figures.
DEFAULT_WORKLOAD = Workload(calls=10_000, words_in=300, words_out=150)
