"""Usage that providers report of direct calls: once per event, never beyond the hold.

Every report gets an answer of its own. What is good is charged in one commit per hundred; what a
provider claims beyond a hold is cut to the hold and kept as a ``CappedReport``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _

from marketplace.catalog.models import Provider
from marketplace.metering import services as metering
from marketplace.metering.models import (
    Call,
    CallStatus,
    Surface,
    UsageDoubt,
    UsageEvent,
    UsageSource,
)
from marketplace.metering.services import CloseCall, OpenedCall
from marketplace.partners.models import CappedReport
from marketplace.partners.quantities import Quantities, fit
from marketplace.partners.services.intake import count_answers, count_received, quarantine
from portal.kernel.clock import utc_now

logger = structlog.get_logger(__name__)

CHUNK = 100
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


def report_usage(*, provider: Provider, reports: Sequence[UsageReport]) -> list[UsageAnswer]:
    """Answers in the order of the reports; safe to repeat, in whole or in part.

    A hold is judged when its turn comes: one that expires while a large batch is taken is refused.
    """
    answers: list[UsageAnswer] = []
    source = source_of(provider)
    for start in range(0, len(reports), CHUNK):
        chunk = reports[start : start + CHUNK]
        count_received(source, len(chunk), utc_now())
        try:
            taken = _take(provider, chunk)
        except IntegrityError:
            # Another process took one of these events between our look and our commit, which was
            # undone as a whole; now it will be seen.
            taken = _take(provider, chunk)
        count_answers(source, [answer.code or answer.outcome for answer in taken], utc_now())
        answers += taken
    return answers


def source_of(provider: Provider) -> str:
    """Under what a provider's events are unique: from the credential, never from a payload."""
    return f"provider:{provider.public_id}"


@dataclass
class _Known:
    """What the database says of the holds and events that some reports name."""

    calls: dict[str, Call]
    events: dict[str, Call]


def _take(provider: Provider, reports: Sequence[UsageReport]) -> list[UsageAnswer]:
    """Charge what can be charged; whatever shares an event or a hold with that waits for the next
    round, in which the database knows the answer. So a batch is answered as if item by item."""
    answers: dict[int, UsageAnswer] = {}
    waiting = list(range(len(reports)))
    while waiting:
        now = utc_now()
        known = _look_up(provider, [reports[p] for p in waiting])
        charging: dict[int, UsageReport] = {}
        for position in waiting:
            report = reports[position]
            if answer := _judge(report, known, now):
                answers[position] = answer
            elif not any(_share(report, other) for other in charging.values()):
                charging[position] = report
        answers |= _charge(provider, charging, known, now)
        waiting = [p for p in waiting if p not in answers]
    return [answers[position] for position in range(len(reports))]


def _share(one: UsageReport, other: UsageReport) -> bool:
    return one.event_id == other.event_id or one.hold_id == other.hold_id


def _charge(
    provider: Provider, charging: dict[int, UsageReport], known: _Known, now: datetime
) -> dict[int, UsageAnswer]:
    """One commit. No answer for a report that somebody else overtook: it is judged again."""
    if not charging:
        return {}
    closings = {p: _close(r, known.calls[r.hold_id], provider) for p, r in charging.items()}
    answers: dict[int, UsageAnswer] = {}
    with transaction.atomic():
        results = metering.close_calls(list(closings.values()), now=now)
        claims: list[CappedReport] = []
        for (position, closing), result in zip(closings.items(), results, strict=True):
            if result.outcome == "expired":
                answers[position] = _rejected(charging[position], "hold_expired")
            if result.outcome != "closed":
                continue
            if closing.usage_doubt:
                claims.append(_claim(closing, charging[position].quantities, now))
            answers[position] = UsageAnswer(
                event_id=charging[position].event_id,
                outcome="accepted",
                call_id=closing.call.public_id,
                charged_millitokens=result.cost_millitokens,
                capped=bool(closing.usage_doubt),
            )
        CappedReport.objects.bulk_create(claims)
    return answers


def _look_up(provider: Provider, reports: Sequence[UsageReport]) -> _Known:
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
    return _Known(
        calls={call.hold.public_id: call for call in by_hold if call.hold},
        events={call.usage_event.event_id: call for call in by_event},
    )


