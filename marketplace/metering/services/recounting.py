"""Recording recounts: a verdict per call, the usual difference per service, and what follows.

A disputed call is settled by the smaller count: a reversal of a part of its charge gives the
tenant the difference back, at the provider's and the market's expense in proportion. It and the
recount are one commit, once per call.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median_low
from typing import Any

import structlog
from django.db import connection, transaction

from accounts.models import WebhookEvent
from accounts.services import record_webhook_event
from marketplace.catalog.pricing import charge
from marketplace.ledger import services as ledger
from marketplace.metering.models import Calibration, Call, Recount, UsageDoubt, Verdict
from marketplace.metering.selectors.recounts import get_calibrations
from marketplace.metering.verdicts import MOST_OFFSET, CountedCall, Judgement, judge
from portal.kernel.rest.fields import format_decimal_tokens

logger = structlog.get_logger(__name__)

# So many prompts tell what a service usually adds to them.
LEARN_FROM = 5
_REASON = "The market counted fewer tokens than the provider reported."

_INSERT = """
    INSERT INTO metering_recount (call_id, service_id, tokenizer, prompt_reported, prompt_counted,
           prompt_offset, calibration_version, completion_reported, completion_counted, verdict,
           reason, returned_millitokens, correction_id, counted_at)
    VALUES {rows} ON CONFLICT (call_id) DO NOTHING RETURNING service_id, verdict
"""
_COLUMNS = 14
_TALLY = """
    INSERT INTO metering_recounttally (service_id, day, agrees, review, disputed, uncountable)
    VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (service_id, day) DO UPDATE SET
      agrees = metering_recounttally.agrees + excluded.agrees,
      review = metering_recounttally.review + excluded.review,
      disputed = metering_recounttally.disputed + excluded.disputed,
      uncountable = metering_recounttally.uncountable + excluded.uncountable
"""


@dataclass(frozen=True, slots=True)
class _Judged:
    call: CountedCall
    calibration: Calibration | None
    judgement: Judgement


def record_recounts(
    counted: Sequence[CountedCall], *, now: datetime, settles: bool = True
) -> list[Verdict]:
    """The verdict of each; safe to repeat: a call is judged once.

    With ``settles`` disputed calls give tokens back. Without it, and where the tenant did not pay
    for all that was reported, a dispute is only written down.
    """
    calibrations = get_calibrations({(call.service_pk, call.tokenizer) for call in counted})
    judged = []
    for call in counted:
        known = calibrations.get((call.service_pk, call.tokenizer))
        judgement = judge(call, prompt_offset=known.prompt_offset if known else None)
        judged.append(_Judged(call, known, judgement))
    disputed = [one for one in judged if one.judgement.verdict is Verdict.DISPUTED]
    with transaction.atomic():
        _insert([(one, 0, None) for one in judged if one not in disputed], now)
        _learn([one.call for one in judged if one.calibration is None], now)
    for one in disputed:
        _record_dispute(one, now, settles=settles)
    return [one.judgement.verdict for one in judged]


def _record_dispute(one: _Judged, now: datetime, *, settles: bool) -> None:
    with transaction.atomic():
        call = (
            Call.objects.select_related(
                "organisation",
                "price_version",
                "service__provider",
                "usage_event__charge__transaction",
            )
            .select_for_update(of=("self",))
            .get(pk=one.call.call_pk)
        )
        if Recount.objects.filter(call=call).exists():
            return
        returned, correction = _return_tokens(call, one.judgement, now) if settles else (0, None)
        _insert([(one, returned, correction)], now)
        # A person hears of it (check 22); another doubt says enough.
        Call.objects.filter(pk=call.pk, usage_doubt="").update(usage_doubt=UsageDoubt.DISPUTED)
        record_webhook_event(
            organisation=call.organisation,
            event_type=WebhookEvent.CALL_DISPUTED,
            subject=call.public_id,
            data={"call": call.public_id, "returned_tokens": format_decimal_tokens(returned)},
            now=now,
        )
    logger.warning("call_disputed", call=call.public_id, returned=returned)


def _return_tokens(call: Call, judgement: Judgement, now: datetime) -> tuple[int, int | None]:
    """Millitokens that the tenant got back, and the transaction; nothing where a part of the
    charge was not the tenant's to pay: a person has that call already."""
    paid = call.usage_event.charge
    if paid.transaction is None or call.uncovered_millitokens:
        return 0, None
    prompt_tokens = min(call.prompt_tokens, judgement.fair_prompt)
    fair = charge(
        call.price_version.snapshot,
        prompt_tokens=prompt_tokens,
        cached_tokens=min(call.cached_tokens, prompt_tokens),
        completion_tokens=min(call.completion_tokens, judgement.fair_completion),
    )
    returned = call.cost_millitokens - fair
    if returned <= 0:
        return 0, None
    share = 0
    if call.share_millitokens:
        kept = fair * (ledger.BASIS_POINTS - call.commission_basis_points) // ledger.BASIS_POINTS
        share = call.share_millitokens - kept
    sides = (
        ("payable", call.service.provider.public_id, share),
        ("commission", ledger.OPERATOR, returned - share),
    )
    posted = ledger.reverse_transaction(
        transaction_id=paid.transaction.public_id,
        debits=[side for side in sides if side[2]],
        idempotency_key=f"recount:{call.public_id}",
        reason=_REASON,
        now=now,
    )
    return returned, posted.transaction_pk


