"""The parts of a paper. All texts are final: in the reader's language, amounts with currency."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.translation import gettext

from marketplace.catalog import vocabulary


@dataclass(frozen=True, slots=True)
class Party:
    """Who issues or receives a paper; ``lines`` are what stands below the name."""

    title: str
    name: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table: its label with smaller lines below, then one figure per further column."""

    label: str
    figures: tuple[str, ...]
    details: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """The first column holds labels, the others figures; ``totals`` close it, the last in bold."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    totals: tuple[Row, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """One document from top to bottom."""

    heading: str
    seller: Party
    buyer: Party
    facts: tuple[tuple[str, str], ...]
    tables: tuple[Table, ...]
    notes: tuple[str, ...] = ()
    # What must not be overlooked, such as that no money moved.
    warning: str = ""


def describe_party(party: Mapping[str, str], *, title: str) -> Party:
    """From a party as a document keeps it (see ``models.Document.parties``)."""
    name = party["legal_name"] or party["name"]
    lines = [
        party["name"] if party["name"] != name else "",
        *party["address"].splitlines(),
        vocabulary.country_label(party["country"]) if party["country"] else "",
        gettext("Tax id %(number)s") % {"number": party["tax_id"]} if party["tax_id"] else "",
        party["email"],
    ]
    return Party(title, name, tuple(line for line in map(str.strip, lines) if line))
