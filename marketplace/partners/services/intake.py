"""Counting what providers report, so that nothing that came in is lost without a trace."""

from collections.abc import Sequence
from datetime import datetime

from django.db.models import F

from marketplace.metering.models import Call
from marketplace.partners.models import Intake, QuarantinedReport
from marketplace.partners.quantities import Quantities


def count_received(source: str, number: int, now: datetime) -> None:
    """Before the batch is judged."""
    _add(source, now, received=number)


def count_answers(source: str, outcomes: Sequence[str], now: datetime) -> None:
    """After it was; each outcome is "accepted", "duplicate" or the code of a rejection."""
    others = [outcome for outcome in outcomes if outcome != "accepted"]
    quarantined, repeated = others.count("event_id_reused"), others.count("duplicate")
    if others:
        _add(
            source,
            now,
            repeated=repeated,
            quarantined=quarantined,
            rejected=len(others) - quarantined - repeated,
        )


def quarantine(
    *, call: Call, source: str, event_id: str, hold_id: str, said: Quantities, now: datetime
) -> None:
    """Remember that an event of ``call`` was reported again with other content."""
    content = {
        "hold_id": hold_id[:80],
        "prompt_tokens": said.prompt_tokens,
        "cached_tokens": said.cached_tokens,
        "completion_tokens": said.completion_tokens,
        "last_received_at": now,
    }
    _kept, created = QuarantinedReport.objects.get_or_create(
        call=call,
        defaults={"source": source, "event_id": event_id, "first_received_at": now, **content},
    )
    if not created:
        QuarantinedReport.objects.filter(call=call).update(times=F("times") + 1, **content)


def _add(source: str, now: datetime, **numbers: int) -> None:
    row = {"source": source, "day": now.date()}
    Intake.objects.bulk_create([Intake(since=now, **row)], ignore_conflicts=True)
    Intake.objects.filter(**row).update(
        **{name: F(name) + number for name, number in numbers.items()}
    )
