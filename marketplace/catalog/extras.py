"""What public pages show that other rooms know: measured figures and ready-to-paste code.

The catalogue stands below those rooms and imports none of them. ``portal.web`` sets both sources
at start-up; without them the pages show "—" and no code.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured of a service lately. None: not enough calls to say anything, or not asked
    for (the time to the first token, and how many counts of tokens were checked, are known on a
    service's own page only)."""

    first_token_p50_ms: int | None = None
    answer_p50_ms: int | None = None
    answer_p95_ms: int | None = None
    success_basis_points: int | None = None
    counts_checked: int = 0
    counts_agree_basis_points: int | None = None
    prompt_offset: int | None = None

    @property
    def is_empty(self) -> bool:
        return self == NOT_MEASURED


NOT_MEASURED = Figures()

# (primary keys of services, now) → figures by primary key; absent ones are not measured.
FiguresSource = Callable[[Collection[int], datetime], Mapping[int, Figures]]
# (handle to call, modality) → (id, name, code) for each language.
SnippetsSource = Callable[[str, str], Sequence[tuple[str, str, str]]]


@dataclass(slots=True)
class _Sources:
    figures: FiguresSource = lambda service_pks, now: {}
    snippets: SnippetsSource = lambda handle, modality: ()


_sources = _Sources()


def set_sources(*, figures: FiguresSource, snippets: SnippetsSource) -> None:
    """Called once, when the application starts."""
    _sources.figures, _sources.snippets = figures, snippets


def get_figures(service_pks: Collection[int], *, now: datetime) -> Mapping[int, Figures]:
    """Measured figures by service; nothing is asked for nothing."""
    return _sources.figures(service_pks, now) if service_pks else {}


def get_snippets(handle: str, modality: str) -> Sequence[tuple[str, str, str]]:
    """Code that calls this service or model, in several languages."""
    return _sources.snippets(handle, modality)
