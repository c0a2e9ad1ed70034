"""Rows as read under lock and changed in memory; ``draft`` writes them back by compare-and-set."""

from dataclasses import dataclass, field
from datetime import datetime

from marketplace.ledger.sql import StateChanged


@dataclass(slots=True)
class LotRow:
    """A lot with a remainder."""

    id: int
    public_id: str
    wallet_id: int
    remaining: int
    expires_at: datetime | None
    remaining_before: int = 0

    def __post_init__(self) -> None:
        self.remaining_before = self.remaining


@dataclass(slots=True)
class WalletRow:
    """A locked wallet. ``lots`` are in burn order, and None until they are read."""

    id: int
    account_id: int
    owner_key: str
    unit: str
    scope: str
    posted: int
    held: int
    seq: int
    next_expiry_at: datetime | None
    frozen: bool
    lots: list[LotRow] | None = None
    before: tuple[int, int, int, datetime | None] = (0, 0, 0, None)

    def __post_init__(self) -> None:
        self.before = (self.posted, self.held, self.seq, self.next_expiry_at)

    @property
    def changed(self) -> bool:
        return self.before != (self.posted, self.held, self.seq, self.next_expiry_at)

    @property
    def spendable(self) -> int:
        return 0 if self.frozen else self.posted - self.held

    def is_due(self, now: datetime) -> bool:
        """Whether lots must expire before anything new is held."""
        return self.next_expiry_at is not None and self.next_expiry_at <= now

    def burn(self, amount: int) -> list[tuple[LotRow, int]]:
        """Take from the lots in the published order; (lot, taken) for each that gave something."""
        assert self.lots is not None
        burns = []
        for lot in self.lots:
            taken = min(amount, lot.remaining)
            if taken:
                lot.remaining -= taken
                amount -= taken
                burns.append((lot, taken))
            if not amount:
                self.refresh_next_expiry()
                return burns
        raise StateChanged(f"wallet {self.id}: its lots hold less than its balance")

    def refresh_next_expiry(self) -> None:
        """From the lots, which must all be in memory."""
        assert self.lots is not None
        expiries = [lot.expires_at for lot in self.lots if lot.remaining and lot.expires_at]
        self.next_expiry_at = min(expiries, default=None)


@dataclass(slots=True)
class LimitRow:
    """A locked limit."""

    id: int
    subject: str
    period_start: datetime
    max: int | None
    held: int
    spent: int
    before: tuple[int | None, int, int] = (None, 0, 0)

    def __post_init__(self) -> None:
        self.before = (self.max, self.held, self.spent)

    @property
    def changed(self) -> bool:
        return self.before != (self.max, self.held, self.spent)


@dataclass(slots=True)
class PartRow:
    """What a hold takes from a wallet."""

    wallet: WalletRow
    position: int
    amount: int
    amount_before: int | None = None


@dataclass(slots=True)
class HoldRow:
    """A locked hold with its parts and limits."""

    id: int
    public_id: str
    owner_key: str
    unit: str
    amount: int
    captured: int
    state: str
    expires_at: datetime
    reference: str
    parts: list[PartRow] = field(default_factory=list)
    limits: list[LimitRow] = field(default_factory=list)
    resolved_at: datetime | None = None
    before: tuple[str, int] = ("", 0)

    def __post_init__(self) -> None:
        self.before = (self.state, self.amount)

    @property
    def changed(self) -> bool:
        return self.before != (self.state, self.amount)