def _judge(report: UsageReport, known: _Known, now: datetime) -> UsageAnswer | None:
    """The answer to a report that charges nothing; None for one to be charged."""
    before = known.events.get(report.event_id)
    if before is not None:
        return _compare(report, before)
    call = known.calls.get(report.hold_id)
    if call is None or call.hold is None:
        return _rejected(report, "hold_not_found")
    if call.status == CallStatus.SUCCEEDED:
        return _rejected(report, "hold_captured")
    if call.status == CallStatus.FAILED:
        return _rejected(report, "hold_released")
    if call.status != CallStatus.OPEN or call.hold.expires_at <= now:
        return _rejected(report, "hold_expired")
    if report.quantities.cached_tokens > report.quantities.prompt_tokens:
        return _rejected(report, "usage_not_possible")
    if report.occurred_at > now + CLOCK_SKEW:
        return _rejected(report, "time_in_future")
    return None


def _compare(report: UsageReport, call: Call) -> UsageAnswer:
    """A repeat of what was said before is harmless; another content under the same id is not."""
    claim = getattr(call, "capped_report", None)
    said: UsageEvent | CappedReport = claim or call.usage_event
    same = call.hold is not None and call.hold.public_id == report.hold_id
    if not same or report.quantities != _quantities_of(said):
        logger.warning(
            "usage_event_id_reused",
            provider=call.service.provider.public_id,
            event_id=report.event_id,
            call=call.public_id,
        )
        quarantine(
            call=call,
            source=source_of(call.service.provider),
            event_id=report.event_id,
            hold_id=report.hold_id,
            said=report.quantities,
            now=utc_now(),
        )
        return _rejected(report, "event_id_reused")
    return UsageAnswer(
        event_id=report.event_id,
        outcome="duplicate",
        call_id=call.public_id,
        charged_millitokens=call.cost_millitokens,
        capped=claim is not None,
    )


def _close(report: UsageReport, call: Call, provider: Provider) -> CloseCall:
    opened = _opened(call)
    charged = fit(report.quantities, opened.price, held_millitokens=opened.held_millitokens)
    beyond = charged != report.quantities
    return CloseCall(
        call=opened,
        status="succeeded",
        prompt_tokens=charged.prompt_tokens,
        cached_tokens=charged.cached_tokens,
        completion_tokens=charged.completion_tokens,
        usage_source=UsageSource.PROVIDER.value,
        usage_doubt=UsageDoubt.MORE_THAN_POSSIBLE.value if beyond else "",
        finish_reason=report.finish_reason,
        upstream_id=report.upstream_id,
        event_source=source_of(provider),
        event_id=report.event_id,
        occurred_at=report.occurred_at,
        late="refuse",
    )


def _claim(closing: CloseCall, claimed: Quantities, now: datetime) -> CappedReport:
    return CappedReport(
        call_id=closing.call.call_pk,
        prompt_tokens=claimed.prompt_tokens,
        cached_tokens=claimed.cached_tokens,
        completion_tokens=claimed.completion_tokens,
        reported_millitokens=claimed.cost(closing.call.price),
        held_millitokens=closing.call.held_millitokens,
        received_at=now,
    )


def _opened(call: Call) -> OpenedCall:
    """As ``metering.selectors.get_opened_call``, from what was read with the whole batch."""
    hold, provider = call.hold, call.service.provider
    return OpenedCall(
        call_pk=call.pk,
        public_id=call.public_id,
        organisation_public_id=hold.owner_key if hold else "",
        unit=call.unit,
        provider_public_id=provider.public_id,
        commission_basis_points=call.commission_basis_points,
        price=call.price_version.snapshot,
        hold_id=hold.public_id if hold else "",
        held_millitokens=hold.amount_millitokens if hold else 0,
        prompt_tokens=0,
        completion_tokens=0,
        started_at=call.started_at,
    )


def _quantities_of(said: UsageEvent | CappedReport) -> Quantities:
    return Quantities(
        prompt_tokens=said.prompt_tokens,
        cached_tokens=said.cached_tokens,
        completion_tokens=said.completion_tokens,
    )


def _rejected(report: UsageReport, code: str) -> UsageAnswer:
    return UsageAnswer(event_id=report.event_id, outcome="rejected", code=code)
