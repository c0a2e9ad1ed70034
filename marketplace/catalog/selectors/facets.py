"""Filters with counts: how many services each choice would show, given all the other filters.

Within a facet choices widen ("Germany or France"), across facets they narrow.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.conf import settings
from django.utils.functional import Promise
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_lazy as _

from marketplace.catalog import vocabulary
from marketplace.catalog.pricing import TYPICAL_TOKENS
from marketplace.catalog.selectors.public_rows import PublicRow
from portal.kernel.quantities import format_price

# Ceilings on the typical price, in the tariff currency per 1M tokens.
PRICE_CEILINGS = {text: Decimal(text) for text in ("0.1", "0.3", "1", "3")}
CONTEXT_FLOORS = {"8K": 8_000, "32K": 32_000, "128K": 128_000, "256K": 256_000, "1M": 1_000_000}

Label = str | Promise


@dataclass(frozen=True, slots=True)
class FacetSpec:
    """How a facet reads a row.

    ``label_of`` words a value, given a row that has it (None when no row has). ``single``: the
    choices include one another (up to $1 holds up to $0.10), so only one makes sense.
    """

    key: str
    label: Label
    values: Callable[[PublicRow], Collection[str]]
    label_of: Callable[[str, PublicRow | None], str]
    order: Sequence[str] = ()
    single: bool = False
    hint: Label = ""


@dataclass(frozen=True, slots=True)
class Option:
    """A choice and the services it would show."""

    value: str
    label: str
    count: int
    selected: bool


@dataclass(frozen=True, slots=True)
class Facet:
    """A facet as the page shows it; a choice without services is left out unless it is chosen."""

    name: str
    label: str
    hint: str
    single: bool
    options: list[Option]

    @property
    def chosen(self) -> list[Option]:
        return [option for option in self.options if option.selected]


def filter_and_count(
    rows: Iterable[PublicRow], chosen: Mapping[str, Sequence[str]]
) -> tuple[list[PublicRow], list[Facet]]:
    """The rows that pass every chosen facet, and all facets with their counts.

    A row that fails only one facet still counts there: choosing it as well would show it.
    """
    wanted = {key: frozenset(values) for key, values in chosen.items()}
    counts: dict[str, Counter[str]] = {spec.key: Counter() for spec in FACETS}
    examples: dict[tuple[str, str], PublicRow] = {}
    passing = []
    for row in rows:
        values = {spec.key: spec.values(row) for spec in FACETS}
        failed = [key for key, choices in wanted.items() if choices.isdisjoint(values[key])]
        if not failed:
            passing.append(row)
        for key in counts if not failed else failed if len(failed) == 1 else ():
            counts[key].update(values[key])
            for value in values[key]:
                examples.setdefault((key, value), row)
    facets = [_facet(spec, counts[spec.key], examples, chosen.get(spec.key, ())) for spec in FACETS]
    return passing, facets


def _facet(
    spec: FacetSpec,
    counts: Counter[str],
    examples: Mapping[tuple[str, str], PublicRow],
    chosen: Sequence[str],
) -> Facet:
    found = [value for value, _count in counts.most_common()]
    known = [value for value in spec.order if value in counts or value in chosen]
    others = sorted(
        (value for value in {*found, *chosen} if value not in spec.order),
        key=lambda value: (-counts[value], value),
    )
    options = [
        Option(
            value=value,
            label=spec.label_of(value, examples.get((spec.key, value))),
            count=counts[value],
            selected=value in chosen,
        )
        for value in (*known, *others)
    ]
    return Facet(spec.key, str(spec.label), str(spec.hint), spec.single, options)


def _term_label(
    terms: Mapping[str, vocabulary.Term],
) -> Callable[[str, PublicRow | None], str]:
    return lambda value, row: vocabulary.label_of(terms, value)


def _provider_label(value: str, row: PublicRow | None) -> str:
    return row.provider_name if row else value


def _licence_label(value: str, row: PublicRow | None) -> str:
    licence = vocabulary.get_licence(value)
    return licence.name if licence else value


def _ready_label(value: str, row: PublicRow | None) -> str:
    return gettext("Ready to call") if value == "yes" else gettext("Sample or paused")


def _data_label(value: str, row: PublicRow | None) -> str:
    return gettext("Keeps no prompts, trains on none") if value == "none" else value


def _price_label(value: str, row: PublicRow | None) -> str:
    if value not in PRICE_CEILINGS:
        return value
    text = format_price(
        PRICE_CEILINGS[value], settings.TARIFF_CURRENCY, get_language() or settings.LANGUAGE_CODE
    )
    return gettext("Up to %(price)s") % {"price": text}


def _context_label(value: str, row: PublicRow | None) -> str:
    return gettext("At least %(tokens)s") % {"tokens": value}


def _price_values(row: PublicRow) -> list[str]:
    per_million = Decimal(row.typical_cost).scaleb(-3) / TYPICAL_TOKENS
    return [value for value, most in PRICE_CEILINGS.items() if per_million <= most]


def _context_values(row: PublicRow) -> list[str]:
    return [value for value, least in CONTEXT_FLOORS.items() if row.context_length >= least]


FACETS: tuple[FacetSpec, ...] = (
    FacetSpec(
        "modality",
        _("Kind"),
        lambda row: (row.modality,),
        _term_label(vocabulary.MODALITIES),
        order=tuple(vocabulary.MODALITIES),
    ),
    FacetSpec(
        "task",
        _("Task"),
        lambda row: row.tasks,
        _term_label(vocabulary.TASKS),
        order=tuple(vocabulary.TASKS),
    ),
    FacetSpec(
        "ready",
        _("Availability"),
        lambda row: ("yes" if row.is_ready else "no",),
        _ready_label,
        order=("yes", "no"),
    ),
    FacetSpec("provider", _("Provider"), lambda row: (row.provider_slug,), _provider_label),
    FacetSpec(
        "region",
        _("Region"),
        lambda row: (row.region,),
        _term_label(vocabulary.REGIONS),
        order=tuple(vocabulary.REGIONS),
    ),
    FacetSpec("licence", _("Licence"), lambda row: (row.licence,), _licence_label),
    FacetSpec(
        "data",
        _("Data handling"),
        lambda row: ("none",) if row.keeps_no_data else (),
        _data_label,
        order=("none",),
    ),
    FacetSpec(
        "price",
        _("Price per 1M tokens"),
        _price_values,
        _price_label,
        order=tuple(PRICE_CEILINGS),
        single=True,
        hint=_("Three parts input, one part output."),
    ),
    FacetSpec(
        "context",
        _("Context"),
        _context_values,
        _context_label,
        order=tuple(CONTEXT_FLOORS),
        single=True,
        hint=_("Tokens that one call can hold."),
    ),
    FacetSpec(
        "quantisation",
        _("Quantisation"),
        lambda row: (row.quantisation,),
        _term_label(vocabulary.QUANTISATIONS),
        order=tuple(vocabulary.QUANTISATIONS),
    ),
    FacetSpec(
        "industry",
        _("Industry"),
        lambda row: row.industries,
        _term_label(vocabulary.INDUSTRIES),
        order=tuple(vocabulary.INDUSTRIES),
    ),
)
