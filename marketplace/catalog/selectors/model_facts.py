"""What is told of models besides their services' terms."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, time

from marketplace.catalog.models import AIModel


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """``created`` is the day of its release as seconds since 1970, 0 where nobody said."""

    created: int
    description: str
    output_modalities: tuple[str, ...]


def get_model_facts(handles: Collection[str]) -> dict[str, ModelFacts]:
    """By handle, in one query; descriptions in English."""
    rows = AIModel.objects.filter(handle__in=handles).values_list(
        "handle", "released_on", "summary_en", "output_modalities"
    )
    return {
        handle: ModelFacts(
            created=int(datetime.combine(day, time.min, UTC).timestamp()) if day else 0,
            description=summary,
            output_modalities=tuple(outputs),
        )
        for handle, day, summary, outputs in rows
    }
