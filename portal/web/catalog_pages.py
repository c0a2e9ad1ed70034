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
    """Two queries for any number of services; what is told of a single one only costs three."""
    measured = metering.get_service_figures(service_pks, now=now)
    records = metering.get_count_records(service_pks if len(service_pks) == 1 else (), now=now)
    nothing = metering.CountRecord()
    return {pk: _read(figures, records.get(pk, nothing)) for pk, figures in measured.items()}


def _read(figures: metering.ServiceFigures, record: metering.CountRecord) -> Figures:
    durations = figures.durations
    return Figures(
        first_token_p50_ms=figures.first_token_ms,
        answer_p50_ms=durations.p50_ms if durations else None,
        answer_p95_ms=durations.p95_ms if durations else None,
        success_basis_points=(
            None if figures.success_per_mille is None else figures.success_per_mille * 10
        ),
        counts_checked=record.checked,
        counts_agree_basis_points=record.agree_basis_points,
        prompt_offset=record.prompt_offset,
    )


def _get_snippets(handle: str, modality: str) -> Sequence[Snippet]:
    return build_snippets(model=handle, modality=modality)
