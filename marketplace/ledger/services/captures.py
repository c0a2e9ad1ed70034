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
from marketplace.ledger.services.commands import (
    BASIS_POINTS,
    OPERATOR,
    Beside,
    CaptureRequest,
    CaptureResult,
)
from marketplace.ledger.services.draft import Draft, Heading, match_lines
from marketplace.ledger.services.extensions import available, extend, sources, wallets_of
from marketplace.ledger.services.lot_expiry import expire_due_lots
from marketplace.ledger.services.past_captures import find_past_captures, hash_capture
from marketplace.ledger.services.releases import set_free
from marketplace.ledger.services.rows import HoldRow, LotRow, WalletRow
from portal.kernel.errors import NotFound

_Takes = list[tuple[WalletRow, int]]
_Generals = dict[tuple[str, str], WalletRow]


class UnknownHold(NotFound):
    """There is no such hold."""

    code = "unknown_hold"


def capture_holds(
    requests: Sequence[CaptureRequest], *, now: datetime, beside: Beside | None = None
) -> list[CaptureResult]:
    """Capture each hold once, in one commit; one result per request, see CaptureResult.

    A cost over the hold first extends it, as far as wallets and limits allow. What passes even
    that is owed by nobody: the operator sets it aside (promotion → suspense, under the payee's
    key) until a person decides. A hold that has expired is captured late from what is spendable
    now: all of the cost, else all that was held, else nothing, and then the operator owes what was
    held (promotion → payable and commission). The tenant never pays more than it has. An amount
    of 0 releases. What ``beside`` wants of the results is written in the same statement. Raises
    UnknownHold, ValueError for a request that makes no sense; then nothing is written.
    """
    for request in requests:
        check_capture_request(request)
    if not requests and beside is None:
        return []
    with atomic(savepoint=False):
        results = _capture(requests, now, beside)
    if len(results) < len(requests):
        raise UnknownHold(_("There is no such hold. Nothing was charged."))
    return results


def _capture(
    requests: Sequence[CaptureRequest], now: datetime, beside: Beside | None
) -> list[CaptureResult]:
    """Empty when a hold is unknown."""
    firsts: dict[str, CaptureRequest] = {}
    for request in requests:
        firsts.setdefault(request.hold_id, request)
    locked = reads.lock_holds(
        firsts, accounts_of=lambda hold: _possible_accounts(hold, firsts[hold.public_id])
    )
    if len(locked.holds) < len(firsts):
        return []
    results: dict[str, CaptureResult] = {}
    resolved: list[HoldRow] = []
    fresh: list[tuple[HoldRow, CaptureRequest]] = []
    for hold_id, request in firsts.items():
        hold = locked.holds[hold_id]
        if hold.state not in (HoldState.PENDING, HoldState.EXPIRED):
            resolved.append(hold)
        elif request.late == "refuse" and _is_late(hold, now):
            results[hold_id] = CaptureResult("expired")
        else:
            fresh.append((hold, request))
    results |= find_past_captures(resolved, firsts)
    draft = Draft(now)
    results |= _capture_fresh(draft, fresh, locked)
    answers = [_answer(request, firsts[request.hold_id], results) for request in requests]
    if beside is not None:
        draft.beside = beside.choose(answers)
    pks = draft.flush()
    if beside is not None:
        beside.note(draft.returned_beside)
    return [
        replace(answer, transaction_pk=pks.get(answer.transaction_id, answer.transaction_pk))
        for answer in answers
    ]


def _is_late(hold: HoldRow, now: datetime) -> bool:
    return hold.state == HoldState.EXPIRED or hold.expires_at <= now


def _answer(
    request: CaptureRequest, first: CaptureRequest, results: dict[str, CaptureResult]
) -> CaptureResult:
    """The same hold again in one batch is told what became of it the first time."""
    result = results[request.hold_id]
    if request is first or result.outcome == "expired":
        return result
    if hash_capture(request) != hash_capture(first):
        return replace(result, outcome="already_resolved")
    return replace(result, outcome="replayed") if result.outcome == "captured" else result


def _capture_fresh(
    draft: Draft, asked: Sequence[tuple[HoldRow, CaptureRequest]], locked: reads.Locked
) -> dict[str, CaptureResult]:
    """Capture holds that are pending or expired, in memory; what is to be written is drafted."""
    needy = [hold for hold, request in asked if _needs_more(hold, request)]
    expire_due_lots(draft, wallets_of(needy, locked.generals))
    accounts = dict(locked.accounts)
    posted: dict[str, CaptureResult] = {}
    for hold, request in asked:
        # Taken and posted one by one: what the next may take depends on both.
        takes = _take(draft, hold, locked.generals, request.amount_millitokens)
        if missing := _sides(hold, request).keys() - accounts.keys():
            accounts |= resolve_accounts(missing)
        posted[hold.public_id] = _post(draft, hold, request, takes, accounts)
    return posted


