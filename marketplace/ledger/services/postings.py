"""Corrections of the books: new transactions, never edits of history."""

from collections.abc import Callable, Sequence
from datetime import datetime

from django.db import IntegrityError
from django.db.transaction import atomic
from django.utils.translation import gettext_lazy as _

from marketplace.ledger.models import Transaction, TransactionKind
from marketplace.ledger.services import checks
from marketplace.ledger.services.accounts import resolve_accounts
from marketplace.ledger.services.commands import Move, PostResult
from marketplace.ledger.services.draft import Draft, Heading, Line, hash_request
from marketplace.ledger.watch import refuse_when_unguarded
from portal.kernel.errors import Conflict

_CORRECTIONS = (TransactionKind.ADJUSTMENT, TransactionKind.PAYOUT)
# How often to look again when another process has posted in between.
_ATTEMPTS = 3


class PostedDifferently(Conflict):
    """Something else was posted under this key before."""

    code = "posted_differently"


def post_transaction(
    *,
    kind: str,
    unit: str,
    idempotency_scope: str,
    idempotency_key: str,
    moves: Sequence[Move],
    reason: str,
    reference: str = "",
    now: datetime,
) -> PostResult:
    """Move amounts between accounts other than wallets, as an adjustment or payout.

    Tenants' tokens only move with their lots, by grants, captures, expiry and reversals. The same
    key answers with ``created=False``; PostedDifferently if the moves were others.
    """
    if kind not in _CORRECTIONS or not moves or not reason:
        raise ValueError("an adjustment or payout moves something, for a reason")
    checks.check_unit(unit)
    checks.check_heading(idempotency_scope, idempotency_key, reference, reason)
    for move in moves:
        checks.check_amount(move.amount_millitokens, least=1)
        checks.check_account(*move.debit)
        checks.check_account(*move.credit)
        if move.debit == move.credit:
            raise ValueError("a move is from one account to another")
    heading = Heading(
        kind=kind,
        idempotency_scope=idempotency_scope,
        idempotency_key=idempotency_key,
        request_hash=hash_request(kind, unit, [move.as_list() for move in moves], reference),
        reference=reference,
        reason=reason,
    )

    def post() -> tuple[Draft, str]:
        draft = Draft(now)
        sides = {(*side, unit) for move in moves for side in (move.debit, move.credit)}
        accounts = resolve_accounts(sides)
        lines = [
            Line(
                accounts[(*move.debit, unit)],
                accounts[(*move.credit, unit)],
                move.amount_millitokens,
            )
            for move in moves
        ]
        return draft, draft.post(heading, lines)

    return post_once(heading, post)


def post_once(heading: Heading, post: Callable[[], tuple[Draft, str]]) -> PostResult:
    """Post under the heading's key unless it was posted before.

    ``post`` drafts the transaction and returns its id. It runs inside a savepoint, and again
    when another process has taken the key or number in between. Raises LedgerUnguarded.
    """
    refuse_when_unguarded()
    for attempt in range(1, _ATTEMPTS + 1):
        stored = Transaction.objects.filter(
            idempotency_scope=heading.idempotency_scope, idempotency_key=heading.idempotency_key
        ).first()
        if stored is not None:
            if stored.request_hash != heading.request_hash:
                raise PostedDifferently(
                    _("Something else was posted under this key before. Nothing was changed.")
                )
            return PostResult(stored.pk, stored.public_id, created=False)
        try:
            with atomic():
                draft, public_id = post()
                pk = draft.flush()[public_id]
        except IntegrityError:
            if attempt == _ATTEMPTS:
                raise
        else:
            return PostResult(pk, public_id, created=True)
    raise AssertionError("the last attempt returns or raises")
