"""Counting what providers report, and keeping what contradicts: nothing is lost without a trace."""

from collections.abc import Sequence
from datetime import datetime

import structlog
from django.db.models import F

from marketplace.metering.models import Call
from marketplace.partners.models import Intake, QuarantinedReport
from marketplace.partners.services.usage_answers import UsageReport

logger = structlog.get_logger(__name__)


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


def quarantine(source: str, report: UsageReport, now: datetime) -> None:
    """Remember that an event of a call was reported again with other content."""
    call = Call.objects.get(usage_event__source=source, usage_event__event_id=report.event_id)
    logger.warning(
        "usage_event_id_reused", source=source, event_id=report.event_id, call=call.public_id
    )
    content = {
        "hold_id": report.hold_id,
        "prompt_tokens": report.quantities.prompt_tokens,
        "cached_tokens": report.quantities.cached_tokens,
        "completion_tokens": report.quantities.completion_tokens,
        "last_received_at": now,
    }
    _kept, created = QuarantinedReport.objects.get_or_create(
        call=call,
        defaults={
            "source": source,
            "event_id": report.event_id,
            "first_received_at": now,
            **content,
        },
    )
    if not created:
        QuarantinedReport.objects.filter(call=call).update(times=F("times") + 1, **content)


def _add(source: str, now: datetime, **numbers: int) -> None:
    row = {"source": source, "day": now.date()}
    Intake.objects.bulk_create([Intake(since=now, **row)], ignore_conflicts=True)
    Intake.objects.filter(**row).update(
        **{name: F(name) + number for name, number in numbers.items()}
    )
