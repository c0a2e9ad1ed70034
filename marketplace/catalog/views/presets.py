"""Links that change the view of a page and nothing else."""

from dataclasses import dataclass

from marketplace.catalog.listing_query import ListingQuery
from marketplace.catalog.workload import EXAMPLES


@dataclass(frozen=True, slots=True)
class Link:
    """A change of the view: what it is called, and the address it leads to."""

    label: str
    url: str
    current: bool = False


def link_presets(query: ListingQuery, modality: str) -> list[Link]:
    """Everyday work to start from, as addresses of the same view."""
    now = (query.workload.words_in, query.workload.words_out)
    return [
        Link(
            label=str(example.work),
            url=query.with_words_per_call(example.words_in, example.words_out).address(),
            current=now == (example.words_in, example.words_out),
        )
        for example in EXAMPLES[modality]
    ]
