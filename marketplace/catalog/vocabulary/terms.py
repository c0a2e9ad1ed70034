"""What an entry of a vocabulary is."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.functional import Promise


@dataclass(frozen=True, slots=True)
class Term:
    """A code that is stored, its label, and the words (of both languages) that find it."""

    code: str
    label: str | Promise
    words: str = ""


def by_code(*terms: Term) -> dict[str, Term]:
    """The terms in their order of display."""
    return {term.code: term for term in terms}


def label_of(vocabulary: Mapping[str, Term], code: str) -> str:
    """The label in the reader's language; a code that is no longer known reads as itself."""
    term = vocabulary.get(code)
    return str(term.label) if term else code
