"""What the catalogue's public pages show from other rooms: measured figures and code to paste."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from marketplace.catalog.extras import Figures, set_sources
from marketplace.metering import selectors as metering
from portal.web.snippets import Snippet, build_snippets


def connect_catalog() -> None:
    """Called once, when the application starts."""
    set_sources(figures=_get_figures, snippets=_get_snippets)


def _get_figures(service_pks: Collection[int], now: datetime) -> Mapping[int, Figures]:
    """Two queries for any number of services; a single one's time to first token costs a third."""
    measured = metering.get_service_figures(service_pks, now=now)
    return {pk: _read(figures) for pk, figures in measured.items()}


def _read(figures: metering.ServiceFigures) -> Figures:
    durations = figures.durations
    return Figures(
        first_token_p50_ms=figures.first_token_ms,
        answer_p50_ms=durations.p50_ms if durations else None,
        answer_p95_ms=durations.p95_ms if durations else None,
        success_basis_points=(
            None if figures.success_per_mille is None else figures.success_per_mille * 10
        ),
    )


def _get_snippets(handle: str, modality: str) -> Sequence[Snippet]:
    return build_snippets(model=handle, modality=modality)