def _take(draft: Draft, hold: HoldRow, generals: _Generals, cost: int) -> _Takes:
    """Resolve the hold in memory; what each wallet pays of the cost, in burn order.

    Afterwards the hold's amount is the most of the cost that is owed.
    """
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
    """A fresh conditional debit: all of the cost, or all that was held, or nothing."""
    for whole in (cost, min(cost, hold.amount)):
        if available(hold, generals, most=whole) == whole:
            hold.amount = max(hold.amount, whole)
            offers = [(wallet, wallet.spendable) for wallet in sources(hold, generals)]
            return _share_out(whole, offers)
    return []


def _share_out(cost: int, offers: Iterable[tuple[WalletRow, int]]) -> _Takes:
    takes = []
    for wallet, offer in offers:
        taken = min(cost, offer)
        if taken > 0:
            takes.append((wallet, taken))
            cost -= taken
    return takes


def _sides(hold: HoldRow, request: CaptureRequest) -> dict[AccountKey, int]:
    """Accounts other than wallets that a taken hold's capture moves, each with its amount: the
    promotion gives, the others get, what is owed first: so wallets pay for nothing else."""
    cost = request.amount_millitokens
    owed = min(cost, hold.amount)
    share = owed * request.share_basis_points // BASIS_POINTS
    sides = {
        (AccountKind.PROMOTION.value, OPERATOR, hold.unit): cost - hold.captured,
        (AccountKind.PAYABLE.value, request.payee, hold.unit): share,
        (AccountKind.COMMISSION.value, OPERATOR, hold.unit): owed - share,
        (AccountKind.SUSPENSE.value, request.payee, hold.unit): cost - owed,
    }
    return {key: amount for key, amount in sides.items() if amount}


def _post(
    draft: Draft,
    hold: HoldRow,
    request: CaptureRequest,
    takes: _Takes,
    accounts: dict[AccountKey, int],
) -> CaptureResult:
    """Add the transaction, if anything was due."""
    if not request.amount_millitokens:
        return CaptureResult("captured")
    debits: list[tuple[int, WalletRow | None, int]] = [
        (wallet.account_id, wallet, amount) for wallet, amount in takes
    ]
    sides = {key[0]: (accounts[key], amount) for key, amount in _sides(hold, request).items()}
    promotion, operators = sides.pop(AccountKind.PROMOTION.value, (0, 0))
    if operators:
        debits.append((promotion, None, operators))
    burns: list[tuple[LotRow, int]] = []
    for wallet, amount in takes:
        burns += wallet.burn(amount)
    heading = Heading(
        kind=TransactionKind.CAPTURE,
        idempotency_scope="capture",
        idempotency_key=hold.public_id,
        request_hash=hash_capture(request),
        reference=request.reference,
        reason=request.reason,
        hold_id=hold.id,
    )
    _suspense, in_suspense = sides.get(AccountKind.SUSPENSE.value, (0, 0))
    _account, payable = sides.get(AccountKind.PAYABLE.value, (0, 0))
    return CaptureResult(
        "captured",
        transaction_id=draft.post(heading, match_lines(debits, list(sides.values())), burns),
        captured_millitokens=hold.captured,
        uncovered_millitokens=operators - in_suspense,
        in_suspense_millitokens=in_suspense,
        payable_millitokens=payable,
    )


def _needs_more(hold: HoldRow, request: CaptureRequest) -> bool:
    late = hold.state == HoldState.EXPIRED and request.amount_millitokens > 0
    return late or request.amount_millitokens > hold.amount


def _possible_accounts(hold: HoldRow, request: CaptureRequest) -> list[AccountKey]:
    """To be read with the hold, if they exist."""
    if not request.amount_millitokens:
        return []
    keys = [
        (AccountKind.PAYABLE.value, request.payee, hold.unit),
        (AccountKind.COMMISSION.value, OPERATOR, hold.unit),
    ]
    if _needs_more(hold, request):
        keys += [
            (AccountKind.PROMOTION.value, OPERATOR, hold.unit),
            (AccountKind.SUSPENSE.value, request.payee, hold.unit),
        ]
    return keys
