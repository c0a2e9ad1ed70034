"""Lots expire to breakage, as far as holds allow.

A hold reserves at the wallet; which lots it burns is chosen at capture. So of an expired lot only
min(remaining, posted − held) expires; the rest is pinned until its holds resolve, and while any
is pinned nothing of the wallet is spendable (posted = held), so no new hold can lean on it.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from marketplace.ledger.models import AccountKind, TransactionKind
from marketplace.ledger.services.accounts import resolve_accounts
from marketplace.ledger.services.commands import OPERATOR, ExpiredLot
from marketplace.ledger.services.draft import Draft, Heading, Line, hash_request
from marketplace.ledger.services.isolation import sweep
from marketplace.ledger.services.reads import load_lots, lock_wallets
from marketplace.ledger.services.rows import WalletRow
from marketplace.ledger.sql import Statement, run

_WALLETS_PER_COMMIT = 100

_DUE_WALLETS = Statement(
    """
    SELECT DISTINCT w.id
    FROM ledger_lot l CROSS JOIN {rows} JOIN ledger_wallet w ON w.id = l.wallet_id
    WHERE l.remaining_millitokens > 0 AND l.expires_at <= v.now
      AND w.posted_millitokens > w.held_millitokens AND w.id > v.after
    ORDER BY w.id LIMIT (SELECT v.most FROM {rows})
    """,
    columns="now timestamptz, after bigint, most bigint",
)


def expire_lots(*, now: datetime) -> list[ExpiredLot]:
    """Expire every lot that is due, some wallets per commit; safe to repeat and to interrupt.

    A wallet that is broken stays as it is and is logged; the others' lots expire.
    """
    expired: list[ExpiredLot] = []
    after = 0
    while True:
        due = [row[0] for row in run(_DUE_WALLETS, [(now, after, _WALLETS_PER_COMMIT)])]
        if not due:
            return expired
        expired += sweep(due, lambda ids: _expire_in(ids, now), what="expire lots")
        after = due[-1]


def _expire_in(wallet_ids: Sequence[int], now: datetime) -> list[ExpiredLot]:
    draft = Draft(now)
    expired = _expire(draft, list(lock_wallets(wallet_ids).values()))
    draft.flush()
    return expired


def expire_due_lots(draft: Draft, wallets: Iterable[WalletRow]) -> list[ExpiredLot]:
    """Add the due expiries of these locked wallets to the draft."""
    due = [wallet for wallet in wallets if wallet.is_due(draft.now)]
    return _expire(draft, due) if due else []


def _expire(draft: Draft, wallets: Sequence[WalletRow]) -> list[ExpiredLot]:
    load_lots(wallets)
    keys = {(AccountKind.BREAKAGE.value, OPERATOR, wallet.unit) for wallet in wallets}
    accounts = resolve_accounts(keys)
    expired: list[ExpiredLot] = []
    for wallet in wallets:
        breakage = accounts[AccountKind.BREAKAGE.value, OPERATOR, wallet.unit]
        expired += _expire_wallet(draft, wallet, breakage)
    return expired


def _expire_wallet(draft: Draft, wallet: WalletRow, breakage: int) -> list[ExpiredLot]:
    expired = []
    draft.touch(wallet)
    assert wallet.lots is not None
    for lot in wallet.lots:
        amount = min(lot.remaining, wallet.posted - wallet.held)
        if lot.expires_at is None or lot.expires_at > draft.now or not amount:
            continue
        lot.remaining -= amount
        heading = Heading(
            kind=TransactionKind.EXPIRY,
            idempotency_scope="expiry",
            # A lot may expire in several steps; the wallet's chain numbers them.
            idempotency_key=f"{lot.public_id}:{wallet.seq + 1}",
            request_hash=hash_request(lot.public_id, amount),
            reference=f"lot:{lot.public_id}",
        )
        line = Line(wallet.account_id, breakage, amount, wallet)
        draft.post(heading, [line], [(lot, amount)])
        expired.append(ExpiredLot(lot.public_id, wallet.owner_key, wallet.unit, amount))
    wallet.refresh_next_expiry()
    return expired
