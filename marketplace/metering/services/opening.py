"""Opening calls: the tokens are held and the call is written in one commit, before it is made."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from marketplace.catalog.pricing import upper_bound
from marketplace.ledger import selectors as ledger_selectors
from marketplace.ledger import services as ledger
from marketplace.metering.commands import OpenCall, OpenedCall, OpenResult
from marketplace.metering.limits import Cap, build_limits, cap_of_key
from marketplace.metering.models import CallStatus, UsageSource
from marketplace.metering.selectors.budgets_in_force import find_budgets_in_force
from marketplace.metering.services.attempts import Attempt, find_opened
from portal.kernel.public_ids import new_public_id

_COLUMNS = (
    "public_id", "organisation_id", "api_key_id", "member_id", "service_id", "price_version_id",
    "hold_id", "unit", "surface", "operation", "streamed", "status", "error_code",
    "finish_reason", "request_id", "attempt", "upstream_id", "prompt_tokens", "cached_tokens",
    "completion_tokens", "usage_source", "usage_doubt", "cost_millitokens",
    "commission_basis_points", "share_millitokens", "commission_millitokens",
    "uncovered_millitokens", "region", "retains_prompts_days", "started_at", "ended_at",
    "rolled_up",
)  # fmt: skip
_INSERT = f"INSERT INTO metering_call ({', '.join(_COLUMNS)}) VALUES "  # noqa: S608 (constants)
_ROW = f"({', '.join(['%s'] * len(_COLUMNS))})"


def open_calls(requests: Sequence[OpenCall], *, now: datetime) -> list[OpenResult]:
    """Hold and write each call, all in one commit; results in the order of the requests.

    Never raises for funds or limits: such calls are written as refused, and the result says why.
    """
    budgets = find_budgets_in_force([request.key for request in requests])
    attempts = [
        _start(request, cap_of_key(request.key) + of_key)
        for request, of_key in zip(requests, budgets, strict=True)
    ]
    with transaction.atomic():
        _place_holds([attempt for attempt in attempts if attempt.amount], now)
        shrunk = [attempt for attempt in attempts if _shrink(attempt)]
        _place_holds(shrunk, now)
        fresh = [attempt for attempt in attempts if not (attempt.hold and attempt.hold.replayed)]
        pks = _insert_calls(fresh, now)
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


def _place_holds(attempts: list[Attempt], now: datetime) -> None:
    if not attempts:
        return
    capped = {cap.subject for attempt in attempts for cap in attempt.caps}
    last_periods = ledger_selectors.get_last_periods(capped) if capped else {}
    demands = [_demand(attempt, now, last_periods) for attempt in attempts]
    results = ledger.place_holds(demands, now=now)
    for attempt, result in zip(attempts, results, strict=True):
        attempt.hold = result


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
        idempotency_key=f"{key}:short" if attempt.retried else key,
        request_hash=request.request_hash,
        expires_at=request.expires_at,
        scopes=purse.scopes,
        limits=limits + request.limits,
        reference=f"call:{attempt.public_id}",
        price_version=request.service.price.public_id,
    )


def _shrink(attempt: Attempt) -> bool:
    """Whether to try again with a shorter answer, as long as what is left in the wallet pays."""
    request, hold = attempt.request, attempt.hold
    least = request.least_completion_tokens
    if hold is None or hold.decline_code != "insufficient_funds" or least is None:
        return False
    if hold.replayed:
        return False  # what became of it then is written in the call
    price = request.service.price
    [spendable] = ledger_selectors.list_spendable([attempt.purse])
    left = spendable - attempt.prompt_cost
    if not price.output_millitokens or left < least * price.output_millitokens:
        return False
    attempt.completion_tokens = min(left // price.output_millitokens, request.completion_tokens)
    attempt.amount = attempt.prompt_cost + attempt.completion_tokens * price.output_millitokens
    attempt.retried = True
    return True


def _insert_calls(attempts: list[Attempt], now: datetime) -> dict[str, int]:
    """Primary keys by public id, of those that were not there yet."""
    if not attempts:
        return {}
    adapted_now = connection.ops.adapt_datetimefield_value(now)
    rows: list[Any] = []
    for attempt in attempts:
        rows += _values(attempt, adapted_now)
    with connection.cursor() as cursor:
        cursor.execute(
            _INSERT
            + ", ".join([_ROW] * len(attempts))
            + " ON CONFLICT (public_id) DO NOTHING RETURNING public_id, id",
            rows,
        )
        return dict(cursor.fetchall())


def _values(attempt: Attempt, now: Any) -> list[Any]:
    request, service, key = attempt.request, attempt.request.service, attempt.request.key
    hold = attempt.hold
    declined = hold is not None and hold.outcome == "declined"
    return [
        attempt.public_id, key.organisation_pk, key.key_id, key.member_pk, service.service_pk,
        service.price.price_version_pk, hold.hold_pk if hold else None, attempt.purse.unit,
        request.surface, request.operation, request.streamed,
        CallStatus.REFUSED.value if declined else CallStatus.OPEN.value,
        hold.decline_code if hold and declined else "", "", request.request_id, request.attempt, "",
        0, 0, 0, UsageSource.NONE.value, "", 0, service.commission_basis_points, 0, 0, 0,
        service.region, service.retains_prompts_days, now, now if declined else None, False,
    ]  # fmt: skip


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
    )
