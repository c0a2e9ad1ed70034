"""What the model of the ledger is made of: lots, wallets, holds and limits in plain Python."""

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
    payable: int = 0
    # Cost and percentage of the capture that resolved it.
    asked: tuple[int, int] = (0, 0)
    # What a capture moved, per (wallet or None for the operator, account), and what it burnt.
    lines: list[list[Any]] = field(default_factory=list)
    burns: list[list[Any]] = field(default_factory=list)

    @property
    def figures(self) -> tuple[int, int, int, int]:
        """As a CaptureResult tells them."""
        return (self.captured, self.uncovered, self.in_suspense, self.payable)


@dataclass
class ModelLimit:
    maximum: int | None
    spent: int = 0


@dataclass(frozen=True)
class ModelCapture:
    """``percent`` of what is owed is the provider's; ``refused_late``: not past the hold's time."""

    hold_id: str
    cost: int
    percent: int
    refused_late: bool = False

    @property
    def content(self) -> tuple[int, int]:
        return (self.cost, self.percent)
