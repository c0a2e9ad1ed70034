"""The catalogue's closed lists: codes are stored, labels are translated, words are searched."""

from marketplace.catalog.vocabulary.licences import LICENCES, Licence, get_licence
from marketplace.catalog.vocabulary.places import (
    REGIONS,
    country_label,
    in_a_row,
    is_country,
    language_label,
    region_label,
)
from marketplace.catalog.vocabulary.terms import Term, label_of
from marketplace.catalog.vocabulary.uses import (
    INDUSTRIES,
    MODALITIES,
    QUANTISATION_BITS,
    QUANTISATIONS,
    TASKS,
    context_label,
)

__all__ = [
    "INDUSTRIES",
    "LICENCES",
    "MODALITIES",
    "QUANTISATIONS",
    "QUANTISATION_BITS",
    "REGIONS",
    "TASKS",
    "Licence",
    "Term",
    "context_label",
    "country_label",
    "get_licence",
    "in_a_row",
    "is_country",
    "label_of",
    "language_label",
    "region_label",
]
