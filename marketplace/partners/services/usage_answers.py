"""What providers report of direct calls, and the answer to each report that charges nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils.translation import gettext_lazy as _

from marketplace.catalog.models import Provider
from marketplace.metering.models import Call, CallStatus, Surface, UsageEvent
from marketplace.partners.models import CappedReport
from marketplace.partners.quantities import Quantities

CLOCK_SKEW = timedelta(minutes=5)

REASONS = {
    "event_id_reused": _("This event id was reported before, with other content."),
    "hold_not_found": _("There is no such hold of yours."),
    "hold_captured": _("This hold was captured already, by another event."),
    "hold_released": _("This hold was released."),
    "hold_expired": _("This hold has expired; its usage can no longer be charged."),
    "usage_not_possible": _("No more of the prompt can come from the cache than there is."),
    "time_in_future": _("The time of the event is in the future."),
}


@dataclass(frozen=True, kw_only=True)
class UsageReport:
    """What a provider says of one call."""

    event_id: str
    hold_id: str
    quantities: Quantities
    occurred_at: datetime
    finish_reason: str = ""
    upstream_id: str = ""


@dataclass(frozen=True, kw_only=True)
class UsageAnswer:
    """``outcome``: "accepted", "duplicate" (said before, nothing done) or "rejected" (``code``)."""

    event_id: str
    outcome: str
    code: str = ""
    call_id: str = ""
    charged_millitokens: int = 0
    capped: bool = False

    @property
    def reason(self) -> object:
        return REASONS.get(self.code, "")


def source_of(provider: Provider) -> str:
    """Under what a provider's events are unique: from the credential, never from a payload."""
    return f"provider:{provider.public_id}"


@dataclass
class Known:
    """What the database says of the holds and events that some reports name."""

    calls: dict[str, Call]
    events: dict[str, Call]


def look_up(provider: Provider, reports: Sequence[UsageReport]) -> Known:
    related = ("hold", "price_version", "usage_event", "capped_report", "service__provider")
    calls = (
        Call.objects.filter(surface=Surface.DIRECT, service__provider=provider)
        .exclude(status=CallStatus.REFUSED)
        .select_related(*related)
    )
    by_hold = calls.filter(hold__public_id__in={report.hold_id for report in reports})
    by_event = calls.filter(
        usage_event__source=source_of(provider),
        usage_event__event_id__in={report.event_id for report in reports},
    )
    return Known(
        calls={call.hold.public_id: call for call in by_hold if call.hold},
        events={call.usage_event.event_id: call for call in by_event},
    )


def judge(report: UsageReport, known: Known, now: datetime) -> UsageAnswer | None:
    """The answer to a report that charges nothing; None for one to be charged."""
    before = known.events.get(report.event_id)
    if before is not None:
        return _compare(report, before)
    call = known.calls.get(report.hold_id)
    if call is None or call.hold is None:
        return reject(report, "hold_not_found")
    if call.status == CallStatus.SUCCEEDED:
        return reject(report, "hold_captured")
    if call.status == CallStatus.FAILED:
        return reject(report, "hold_released")
    if call.status != CallStatus.OPEN or call.hold.expires_at <= now:
        return reject(report, "hold_expired")
    if report.quantities.cached_tokens > report.quantities.prompt_tokens:
        return reject(report, "usage_not_possible")
    if report.occurred_at > now + CLOCK_SKEW:
        return reject(report, "time_in_future")
    return None


def _compare(report: UsageReport, call: Call) -> UsageAnswer:
    """A repeat of what was said before is harmless; another content under the same id is not."""
    claim = getattr(call, "capped_report", None)
    said: UsageEvent | CappedReport = claim or call.usage_event
    same = call.hold is not None and call.hold.public_id == report.hold_id
    if not same or report.quantities != _quantities_of(said):
        return reject(report, "event_id_reused")
    return UsageAnswer(
        event_id=report.event_id,
        outcome="duplicate",
        call_id=call.public_id,
        charged_millitokens=call.cost_millitokens,
        capped=claim is not None,
    )


def _quantities_of(said: UsageEvent | CappedReport) -> Quantities:
    return Quantities(
        prompt_tokens=said.prompt_tokens,
        cached_tokens=said.cached_tokens,
        completion_tokens=said.completion_tokens,
    )


def reject(report: UsageReport, code: str) -> UsageAnswer:
    return UsageAnswer(event_id=report.event_id, outcome="rejected", code=code)
