"""Capturing holds: what a call really cost leaves the wallet, once, in the published burn order."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from django.db.transaction import atomic
from django.utils.translation import gettext_lazy as _

from marketplace.ledger.models import AccountKind, HoldState, TransactionKind
from marketplace.ledger.services import reads
from marketplace.ledger.services.accounts import AccountKey, resolve_accounts
from marketplace.ledger.services.checks import check_capture_request
from marketplace.ledger.services.commands import OPERATOR, CaptureRequest, CaptureResult
from marketplace.ledger.services.draft import Draft, Heading, hash_request, match_lines
from marketplace.ledger.services.extensions import available, extend, sources, wallets_of
from marketplace.ledger.services.lot_expiry import expire_due_lots
from marketplace.ledger.services.releases import set_free
from marketplace.ledger.services.rows import HoldRow, LotRow, WalletRow
from marketplace.ledger.sql import Statement, run
from portal.kernel.errors import NotFound

_Takes = list[tuple[WalletRow, int]]
_Generals = dict[tuple[str, str], WalletRow]

_FIND_CAPTURES = Statement(
    """
    SELECT t.hold_id, t.request_hash, t.id, t.public_id, (
      SELECT COALESCE(SUM(e.amount_millitokens), 0)
      FROM ledger_entry e JOIN ledger_account a ON a.id = e.debit_account_id
      WHERE e.transaction_id = t.id AND a.kind = 'promotion')
    FROM {rows} JOIN ledger_transaction t ON t.hold_id = v.hold_id AND t.kind = 'capture'
    """,
    columns="hold_id bigint",
)


class UnknownHold(NotFound):
    """There is no such hold."""

    code = "unknown_hold"


def capture_holds(requests: Sequence[CaptureRequest], *, now: datetime) -> list[CaptureResult]:
    """Capture each hold once, in one commit; one result per request, see CaptureResult.

    A cost over the hold first extends it, as far as wallets and limits allow; the operator pays
    the rest (promotion → the credited accounts), never the tenant. An amount of 0 releases. A
    hold that has expired is captured late from what is spendable now, whole or not at all.
    Raises UnknownHold, ValueError when the credits don't add up; then nothing is written.
    """
    for request in requests:
        check_capture_request(request)
    if not requests:
        return []
    with atomic(savepoint=False):
        results = _capture(requests, now)
    if not results:
        raise UnknownHold(_("There is no such hold. Nothing was charged."))
    return results


def _capture(requests: Sequence[CaptureRequest], now: datetime) -> list[CaptureResult]:
    """Empty when a hold is unknown."""
    firsts: dict[str, CaptureRequest] = {}
    for request in requests:
        firsts.setdefault(request.hold_id, request)
    locked = reads.lock_holds(
        firsts, accounts_of=lambda hold: _account_keys(hold, firsts[hold.public_id])
    )
    if len(locked.holds) < len(firsts):
        return []
    resolved = [hold for hold in locked.holds.values() if not _is_capturable(hold)]
    results = _find_resolved(resolved, firsts)
    fresh = [
        (locked.holds[hold_id], request)
        for hold_id, request in firsts.items()
        if hold_id not in results
    ]
    if fresh:
        results |= _capture_fresh(fresh, locked, now)
    return [_answer(request, firsts[request.hold_id], results) for request in requests]


def _answer(
    request: CaptureRequest, first: CaptureRequest, results: dict[str, CaptureResult]
) -> CaptureResult:
    """The same hold again in one batch is told what became of it the first time."""
    result = results[request.hold_id]
    if request is first:
        return result
    if _hash(request) != _hash(first):
        return replace(result, outcome="already_resolved")
    return replace(result, outcome="replayed") if result.outcome == "captured" else result


def _capture_fresh(
    asked: Sequence[tuple[HoldRow, CaptureRequest]], locked: reads.Locked, now: datetime
) -> dict[str, CaptureResult]:
    """Capture holds that are pending or expired."""
    draft = Draft(now)
    needy = [hold for hold, request in asked if _needs_more(hold, request)]
    expire_due_lots(draft, wallets_of(needy, locked.generals))
    accounts = dict(locked.accounts)
    wanted = {key for hold, request in asked for key in _account_keys(hold, request)}
    if missing := wanted - accounts.keys():
        accounts |= resolve_accounts(missing)
    posted = {}
    for hold, request in asked:
        takes = _take(draft, hold, locked.generals, request.amount_millitokens)
        posted[hold.public_id] = _post(draft, hold, request, takes, accounts)
    pks = draft.flush()
    return {
        hold_id: CaptureResult(
            "captured", pks.get(transaction_id), transaction_id, captured, uncovered
        )
        for hold_id, (transaction_id, captured, uncovered) in posted.items()
    }


def _take(draft: Draft, hold: HoldRow, generals: _Generals, cost: int) -> _Takes:
    """Resolve the hold in memory; what each wallet pays of the cost, in burn order."""
    draft.touch(hold)
    if hold.state == HoldState.EXPIRED:
        takes = _take_late(hold, generals, cost)
    else:
        extra = available(hold, generals, most=cost - hold.amount) if cost > hold.amount else 0
        if extra:
            extend(draft, hold, generals, extra)
        takes = _share_out(cost, [(part.wallet, part.amount) for part in hold.parts])
        set_free(hold)
    hold.captured = sum(amount for _, amount in takes)
    for limit in hold.limits:
        limit.spent += hold.captured
    if cost:
        hold.state = HoldState.CAPTURED
        hold.resolved_at = draft.now
    elif hold.state == HoldState.PENDING:
        hold.state = HoldState.RELEASED
        hold.resolved_at = draft.now
    return takes


def _take_late(hold: HoldRow, generals: _Generals, cost: int) -> _Takes:
    """A fresh conditional debit: all of the cost or nothing."""
    if available(hold, generals, most=cost) < cost:
        return []
    hold.amount = max(hold.amount, cost)
    return _share_out(cost, [(wallet, wallet.spendable) for wallet in sources(hold, generals)])


def _share_out(cost: int, offers: Iterable[tuple[WalletRow, int]]) -> _Takes:
    takes = []
    for wallet, offer in offers:
        taken = min(cost, offer)
        if taken > 0:
            takes.append((wallet, taken))
            cost -= taken
    return takes


def _post(
    draft: Draft,
    hold: HoldRow,
    request: CaptureRequest,
    takes: _Takes,
    accounts: dict[AccountKey, int],
) -> tuple[str, int, int]:
    """Add the transaction, if anything was due: (its id, captured, uncovered)."""
    if not request.amount_millitokens:
        return ("", 0, 0)
    uncovered = request.amount_millitokens - hold.captured
    debits: list[tuple[int, WalletRow | None, int]] = [
        (wallet.account_id, wallet, amount) for wallet, amount in takes
    ]
    if uncovered:
        promotion = accounts[AccountKind.PROMOTION.value, OPERATOR, hold.unit]
        debits.append((promotion, None, uncovered))
    credits = [
        (accounts[credit.account_kind, credit.owner_key, hold.unit], credit.amount_millitokens)
        for credit in request.credits
        if credit.amount_millitokens
    ]
    burns: list[tuple[LotRow, int]] = []
    for wallet, amount in takes:
        burns += wallet.burn(amount)
    heading = Heading(
        kind=TransactionKind.CAPTURE,
        idempotency_scope="capture",
        idempotency_key=hold.public_id,
        request_hash=_hash(request),
        reference=request.reference,
        reason=request.reason,
        hold_id=hold.id,
    )
    transaction_id = draft.post(heading, match_lines(debits, credits), burns)
    return (transaction_id, hold.captured, uncovered)


def _find_resolved(
    holds: Sequence[HoldRow], requests: dict[str, CaptureRequest]
) -> dict[str, CaptureResult]:
    """What became of holds that can't be captured any more."""
    if not holds:
        return {}
    captures = {row[0]: row[1:] for row in run(_FIND_CAPTURES, [(hold.id,) for hold in holds])}
    results = {}
    for hold in holds:
        request = requests[hold.public_id]
        request_hash, pk, transaction_id, uncovered = captures.get(hold.id, ("", None, "", 0))
        same = request_hash == _hash(request)
        if hold.state == HoldState.RELEASED:
            same = not request.amount_millitokens
        outcome = "replayed" if same else "already_resolved"
        results[hold.public_id] = CaptureResult(
            outcome, pk, transaction_id, hold.captured, int(uncovered)
        )
    return results


def _is_capturable(hold: HoldRow) -> bool:
    return hold.state in (HoldState.PENDING, HoldState.EXPIRED)


def _needs_more(hold: HoldRow, request: CaptureRequest) -> bool:
    late = hold.state == HoldState.EXPIRED and request.amount_millitokens > 0
    return late or request.amount_millitokens > hold.amount


def _account_keys(hold: HoldRow, request: CaptureRequest) -> list[AccountKey]:
    keys = [
        (side.account_kind, side.owner_key, hold.unit)
        for side in request.credits
        if side.amount_millitokens
    ]
    if _needs_more(hold, request):
        keys.append((AccountKind.PROMOTION.value, OPERATOR, hold.unit))
    return keys


def _hash(request: CaptureRequest) -> str:
    sides = [
        [side.account_kind, side.owner_key, side.amount_millitokens] for side in request.credits
    ]
    return hash_request(request.hold_id, request.amount_millitokens, request.reference, sides)
