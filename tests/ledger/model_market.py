"""What tenants have and may spend, in the model of the ledger.

A wallet's balances are never kept: they are summed from lots and holds.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

from tests.ledger.model_rows import (
    ModelHold,
    ModelLimit,
    ModelLot,
    ModelWallet,
)


class Market:
    """A market of tenants; ``now`` is set by the test. ``balances`` of accounts beside wallets are
    by kind: credits less debits."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.wallets: dict[tuple[str, str], ModelWallet] = {}
        self.holds: dict[str, ModelHold] = {}
        self.limits: dict[str, ModelLimit] = {}
        self.balances: Counter[str] = Counter()
        self.expired_something = False
        self.lot_number = 0

    def held(self, wallet: ModelWallet) -> int:
        return sum(
            amount
            for hold in self.holds.values()
            if hold.state == "pending"
            for part, amount in hold.parts
            if part is wallet
        )

    def limit_held(self, subject: str) -> int:
        return sum(
            hold.amount
            for hold in self.holds.values()
            if hold.state == "pending" and subject in hold.limits
        )

    def spendable(self, wallet: ModelWallet) -> int:
        return 0 if wallet.reasons else wallet.posted - self.held(wallet)

    def move(self, debit: str, credit: str, amount: int) -> None:
        self.balances[debit] -= amount
        self.balances[credit] += amount

    def grant(self, owner, scope, reference, kind, debits, expires_at) -> None:
        wallet = self.wallets.setdefault((owner, scope), ModelWallet(owner, scope))
        self.lot_number += 1
        face = sum(debits.values())
        wallet.lots.append(ModelLot(reference, kind, face, expires_at, self.lot_number))
        self.balances.subtract(debits)

    def expire(self, wallets: Iterable[ModelWallet]) -> int:
        total = 0
        for wallet in wallets:
            for lot in wallet.burning():
                if lot.expires_at and lot.expires_at <= self.now:
                    amount = min(lot.remaining, wallet.posted - self.held(wallet))
                    lot.remaining -= amount
                    total += amount
        self.balances["breakage"] += total
        self.expired_something = self.expired_something or total > 0
        return total

    def fitting(self, owner: str, scopes: Sequence[str]) -> list[ModelWallet]:
        keys = [(owner, scope) for scope in (*scopes, "")]
        return [self.wallets[key] for key in keys if key in self.wallets]

    def share(self, amount, wallets) -> list[tuple[ModelWallet, int]]:
        parts = []
        for wallet in wallets:
            taken = min(self.spendable(wallet), amount)
            amount -= taken
            if taken:
                parts.append((wallet, taken))
        return parts

    def sources(self, hold: ModelHold) -> list[ModelWallet]:
        wallets = [wallet for wallet, _ in hold.parts]
        general = self.wallets.get((hold.owner, ""))
        return wallets if general is None or general in wallets else [*wallets, general]

    def more(self, hold: ModelHold, wanted: int) -> int:
        """How much of ``wanted`` the hold's wallets and limits allow."""
        allowed = min(wanted, sum(self.spendable(wallet) for wallet in self.sources(hold)))
        for subject in hold.limits:
            limit = self.limits[subject]
            if limit.maximum is not None:
                used = self.limit_held(subject) + limit.spent
                allowed = min(allowed, limit.maximum - used)
        return max(allowed, 0)

    def grow(self, hold: ModelHold, extra: int) -> None:
        added = self.share(extra, self.sources(hold))
        hold.amount += extra
        for wallet, taken in added:
            for position, (part, amount) in enumerate(hold.parts):
                if part is wallet:
                    hold.parts[position] = (part, amount + taken)
                    break
            else:
                hold.parts.append((wallet, taken))
