"""The rules of the ledger once more, in plain Python and as simply as they can be said.

Nothing here imports the ledger. Balances are never kept: they are summed from lots and holds.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

FAR = datetime.max.replace(tzinfo=UTC)


@dataclass
class ModelLot:
    reference: str
    kind: str
    remaining: int
    expires_at: datetime | None
    number: int


@dataclass
class ModelWallet:
    owner: str
    scope: str
    lots: list[ModelLot] = field(default_factory=list)
    reasons: set[str] = field(default_factory=set)

    @property
    def posted(self) -> int:
        return sum(lot.remaining for lot in self.lots)

    def burning(self) -> list[ModelLot]:
        def order(lot: ModelLot):
            return (lot.expires_at or FAR, lot.kind == "paid", lot.number)

        return sorted((lot for lot in self.lots if lot.remaining), key=order)

    def burn(self, amount: int) -> list[tuple[ModelLot, int]]:
        burnt = []
        for lot in self.burning():
            taken = min(lot.remaining, amount)
            lot.remaining -= taken
            amount -= taken
            if taken:
                burnt.append((lot, taken))
        assert amount == 0
        return burnt


@dataclass
class ModelHold:
    owner: str
    amount: int
    parts: list[tuple[ModelWallet, int]]
    limits: list[str]
    expires_at: datetime
    state: str = "pending"
    captured: int = 0
    uncovered: int = 0
    in_suspense: int = 0
    # What a capture moved, per (wallet or None for the operator, account), and what it burnt.
    lines: list[list] = field(default_factory=list)
    burns: list[list] = field(default_factory=list)


@dataclass
class ModelLimit:
    maximum: int | None
    spent: int = 0


class Model:
    """A market of tenants; ``now`` is set by the test."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.wallets: dict[tuple[str, str], ModelWallet] = {}
        self.holds: dict[str, ModelHold] = {}
        self.limits: dict[str, ModelLimit] = {}
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

    def grant(self, owner, scope, reference, kind, amount, expires_at) -> None:
        wallet = self.wallets.setdefault((owner, scope), ModelWallet(owner, scope))
        self.lot_number += 1
        wallet.lots.append(ModelLot(reference, kind, amount, expires_at, self.lot_number))

    def expire(self, wallets: list[ModelWallet]) -> int:
        total = 0
        for wallet in wallets:
            for lot in wallet.burning():
                if lot.expires_at and lot.expires_at <= self.now:
                    amount = min(lot.remaining, wallet.posted - self.held(wallet))
                    lot.remaining -= amount
                    total += amount
        self.expired_something = self.expired_something or total > 0
        return total

    def place(self, hold_id, owner, amount, scopes, limits, expires_at) -> tuple[str, str]:
        """("", "") when held, else the code and subject of the decline."""
        keys = [(owner, scope) for scope in (*scopes, "")]
        wallets = [self.wallets[key] for key in keys if key in self.wallets]
        self.expire(wallets)
        if sum(self.spendable(wallet) for wallet in wallets) < amount:
            frozen = any(wallet.reasons for wallet in wallets)
            return ("wallet_frozen" if frozen else "insufficient_funds", "")
        for subject, maximum in limits:
            limit = self.limits.get(subject)
            used = self.limit_held(subject) + (limit.spent if limit else 0)
            if maximum is not None and used + amount > maximum:
                return ("limit_exceeded", subject)
        for subject, maximum in limits:
            self.limits.setdefault(subject, ModelLimit(maximum)).maximum = maximum
        parts = self.share(amount, wallets)
        names = [subject for subject, _ in limits]
        self.holds[hold_id] = ModelHold(owner, amount, parts, names, expires_at)
        return ("", "")

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

    def extend(self, hold_id: str, extra: int) -> bool:
        hold = self.holds.get(hold_id)
        if hold is None or hold.state != "pending" or hold.expires_at <= self.now:
            return False
        self.expire(self.sources(hold))
        if self.more(hold, extra) < extra:
            return False
        self.grow(hold, extra)
        return True

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

    def capture(self, hold_id: str, cost: int, percent: int) -> str:
        """``percent`` of what is owed is the provider's."""
        hold = self.holds[hold_id]
        if hold.state not in ("pending", "expired"):
            return "already_resolved"
        late = hold.state == "expired"
        if not cost:
            hold.state = "expired" if late else "released"
            return "captured"
        if late or cost > hold.amount:
            self.expire(self.sources(hold))
        if late:
            takes = []
            if self.more(hold, cost) == cost:
                takes = self.share(cost, self.sources(hold))
                hold.amount = max(hold.amount, cost)
            elif self.more(hold, hold.amount) == hold.amount:
                takes = self.share(hold.amount, self.sources(hold))
        else:
            if cost > hold.amount:
                self.grow(hold, self.more(hold, cost - hold.amount))
            takes, left = [], cost
            for wallet, amount in hold.parts:
                takes.append((wallet, min(amount, left)))
                left -= min(amount, left)
        hold.state = "captured"
        hold.captured = sum(amount for _, amount in takes)
        hold.in_suspense = max(cost - hold.amount, 0)
        owed = cost - hold.in_suspense
        hold.uncovered = owed - hold.captured
        for subject in hold.limits:
            self.limits[subject].spent += hold.captured
        for wallet, amount in takes:
            hold.burns += [[wallet, lot, taken] for lot, taken in wallet.burn(amount)]
        givers: list[list[Any]] = [[wallet, amount] for wallet, amount in takes if amount]
        if cost > hold.captured:
            givers.append([None, cost - hold.captured])
        payable = owed * percent // 100
        for account, amount in (
            ("payable", payable),
            ("commission", owed - payable),
            ("suspense", hold.in_suspense),
        ):
            while amount:
                giver, offer = givers[0]
                moved = min(offer, amount)
                hold.lines.append([giver, account, moved])
                amount -= moved
                givers[0][1] -= moved
                if not givers[0][1]:
                    givers.pop(0)
        return "captured"

    def release(self, hold_id: str) -> bool:
        hold = self.holds.get(hold_id)
        if hold is None or hold.state != "pending":
            return False
        hold.state = "released"
        return True

    def expire_holds(self) -> set[str]:
        due = {
            hold_id
            for hold_id, hold in self.holds.items()
            if hold.state == "pending" and hold.expires_at <= self.now
        }
        for hold_id in due:
            self.holds[hold_id].state = "expired"
        return due

    def reverse(self, hold_id: str, account: str | None, amount: int) -> bool:
        """Give back ``amount`` at one account's expense, or all that is left."""
        hold = self.holds[hold_id]
        lines = [line for line in reversed(hold.lines) if account in (None, line[1])]
        left = sum(line[2] for line in lines)
        wanted = left if account is None else amount
        if not left or wanted > left:
            return False
        for line in lines:
            taken = min(line[2], wanted)
            line[2] -= taken
            wanted -= taken
            if line[0] is not None:
                self.unburn(hold, line[0], taken)
        return True

    def unburn(self, hold: ModelHold, wallet: ModelWallet, amount: int) -> None:
        for burn in reversed(hold.burns):
            if burn[0] is wallet:
                taken = min(burn[2], amount)
                burn[2] -= taken
                burn[1].remaining += taken
                amount -= taken
        assert amount == 0
