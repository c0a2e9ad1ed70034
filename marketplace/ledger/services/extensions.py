"""Extending holds: more tokens from the wallets of the hold, then from the general one."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db.transaction import atomic

from marketplace.ledger.models import HoldState
from marketplace.ledger.services import reads
from marketplace.ledger.services.checks import check_amount
from marketplace.ledger.services.draft import Draft
from marketplace.ledger.services.lot_expiry import expire_due_lots
from marketplace.ledger.services.rows import HoldRow, PartRow, WalletRow

Generals = dict[tuple[str, str], WalletRow]  # the general wallets by owner and unit


def extend_holds(extensions: Sequence[tuple[str, int]], *, now: datetime) -> list[bool]:
    """Add (hold id, extra millitokens) to pending holds, each all or nothing, in one commit.

    False, and nothing changed for that hold, when it is not pending any more, has outlived its
    expiry, or wallets or limits do not allow it.
    """
    for _, extra in extensions:
        check_amount(extra, least=1)
    if not extensions:
        return []
    with atomic(savepoint=False):
        locked = reads.lock_holds(hold_id for hold_id, _ in extensions)
        holds = {
            public_id: hold
            for public_id, hold in locked.holds.items()
            if hold.state == HoldState.PENDING and hold.expires_at > now
        }
        draft = Draft(now)
        expire_due_lots(draft, wallets_of(holds.values(), locked.generals))
        results = []
        for hold_id, extra in extensions:
            hold = holds.get(hold_id)
            extended = hold is not None and available(hold, locked.generals, most=extra) == extra
            if hold is not None and extended:
                extend(draft, hold, locked.generals, extra)
            results.append(extended)
        draft.flush()
    return results


def wallets_of(holds: Iterable[HoldRow], generals: Generals) -> Iterable[WalletRow]:
    """Each wallet that these holds could get more from, once."""
    return {w.id: w for hold in holds for w in sources(hold, generals)}.values()


def sources(hold: HoldRow, generals: Generals) -> list[WalletRow]:
    """Wallets that more can come from, in burn order: those of the parts, the general one last."""
    wallets = [part.wallet for part in hold.parts]
    general = generals.get((hold.owner_key, hold.unit))
    if general is not None and all(wallet.id != general.id for wallet in wallets):
        wallets.append(general)
    return wallets


def available(hold: HoldRow, generals: Generals, *, most: int) -> int:
    """How much of ``most`` the hold could still get from its wallets within its limits."""
    amount = min(most, sum(wallet.spendable for wallet in sources(hold, generals)))
    for limit in hold.limits:
        if limit.max is not None:
            amount = min(amount, limit.max - limit.held - limit.spent)
    return max(amount, 0)


def extend(draft: Draft, hold: HoldRow, generals: Generals, extra: int) -> None:
    """Add ``extra``, which ``available`` has allowed, to the hold, its parts and limits."""
    hold.amount += extra
    for limit in hold.limits:
        limit.held += extra
    parts = {part.wallet.id: part for part in hold.parts}
    for wallet in sources(hold, generals):
        taken = min(wallet.spendable, extra)
        if taken <= 0:
            continue
        if wallet.id not in parts:
            hold.parts.append(PartRow(wallet, len(hold.parts), 0))
            parts[wallet.id] = hold.parts[-1]
        parts[wallet.id].amount += taken
        wallet.held += taken
        extra -= taken
    assert not extra
    draft.touch(hold)
