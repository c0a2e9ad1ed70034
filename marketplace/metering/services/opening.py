"""Opening calls: the tokens are held and the call is written in one commit, before it is made."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from django.db import transaction

from marketplace.catalog.pricing import upper_bound
from marketplace.ledger import selectors as ledger_selectors
from marketplace.ledger import services as ledger
from marketplace.metering.commands import OpenCall, OpenedCall, OpenResult
from marketplace.metering.limits import Cap, build_limits, cap_of_key
from marketplace.metering.models import CallStatus
from marketplace.metering.selectors.budgets_in_force import find_budgets_in_force
from marketplace.metering.services.attempts import Attempt, find_opened
from portal.kernel.public_ids import new_public_id

# What a shorter answer may get round.
_SHORTENING = ("insufficient_funds", "limit_exceeded")
# Beside the holds of one statement, whose references name the calls, or after them.
_COLUMNS = """public_id text, organisation_pk bigint, api_key_pk bigint, member_pk bigint,
    service_pk bigint, price_version_pk bigint, hold_pk bigint, unit text, surface text,
    operation text, streamed boolean, status text, error_code text, request_id text,
    attempt integer, commission_basis_points integer, region text, retains_prompts_days integer,
    now timestamptz, ended_at timestamptz"""
_INSERT = """
    INSERT INTO metering_call (public_id, organisation_id, api_key_id, member_id, service_id,
      price_version_id, hold_id, unit, surface, operation, streamed, status, error_code,
      finish_reason, request_id, attempt, upstream_id, prompt_tokens, cached_tokens,
      completion_tokens, usage_source, usage_doubt, cost_millitokens, commission_basis_points,
      share_millitokens, commission_millitokens, uncovered_millitokens, region,
      retains_prompts_days, started_at, ended_at, rolled_up)
    SELECT v.public_id, v.organisation_pk, v.api_key_pk, v.member_pk, v.service_pk,
      v.price_version_pk, {hold}, v.unit, v.surface, v.operation, v.streamed, v.status,
      v.error_code, '', v.request_id, v.attempt, '', 0, 0, 0, 'none', '', 0,
      v.commission_basis_points, 0, 0, 0, v.region, v.retains_prompts_days, v.now, v.ended_at, false
    FROM {rows}{join} ON CONFLICT (public_id) DO NOTHING
    RETURNING public_id, id
