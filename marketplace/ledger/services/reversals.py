"""Reversing captures, whole or in part: tokens go back into the lots that they came from."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from django.db.models import Sum
from django.utils.translation import gettext_lazy as _

from marketplace.ledger.models import Entry, LotBurn, Transaction, TransactionKind
from marketplace.ledger.services import checks
from marketplace.ledger.services.commands import Credit, PostResult
from marketplace.ledger.services.draft import Draft, Heading, Line, hash_request
from marketplace.ledger.services.postings import post_once
from marketplace.ledger.services.reads import lock_wallets
from marketplace.ledger.services.rows import LotRow, WalletRow
from marketplace.ledger.sql import StateChanged
from portal.kernel.errors import NotFound, Rejected


class UnknownTransaction(NotFound):
    """There is no such transaction."""

    code = "unknown_transaction"


class NotReversible(Rejected):
    """This can't be reversed, or not by so much."""

    code = "not_reversible"


def reverse_transaction(
    *,
    transaction_id: str,
    debits: Sequence[tuple[str, str, int]] | None = None,
    idempotency_key: str,
    reason: str,
    reference: str = "",
    now: datetime,
) -> PostResult:
    """Give back what a capture took, at the expense of those that it had credited.

    ``debits`` (account kind, owner, millitokens) say who gives back how much; None is all that
    was not given back before. What the tenant paid goes back into its lots, those burnt last
    first, even if they have expired since (then it expires again); what the operator paid goes
    back to promotion. Over all reversals no account gives back more than it got: NotReversible.
    """
    sides = None if debits is None else [Credit(*debit) for debit in debits]
    if sides is not None:
        checks.check_sides(sides, sum(side.amount_millitokens for side in sides))
    checks.check_heading("reversal", idempotency_key, reference, reason)
    original = Transaction.objects.filter(public_id=transaction_id).first()
    if original is None:
        raise UnknownTransaction(_("There is no such transaction."))
    if original.kind != TransactionKind.CAPTURE:
        raise NotReversible(_("Only the charge of a call can be reversed."))
    wanted = None
    if sides is not None:
        wanted = [[side.account_kind, side.owner_key, side.amount_millitokens] for side in sides]
    heading = Heading(
        kind=TransactionKind.REVERSAL,
        idempotency_scope="reversal",
        idempotency_key=idempotency_key,
        request_hash=hash_request(transaction_id, wanted, reference),
        reference=reference or original.reference,
        reason=reason,
        reverses_id=original.pk,
    )
    return post_once(heading, lambda: _reverse(original, heading, sides, now))


def _reverse(
    original: Transaction, heading: Heading, sides: list[Credit] | None, now: datetime
) -> tuple[Draft, str]:
    entries = list(original.entries.select_related("credit_account").order_by("-line"))
    wallets = lock_wallets(entry.wallet_id for entry in entries if entry.wallet_id)
    draft = Draft(now)
    lines = [
        Line(
            entry.credit_account_id,
            entry.debit_account_id,
            amount,
            wallets[entry.wallet_id] if entry.wallet_id else None,
        )
        for entry, amount in _choose(original, entries, sides)
    ]
    burns: list[tuple[LotRow, int]] = []
    for wallet in wallets.values():
        amount = sum(line.amount for line in lines if line.wallet is wallet)
        burns += _return_to_lots(original, wallet, amount)
    # Unique with the original, so that of two at once one fails and looks again.
    number = original.reversals.count() + 1
    return draft, draft.post(replace(heading, reversal_no=number), lines, burns)


def _choose(
    original: Transaction, entries: Sequence[Entry], sides: list[Credit] | None
) -> list[tuple[Entry, int]]:
    """Which of the original's entries are turned round, the last first, and with how much."""
    given_back = {
        (debit, credit): amount
        for debit, credit, amount in Entry.objects.filter(transaction__reverses=original)
        .values_list("debit_account", "credit_account")
        .annotate(Sum("amount_millitokens"))
    }
    left = [
        (
            entry,
            entry.amount_millitokens
            - given_back.get((entry.credit_account_id, entry.debit_account_id), 0),
        )
        for entry in entries
    ]
    if sides is None:
        chosen = [(entry, amount) for entry, amount in left if amount]
    else:
        chosen = [pair for side in sides for pair in _share(left, side)]
    if not chosen:
        raise NotReversible(_("All of this was given back before. Nothing was changed."))
    return chosen


def _share(left: Sequence[tuple[Entry, int]], side: Credit) -> list[tuple[Entry, int]]:
    wanted = side.amount_millitokens
    chosen = []
    for entry, amount in left:
        account = entry.credit_account
        taken = min(wanted, amount)
        if (account.kind, account.owner_key) == (side.account_kind, side.owner_key) and taken:
            chosen.append((entry, taken))
            wanted -= taken
    if wanted:
        raise NotReversible(
            _("More would be given back than was received. Nothing was changed."),
            data={"account_kind": side.account_kind, "owner_key": side.owner_key},
        )
    return chosen


def _return_to_lots(
    original: Transaction, wallet: WalletRow, amount: int
) -> list[tuple[LotRow, int]]:
    """Unwind the original's burns in this locked wallet, the last first."""
    returned = dict(
        LotBurn.objects.filter(transaction__reverses=original)
        .values_list("lot")
        .annotate(Sum("amount_millitokens"))
    )
    wallet.lots = []
    burns = []
    for burn in original.burns.filter(lot__wallet=wallet.id).select_related("lot").order_by("-pk"):
        given = min(amount, burn.amount_millitokens - returned.get(burn.lot_id, 0))
        if not given:
            continue
        amount -= given
        lot = LotRow(
            burn.lot_id,
            burn.lot.public_id,
            wallet.id,
            burn.lot.remaining_millitokens,
            burn.lot.expires_at,
        )
        lot.remaining += given
        wallet.lots.append(lot)
        burns.append((lot, given))
        if lot.expires_at is not None:
            wallet.next_expiry_at = min(lot.expires_at, wallet.next_expiry_at or lot.expires_at)
    if amount:
        raise StateChanged(f"transaction {original.pk}: its burns are less than its entries")
    return burns
