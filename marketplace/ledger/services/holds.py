"""Placing holds: all or nothing over a tenant's wallets and limits, once per key."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db import connection
from django.db.transaction import atomic

from marketplace.ledger.models import HoldState
from marketplace.ledger.services import reads, writes
from marketplace.ledger.services.checks import check_hold_request
from marketplace.ledger.services.commands import HoldRequest, HoldResult
from marketplace.ledger.services.draft import Draft
from marketplace.ledger.services.lot_expiry import expire_due_lots
from marketplace.ledger.services.quick_hold import place_quickly
from marketplace.ledger.services.rows import HoldRow, LimitRow, PartRow, WalletRow
from marketplace.ledger.sql import Row, Statement, run
from portal.kernel.public_ids import new_public_id

_Key = tuple[str, str]  # idempotency scope and key

_FIND_BY_KEY = Statement(
    """
    SELECT h.idempotency_scope, h.idempotency_key, h.request_hash, h.id, h.public_id,
      h.amount_millitokens, h.state, h.decline_code, h.decline_subject
    FROM {rows} JOIN ledger_hold h ON h.idempotency_scope = v.scope AND h.idempotency_key = v.key
    """,
    columns="scope text, key text",
)


@dataclass(slots=True)
class _Decision:
    """What is to become of one request; no code means that it is held."""

    request: HoldRequest
    public_id: str
    parts: list[PartRow] = field(default_factory=list)
    limits: list[LimitRow] = field(default_factory=list)
    decline_code: str = ""
    decline_subject: str = ""

    def stored(self, pk: int) -> "_Stored":
        state = HoldState.DECLINED if self.decline_code else HoldState.PENDING
        return _Stored(
            self.request.request_hash,
            pk,
            self.public_id,
            self.request.amount_millitokens,
            state.value,
            self.decline_code,
            self.decline_subject,
        )


@dataclass(frozen=True, slots=True)
class _Stored:
    """A hold as its answer is told from it."""

    request_hash: str
    pk: int
    public_id: str
    amount: int
    state: str
    decline_code: str
    decline_subject: str


def place_holds(requests: Sequence[HoldRequest], *, now: datetime) -> list[HoldResult]:
    """Hold tokens for each request, in this order, in one commit; one result per request.

    A request that cannot be paid is "declined", a known key with another hash a "conflict";
    both leave balances as they were. Declines are stored, so a retry gets the same answer.
    Raises ValueError, before anything is written, for a request that makes no sense.
    """
    for request in requests:
        check_hold_request(request)
    if not requests:
        return []
    if len(requests) == 1 and connection.vendor == "postgresql":
        result = place_quickly(requests[0], now=now)
        if result is not None:
            return [result]
    with atomic(savepoint=False):
        return _place(requests, now)


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
    fresh: dict[_Key, HoldRequest], wallets: dict[tuple[str, str, str], WalletRow], now: datetime
) -> dict[_Key, _Stored]:
    """Decide and write requests whose keys are not known; those that raced are left out."""
    draft = Draft(now)
    expire_due_lots(draft, wallets.values())
    limits = _lock_limits(fresh.values(), wallets)
    decisions = [_decide(request, wallets, limits) for request in fresh.values()]
    pks = {public_id: pk for pk, public_id in _insert(decisions, now)}
    placed = {}
    for decision in decisions:
        pk = pks.get(decision.public_id)
        if pk is None:
            _reserve(decision, sign=-1)
        else:
            placed[_key(decision.request)] = decision.stored(pk)
            if not decision.decline_code:
                _enter(draft, decision, pk)
    draft.flush()
    return placed


def _lock_limits(
    requests: Iterable[HoldRequest], wallets: dict[tuple[str, str, str], WalletRow]
) -> dict[tuple[str, datetime], LimitRow]:
    """Limits of the requests that the wallets could pay; those that are missing are made."""
    wanted = {
        (demand.subject, demand.period_start): demand.max_millitokens
        for request in requests
        if request.limits and _spendable(request, wallets) >= request.amount_millitokens
        for demand in request.limits
    }
    if not wanted:
        return {}
    found = reads.lock_limits_named(wanted)
    if len(found) < len(wanted):
        missing = wanted.keys() - {(limit.subject, limit.period_start) for limit in found}
        run(writes.INSERT_LIMITS, [(*name, wanted[name]) for name in missing])
        found += reads.lock_limits_named(missing)
    return {(limit.subject, limit.period_start): limit for limit in found}


def _decide(
    request: HoldRequest,
    wallets: dict[tuple[str, str, str], WalletRow],
    limits: dict[tuple[str, datetime], LimitRow],
) -> _Decision:
    """Reserve in memory, or decline."""
    decision = _Decision(request, new_public_id("hld"))
    needed = request.amount_millitokens
    candidates = _wallets(request, wallets)
    for wallet in candidates:
        taken = min(wallet.spendable, needed)
        if taken > 0:
            decision.parts.append(PartRow(wallet, len(decision.parts), taken))
            needed -= taken
    if needed:
        frozen = any(wallet.frozen for wallet in candidates)
        decision.decline_code = "wallet_frozen" if frozen else "insufficient_funds"
        return decision
    for demand in request.limits:
        limit = limits[demand.subject, demand.period_start]
        if not limit.allows(request.amount_millitokens, maximum=demand.max_millitokens):
            decision.decline_code, decision.decline_subject = "limit_exceeded", demand.subject
            return decision
    for demand in request.limits:
        limit = limits[demand.subject, demand.period_start]
        limit.max = demand.max_millitokens
        decision.limits.append(limit)
    _reserve(decision, sign=1)
    return decision


def _reserve(decision: _Decision, *, sign: int) -> None:
    if decision.decline_code:
        return
    for part in decision.parts:
        part.wallet.held += sign * part.amount
    for limit in decision.limits:
        limit.held += sign * decision.request.amount_millitokens


def _insert(decisions: Iterable[_Decision], now: datetime) -> list[Row]:
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


def _enter(draft: Draft, decision: _Decision, pk: int) -> None:
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


def _find_by_key(keys: Iterable[_Key]) -> dict[_Key, _Stored]:
    return {(row[0], row[1]): _Stored(*row[2:]) for row in run(_FIND_BY_KEY, sorted(keys))}


def _answer(request: HoldRequest, stored: _Stored, *, replayed: bool) -> HoldResult:
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


def _wallets(
    request: HoldRequest, wallets: dict[tuple[str, str, str], WalletRow]
) -> list[WalletRow]:
    names = [(request.owner_key, request.unit, scope) for scope in (*request.scopes, "")]
    return [wallets[name] for name in names if name in wallets]


def _spendable(request: HoldRequest, wallets: dict[tuple[str, str, str], WalletRow]) -> int:
    return sum(wallet.spendable for wallet in _wallets(request, wallets))


def _key(request: HoldRequest) -> _Key:
    return (request.idempotency_scope, request.idempotency_key)