"""
_INSERT_BESIDE = ledger.Statement(
    _INSERT.replace("{hold}", "h.id").replace(
        "{join}",
        " JOIN {new ledger_hold: id bigint, reference text} h"
        " ON h.reference = 'call:' || v.public_id",
    ),
    columns=_COLUMNS,
)
_INSERT_AFTER = ledger.Statement(
    _INSERT.replace("{hold}", "v.hold_pk").replace("{join}", " WHERE true"), columns=_COLUMNS
)


def open_calls(requests: Sequence[OpenCall], *, now: datetime) -> list[OpenResult]:
    """Hold and write each call, both in one commit; results in the order of the requests.

    The usual ones are all written by one statement, which is their commit; the others go step by
    step in a second one. Never raises for funds or limits: such calls are written as refused, and
    the result says why.
    """
    budgets = find_budgets_in_force([request.key for request in requests])
    attempts = [
        _start(request, cap_of_key(request.key) + of_key)
        for request, of_key in zip(requests, budgets, strict=True)
    ]
    pks = _open_at_once([attempt for attempt in attempts if attempt.amount], now)
    left = [a for a in attempts if a.hold is None or a.public_id not in pks]
    if not left:
        return [_conclude(attempt, pks, now) for attempt in attempts]
    with transaction.atomic():
        _place_holds([a for a in left if a.amount and a.hold is None], now)
        shrunk = [attempt for attempt in left if _shrink(attempt, now)]
        _place_holds(shrunk, now)
        fresh = [attempt for attempt in left if not (attempt.hold and attempt.hold.replayed)]
        pks |= _insert_calls(fresh, now)
        return [_conclude(attempt, pks, now) for attempt in attempts]


def extend_call(call: OpenedCall, *, completion_tokens: int, now: datetime) -> OpenedCall | None:
    """Hold for ``completion_tokens`` more of the answer; None when they cannot be paid."""
    extra = call.price.output_millitokens * completion_tokens
    if extra and call.hold_id:
        extended, *_rest = ledger.extend_holds([(call.hold_id, extra)], now=now)
        if not extended:
            return None
    return replace(
        call,
        held_millitokens=call.held_millitokens + extra,
        completion_tokens=call.completion_tokens + completion_tokens,
    )


def _start(request: OpenCall, caps: tuple[Cap, ...]) -> Attempt:
    if request.idempotency_key and request.least_completion_tokens is not None:
        raise ValueError("a call that may be shortened could not be replayed")
    amount = upper_bound(
        request.service.price,
        prompt_tokens=request.prompt_tokens,
        completion_tokens=request.completion_tokens,
    )
    if request.idempotency_key:
        # A hold is what remembers the key, so even a call that costs nothing holds something.
        amount = max(amount, 1)
    public_id = request.call_id or new_public_id("call")
    return Attempt(request, public_id, amount, request.completion_tokens, caps)


def _open_at_once(attempts: list[Attempt], now: datetime) -> dict[str, int]:
    """Primary keys by public id, of those that one statement could hold for and write."""
    if not ledger.can_place_at_once(len(attempts)):
        return {}
    demands = _demand_all(attempts, now)
    rows = [_row(attempt, now) for attempt in attempts]
    results, written = ledger.place_at_once(demands, now=now, beside=(_INSERT_BESIDE, rows))
    for attempt, result in zip(attempts, results, strict=True):
        attempt.hold = result
    return dict(written)


def _place_holds(attempts: list[Attempt], now: datetime) -> None:
    if not attempts:
        return
    results = ledger.place_holds(_demand_all(attempts, now), now=now, at_once=False)
    for attempt, result in zip(attempts, results, strict=True):
        attempt.hold = result


def _demand_all(attempts: list[Attempt], now: datetime) -> list[ledger.HoldRequest]:
    capped = {cap.subject for attempt in attempts for cap in attempt.caps}
    last_periods = ledger_selectors.get_last_periods(capped) if capped else {}
    return [_demand(attempt, now, last_periods) for attempt in attempts]


def _demand(
    attempt: Attempt, now: datetime, last_periods: Mapping[str, datetime]
) -> ledger.HoldRequest:
    request, purse = attempt.request, attempt.purse
    key = request.idempotency_key or attempt.public_id
    zone = request.key.organisation_timezone
    limits = build_limits(attempt.caps, timezone=zone, now=now, last_periods=last_periods)
    return ledger.HoldRequest(
        owner_key=purse.owner_key,
        unit=purse.unit,
        amount_millitokens=attempt.amount,
        idempotency_scope=request.idempotency_scope or f"call:{request.key.key_public_id}",
        # The second, smaller hold of a call that may be shortened has a key of its own.
        idempotency_key=f"{key}:short" if attempt.shortened_by else key,
        request_hash=request.request_hash,
        expires_at=request.expires_at,
        scopes=purse.scopes,
        limits=limits + request.limits,
        reference=f"call:{attempt.public_id}",
        price_version=request.service.price.public_id,
    )


def _shrink(attempt: Attempt, now: datetime) -> bool:
    """Whether to try again with a shorter answer, as long as what is left pays for."""
    request, hold = attempt.request, attempt.hold
    least = request.least_completion_tokens
    if hold is None or hold.decline_code not in _SHORTENING or least is None:
        return False
    if hold.replayed:
        return False  # what became of it then is written in the call
    price = request.service.price
    left = _find_left(attempt, now) - attempt.prompt_cost
    if not price.output_millitokens or left < least * price.output_millitokens:
        return False
    attempt.completion_tokens = min(left // price.output_millitokens, request.completion_tokens)
    attempt.amount = attempt.prompt_cost + attempt.completion_tokens * price.output_millitokens
    attempt.shortened_by = hold.decline_code
    return True


def _find_left(attempt: Attempt, now: datetime) -> int:
    """Millitokens that wallets, cap and budgets still allow, all of them."""
    [left] = ledger_selectors.list_spendable([attempt.purse])
    [demand] = _demand_all([attempt], now)
    counts = ledger_selectors.get_limit_counts({limit.name for limit in demand.limits})
    for limit in demand.limits:
        if limit.max_millitokens is not None:
            left = min(left, limit.max_millitokens - sum(counts.get(limit.name, (0, 0))))
    return left


def _insert_calls(attempts: list[Attempt], now: datetime) -> dict[str, int]:
    """Primary keys by public id, of those that were not there yet."""
    if not attempts:
        return {}
    rows = [_row(attempt, now) for attempt in attempts]
    [written] = ledger.run_together((_INSERT_AFTER, rows))
    return dict(written)


def _row(attempt: Attempt, now: datetime) -> ledger.Row:
    request, service, key = attempt.request, attempt.request.service, attempt.request.key
    hold = attempt.hold
    declined = hold is not None and hold.outcome == "declined"
    return (
        attempt.public_id, key.organisation_pk, key.key_id, key.member_pk, service.service_pk,
        service.price.price_version_pk, hold.hold_pk if hold else None, service.unit,
        request.surface, request.operation, request.streamed,
        CallStatus.REFUSED.value if declined else CallStatus.OPEN.value,
        hold.decline_code if hold and declined else "", request.request_id, request.attempt,
        service.commission_basis_points, service.region, service.retains_prompts_days, now,
        now if declined else None,
    )  # fmt: skip


def _conclude(attempt: Attempt, pks: dict[str, int], now: datetime) -> OpenResult:
    hold = attempt.hold
    if attempt.is_conflict:
        return OpenResult(outcome="conflict")
    if attempt.public_id not in pks:
        return find_opened(attempt)
    if hold is None or hold.outcome == "held":
        call = _opened(attempt, pks[attempt.public_id], now)
        return OpenResult(outcome="opened", call=call, call_id=call.public_id)
    return OpenResult(
        outcome="declined",
        call_id=attempt.public_id,
        decline_code=hold.decline_code,
        decline_subject=hold.decline_subject,
    )


def _opened(attempt: Attempt, pk: int, started_at: datetime) -> OpenedCall:
    service, hold = attempt.request.service, attempt.hold
    return OpenedCall(
        call_pk=pk,
        public_id=attempt.public_id,
        organisation_public_id=attempt.request.key.organisation_public_id,
        unit=attempt.purse.unit,
        provider_public_id=service.provider_public_id,
        commission_basis_points=service.commission_basis_points,
        price=service.price,
        hold_id=hold.hold_id if hold else "",
        held_millitokens=hold.amount_millitokens if hold else 0,
        prompt_tokens=attempt.request.prompt_tokens,
        completion_tokens=attempt.completion_tokens,
        started_at=started_at,
        shortened_by=attempt.shortened_by,
    )
