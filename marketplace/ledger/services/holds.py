"""Placing holds: all or nothing over a tenant's wallets and limits, once per key."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.transaction import atomic, set_rollback

from marketplace.ledger.models import HoldState
from marketplace.ledger.services import reads, writes
from marketplace.ledger.services.checks import check_hold_request
from marketplace.ledger.services.commands import HoldRequest, HoldResult
from marketplace.ledger.services.decisions import Decision, Wallets, decide, lock_limits
from marketplace.ledger.services.draft import Draft
from marketplace.ledger.services.lot_expiry import expire_due_lots
from marketplace.ledger.services.quick_hold import can_place_at_once, place_at_once
from marketplace.ledger.services.rows import HoldRow
from marketplace.ledger.sql import Row, Statement, run
from marketplace.ledger.watch import refuse_when_unguarded

_Key = tuple[str, str]  # idempotency scope and key

_FIND_BY_KEY = Statement(
    """
    SELECT h.idempotency_scope, h.idempotency_key, h.owner_key, h.unit, h.request_hash, h.id,
      h.public_id,
      h.amount_millitokens, h.state, h.decline_code, h.decline_subject
    FROM {rows} JOIN ledger_hold h ON h.idempotency_scope = v.scope AND h.idempotency_key = v.key
    """,
    columns="scope text, key text",
)


@dataclass(frozen=True, slots=True)
class _Stored:
    """A hold as its answer is told from it."""

    owner_key: str
    unit: str
    request_hash: str
    pk: int
    public_id: str
    amount: int
    state: str
    decline_code: str
    decline_subject: str


def place_holds(
    requests: Sequence[HoldRequest], *, now: datetime, at_once: bool = True
) -> list[HoldResult]:
    """Hold tokens for each request, in this order, in one commit; one result per request.

    A request that cannot be paid is "declined", a known key with another hash a "conflict";
    both leave balances as they were. Declines are stored, so a retry gets the same answer.
    ``at_once`` False goes step by step at once, for what ``place_at_once`` could not place.
    Raises ValueError, before anything is written, for a request that makes no sense, and
    LedgerUnguarded.
    """
    for request in requests:
        check_hold_request(request)
    if not requests:
        return []
    refuse_when_unguarded()
    if at_once and can_place_at_once(1) and (results := _place_at_once(requests, now)):
        return results
    with atomic(savepoint=False):
        return _place(requests, now)


def _place_at_once(requests: Sequence[HoldRequest], now: datetime) -> list[HoldResult]:
    """All by one statement, or none."""
    if len(requests) == 1:
        # A transaction around the one statement would be two more round trips.
        results, _rows = place_at_once(requests, now=now)
        return [result for result in results if result is not None]
    with atomic():
        results, _rows = place_at_once(requests, now=now)
        placed = [result for result in results if result is not None]
        if len(placed) < len(requests):
            # Also lets go of the wallets, which are locked anew, in their order, with the others'.
            set_rollback(True)
            return []
        return placed


def _place(requests: Sequence[HoldRequest], now: datetime) -> list[HoldResult]:
    wallets = reads.lock_wallets_named(
        (request.owner_key, request.unit, scope)
        for request in requests
        for scope in (*request.scopes, "")
    )
    firsts: dict[_Key, HoldRequest] = {}
    for request in requests:
        firsts.setdefault(_key(request), request)
    stored = _find_by_key(firsts)
    fresh = {key: request for key, request in firsts.items() if key not in stored}
    placed = _place_fresh(fresh, wallets, now) if fresh else {}
    stored |= placed
    if raced := firsts.keys() - stored.keys():
        stored |= _find_by_key(raced)
    results = []
    for request in requests:
        key = _key(request)
        results.append(_answer(request, stored[key], replayed=key not in placed))
        placed.pop(key, None)  # the same key again in this batch is a replay
    return results


def _place_fresh(
    fresh: dict[_Key, HoldRequest], wallets: Wallets, now: datetime
) -> dict[_Key, _Stored]:
    """Decide and write requests whose keys are not known; those that raced are left out."""
    draft = Draft(now)
    expire_due_lots(draft, wallets.values())
    limits = lock_limits(fresh.values(), wallets)
    decisions = [decide(request, wallets, limits) for request in fresh.values()]
    pks = {public_id: pk for pk, public_id in _insert(decisions, now)}
    placed = {}
    for decision in decisions:
        pk = pks.get(decision.public_id)
        if pk is None:
            decision.reserve(sign=-1)
        else:
            placed[_key(decision.request)] = _store(decision, pk)
            if not decision.decline_code:
                _enter(draft, decision, pk)
    draft.flush()
    return placed


def _insert(decisions: Iterable[Decision], now: datetime) -> list[Row]:
    """(pk, public id) of those whose key was still free."""
    rows: list[Row] = []
    for decision in decisions:
        request = decision.request
        declined = bool(decision.decline_code)
        rows.append(
            (
                decision.public_id,
                request.owner_key,
                request.unit,
                request.idempotency_scope,
                request.idempotency_key,
                request.request_hash,
                request.amount_millitokens,
                HoldState.DECLINED if declined else HoldState.PENDING,
                decision.decline_code,
                decision.decline_subject,
                request.reference,
                request.price_version,
                now,
                request.expires_at,
                now if declined else None,
            )
        )
    return run(writes.INSERT_HOLDS, rows)


def _enter(draft: Draft, decision: Decision, pk: int) -> None:
    request = decision.request
    draft.touch(
        HoldRow(
            id=pk,
            public_id=decision.public_id,
            owner_key=request.owner_key,
            unit=request.unit,
            amount=request.amount_millitokens,
            captured=0,
            state=HoldState.PENDING,
            expires_at=request.expires_at,
            reference=request.reference,
            parts=decision.parts,
            limits=decision.limits,
        )
    )
    draft.hold_limits += [(pk, limit.id) for limit in decision.limits]


def _store(decision: Decision, pk: int) -> _Stored:
    request = decision.request
    return _Stored(
        request.owner_key,
        request.unit,
        request.request_hash,
        pk,
        decision.public_id,
        request.amount_millitokens,
        HoldState.DECLINED if decision.decline_code else HoldState.PENDING,
        decision.decline_code,
        decision.decline_subject,
    )


def _find_by_key(keys: Iterable[_Key]) -> dict[_Key, _Stored]:
    return {(row[0], row[1]): _Stored(*row[2:]) for row in run(_FIND_BY_KEY, sorted(keys))}


def _answer(request: HoldRequest, stored: _Stored, *, replayed: bool) -> HoldResult:
    if (stored.owner_key, stored.unit) != (request.owner_key, request.unit):
        # Another tenant's hold: not even its id is told.
        return HoldResult("conflict", 0, "", 0, replayed=replayed)
    if stored.request_hash != request.request_hash:
        outcome = "conflict"
    else:
        outcome = "declined" if stored.state == HoldState.DECLINED else "held"
    return HoldResult(
        outcome,
        stored.pk,
        stored.public_id,
        stored.amount,
        stored.decline_code,
        stored.decline_subject,
        replayed,
    )


def _key(request: HoldRequest) -> _Key:
    return (request.idempotency_scope, request.idempotency_key)
