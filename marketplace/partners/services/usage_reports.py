"""Usage that providers report of direct calls: once per event, never beyond the hold.

Every report gets an answer of its own. What is good is charged in one commit per hundred; what a
provider claims beyond a hold is cut to the hold and kept as a ``CappedReport``.
"""

from collections.abc import Sequence
from datetime import datetime

from django.db import IntegrityError, transaction

from marketplace.catalog.models import Provider
from marketplace.metering import selectors as metering_selectors
from marketplace.metering import services as metering
from marketplace.metering.models import Call, UsageDoubt, UsageSource
from marketplace.metering.services import CloseCall
from marketplace.partners.models import CappedReport
from marketplace.partners.quantities import Quantities, fit
from marketplace.partners.services.intake import count_answers, count_received, quarantine
from marketplace.partners.services.usage_answers import (
    Known,
    UsageAnswer,
    UsageReport,
    judge,
    look_up,
    reject,
    source_of,
)
from portal.kernel.clock import utc_now

CHUNK = 100


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
        for report, answer in zip(chunk, taken, strict=True):
            if answer.code == "event_id_reused":
                quarantine(source, report, utc_now())
        count_answers(source, [answer.code or answer.outcome for answer in taken], utc_now())
        answers += taken
    return answers


def _take(provider: Provider, reports: Sequence[UsageReport]) -> list[UsageAnswer]:
    """Charge what can be charged; what shares an event or a hold with that is judged in the next
    round, in which the database knows the answer. So a batch is answered as if item by item."""
    answers: dict[int, UsageAnswer] = {}
    waiting = list(range(len(reports)))
    while waiting:
        now = utc_now()
        known = look_up(provider, [reports[p] for p in waiting])
        charging: dict[int, UsageReport] = {}
        for position in waiting:
            if answer := judge(reports[position], known, now):
                answers[position] = answer
            else:
                charging[position] = reports[position]
        answers |= _charge(provider, charging, known, now)
        waiting = [p for p in waiting if p not in answers]
    return [answers[position] for position in range(len(reports))]


@transaction.atomic
def _charge(
    provider: Provider, charging: dict[int, UsageReport], known: Known, now: datetime
) -> dict[int, UsageAnswer]:
    """One commit. No answer where another report was faster, in this batch or elsewhere."""
    if not charging:
        return {}
    closings = {p: _close(r, known.calls[r.hold_id], provider) for p, r in charging.items()}
    results = metering.close_calls(list(closings.values()), now=now)
    answers: dict[int, UsageAnswer] = {}
    claims: list[CappedReport] = []
    for (position, closing), result in zip(closings.items(), results, strict=True):
        if result.outcome == "expired":
            answers[position] = reject(charging[position], "hold_expired")
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


def _close(report: UsageReport, call: Call, provider: Provider) -> CloseCall:
    opened = metering_selectors.describe_opened(call)
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