def _insert(rows: Sequence[tuple[_Judged, int, int | None]], now: datetime) -> None:
    if not rows:
        return
    values: list[Any] = []
    moment = connection.ops.adapt_datetimefield_value(now)
    for one, returned, correction in rows:
        call, known = one.call, one.calibration
        values += [
            call.call_pk, call.service_pk, call.tokenizer, call.prompt_reported,
            call.prompt_counted, known.prompt_offset if known else 0,
            known.version if known else 0, call.completion_reported, call.completion_counted,
            one.judgement.verdict.value, one.judgement.reason, returned, correction, moment,
        ]  # fmt: skip
    row = f"({', '.join(['%s'] * _COLUMNS)})"
    with connection.cursor() as cursor:
        cursor.execute(_INSERT.format(rows=", ".join([row] * len(rows))), values)
        _add_to_tallies(cursor, cursor.fetchall(), now)


def _add_to_tallies(cursor: Any, written: Iterable[tuple[int, str]], now: datetime) -> None:
    tallies: dict[int, dict[str, int]] = defaultdict(lambda: dict.fromkeys(Verdict.values, 0))
    for service_pk, verdict in written:
        tallies[service_pk][verdict] += 1
    # In one order everywhere, so that two processes never wait for each other.
    for service_pk, tally in sorted(tallies.items()):
        counts = [tally[verdict] for verdict in Verdict.values]
        cursor.execute(_TALLY, [service_pk, now.date(), *counts])


def _learn(calls: Iterable[CountedCall], now: datetime) -> None:
    """Calibrate each service of which enough prompts have been counted by now."""
    learning = {(c.service_pk, c.tokenizer) for c in calls if c.prompt_counted is not None}
    for service_pk, tokenizer in sorted(learning):
        differences = [
            reported - (counted or 0)
            for reported, counted in Recount.objects.filter(
                service_id=service_pk, tokenizer=tokenizer, prompt_counted__isnull=False
            )
            .order_by("pk")
            .values_list("prompt_reported", "prompt_counted")[:LEARN_FROM]
        ]
        if len(differences) < LEARN_FROM:
            continue
        usual = median_low(differences)
        version = Calibration.objects.filter(service_id=service_pk).count() + 1
        # Two processes that learn at once learn the same.
        Calibration.objects.bulk_create(
            [
                Calibration(
                    service_id=service_pk,
                    version=version,
                    tokenizer=tokenizer,
                    prompt_offset=max(-MOST_OFFSET, min(usual, MOST_OFFSET)),
                    learned_from=len(differences),
                    learned_at=now,
                )
            ],
            ignore_conflicts=True,
        )
