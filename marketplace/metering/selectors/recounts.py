"""How far providers' counts can be trusted: what recounts have shown."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Sum

from marketplace.metering.models import Calibration, RecountTally

RECENT = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class CountRecord:
    """Recounts of a service in the last seven days; what could not be counted is not in them.

    ``prompt_offset`` are the tokens that its prompts have beyond the texts; None: not known yet.
    """

    checked: int = 0
    agrees: int = 0
    review: int = 0
    disputed: int = 0
    prompt_offset: int | None = None

    @property
    def agree_basis_points(self) -> int | None:
        """The share that agrees, rounded down; None before anything was checked."""
        return self.agrees * 10_000 // self.checked if self.checked else None


def get_count_records(service_pks: Collection[int], *, now: datetime) -> dict[int, CountRecord]:
    """By service; one with nothing checked is in it too. Two queries."""
    if not service_pks:
        return {}
    tallies = (
        RecountTally.objects.filter(service_id__in=service_pks, day__gt=(now - RECENT).date())
        .values("service_id")
        .annotate(all_agree=Sum("agrees"), all_review=Sum("review"), all_disputed=Sum("disputed"))
        .values_list("service_id", "all_agree", "all_review", "all_disputed")
    )
    sums = {pk: (agrees, review, disputed) for pk, agrees, review, disputed in tallies}
    offsets = dict(
        Calibration.objects.filter(service_id__in=service_pks)
        .order_by("version")
        .values_list("service_id", "prompt_offset")
    )
    records = {}
    for pk in service_pks:
        agrees, review, disputed = sums.get(pk, (0, 0, 0))
        records[pk] = CountRecord(
            checked=agrees + review + disputed,
            agrees=agrees,
            review=review,
            disputed=disputed,
            prompt_offset=offsets.get(pk),
        )
    return records


def get_calibrations(wanted: Collection[tuple[int, str]]) -> dict[tuple[int, str], Calibration]:
    """The one in force for each (service, tokenizer) that has one."""
    services = {service_pk for service_pk, _tokenizer in wanted}
    latest: dict[int, Calibration] = {}
    for known in Calibration.objects.filter(service_id__in=services).order_by("version"):
        latest[known.service_id] = known
    return {
        (pk, tokenizer): latest[pk]
        for pk, tokenizer in wanted
        if pk in latest and latest[pk].tokenizer == tokenizer
    }
