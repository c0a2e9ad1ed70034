"""What the address of the service list says: search, filters, sort, workload.

Whatever does not make sense is left out rather than refused: an address is typed, shared and
shortened by people. The same query always gives the same address.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urlencode

from django.http import QueryDict
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from marketplace.catalog.search import MAX_QUERY_CHARACTERS
from marketplace.catalog.workload import DEFAULT_WORKLOAD, MOST_CALLS, MOST_WORDS, Workload

FACET_KEYS = (
    "modality",
    "task",
    "ready",
    "provider",
    "region",
    "licence",
    "data",
    "price",
    "context",
    "quantisation",
    "industry",
)
SORTS: dict[str, str | Promise] = {
    "": _("Recommended"),
    "cost": _("Your cost"),
    "price": _("Price"),
    "context": _("Context"),
    "newest": _("Newest"),
    "name": _("Name"),
}
MAX_CHOICES = 30


@dataclass(frozen=True, slots=True)
class ListingQuery:
    """A view of the list. ``chosen`` maps facets to the values chosen, in the order chosen."""

    words: str = ""
    chosen: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sort: str = ""
    workload: Workload = DEFAULT_WORKLOAD

    @classmethod
    def from_params(cls, params: QueryDict) -> "ListingQuery":
        """Read an address."""
        sort = params.get("sort", "")
        chosen = {
            key: tuple(dict.fromkeys(v[:80] for v in params.getlist(key) if v))[:MAX_CHOICES]
            for key in FACET_KEYS
        }
        return cls(
            words=" ".join(params.get("q", "").replace("\x00", "").split())[:MAX_QUERY_CHARACTERS],
            chosen={key: values for key, values in chosen.items() if values},
            sort=sort if sort in SORTS else "",
            workload=workload_from(params),
        )

    @property
    def is_filtered(self) -> bool:
        return bool(self.words or self.chosen)

    def sorted_by(self, sort: str) -> "ListingQuery":
        return replace(self, sort=sort)

    def without(self, key: str, value: str) -> "ListingQuery":
        """The same view without one chosen value."""
        kept = tuple(v for v in self.chosen.get(key, ()) if v != value)
        chosen = {k: v for k, v in self.chosen.items() if k != key}
        return replace(self, chosen={**chosen, key: kept} if kept else chosen)

    def with_words_per_call(self, words_in: int, words_out: int) -> "ListingQuery":
        """The same view for other work, as often as before."""
        return replace(
            self, workload=replace(self.workload, words_in=words_in, words_out=words_out)
        )

    def without_words(self) -> "ListingQuery":
        return replace(self, words="")

    def unfiltered(self) -> "ListingQuery":
        """The whole list, in the same order and for the same workload."""
        return replace(self, words="", chosen={})

    def address(self) -> str:
        """``?q=…&task=…``, without what is by default; "." for the plain list."""
        pairs: list[tuple[str, str | int]] = [("q", self.words)] if self.words else []
        pairs += [(key, value) for key in FACET_KEYS for value in self.chosen.get(key, ())]
        if self.sort:
            pairs.append(("sort", self.sort))
        if self.workload != DEFAULT_WORKLOAD:
            pairs += workload_pairs(self.workload)
        return f"?{urlencode(pairs)}" if pairs else "."


def workload_from(params: QueryDict) -> Workload:
    """The buyer's figures; each that is missing or no number is the example's."""
    return Workload(
        calls=_whole(params.get("calls"), DEFAULT_WORKLOAD.calls, MOST_CALLS),
        words_in=_whole(params.get("words_in"), DEFAULT_WORKLOAD.words_in, MOST_WORDS),
        words_out=_whole(params.get("words_out"), DEFAULT_WORKLOAD.words_out, MOST_WORDS),
    )


def workload_pairs(workload: Workload) -> list[tuple[str, str | int]]:
    return [
        ("calls", workload.calls),
        ("words_in", workload.words_in),
        ("words_out", workload.words_out),
    ]


def _whole(text: str | None, default: int, most: int) -> int:
    digits = (text or "").replace(",", "").replace(" ", "")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 12:
        return default
    return min(int(digits), most)
