"""What the ledger is asked and what it answers. Amounts are integers in millitokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from marketplace.ledger.models import Lot
from marketplace.ledger.sql import Call, Row

OPERATOR = "operator"  # owner_key of the operator's own accounts
BASIS_POINTS = 10_000  # all of an amount


@dataclass(frozen=True, slots=True)
class LimitDemand:
    """That a hold counts in the limit of ``subject`` from ``period_start``; None is no maximum.

    The maximum is stored with the limit when the hold is placed, and holds for its extensions.
    """

    subject: str
    period_start: datetime
    max_millitokens: int | None

    @property
    def name(self) -> tuple[str, datetime]:
        return (self.subject, self.period_start)


@dataclass(frozen=True, slots=True)
class HoldRequest:
    """Set tokens of one tenant aside, all or nothing.

    ``scopes`` are the scopes of wallets that fit the call, in burn order; each gives what it can,
    the general wallet the rest. The same (scope, key) with the same hash gives the same answer
    for ever; with another hash it is a conflict.
    """

    owner_key: str
    unit: str
    amount_millitokens: int
    idempotency_scope: str
    idempotency_key: str
    request_hash: str
    expires_at: datetime
    scopes: tuple[str, ...] = ()
    limits: tuple[LimitDemand, ...] = ()
    reference: str = ""
    price_version: str = ""


@dataclass(frozen=True, slots=True)
class HoldResult:
    """``outcome`` is "held", "declined" or "conflict".

    A decline has a code ("insufficient_funds", "wallet_frozen", "limit_exceeded") and, for a
    limit, its subject. ``replayed`` says that the answer was stored before; the amount is then
    what the hold has been extended to.
    """

    outcome: str
    hold_pk: int
    hold_id: str
    amount_millitokens: int
    decline_code: str = ""
    decline_subject: str = ""
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Credit:
    """One other account's part of what moves into or out of a wallet."""

    account_kind: str
    owner_key: str
    amount_millitokens: int


@dataclass(frozen=True, slots=True)
class CaptureRequest:
    """What a call really cost, and to whom that goes.

    Of what is owed, ``share_basis_points`` of 10,000 are payable to ``payee``, rounded down; the
    rest is commission. ``late`` says what becomes of a hold past its time: "debit" tries afresh
    (see ``capture_holds``), "refuse" changes nothing.
    """

    hold_id: str
    amount_millitokens: int
    payee: str
    share_basis_points: int
    reference: str
    reason: str = ""
    late: Literal["debit", "refuse"] = "debit"


@dataclass(frozen=True, slots=True)
class CaptureResult:
    """``outcome`` is "captured", "replayed" (the same capture before), "already_resolved", or
    "expired": the hold is past its time, and the request refuses late captures.

    captured + uncovered + in suspense is the amount asked, unless the hold was resolved otherwise:
    then nothing was posted now, and the figures are those of what resolved it. ``uncovered`` is
    what is owed but the tenant could not be charged, so the operator paid; ``in_suspense`` what
    nobody owes until a person agrees; ``payable`` the payee's part of captured + uncovered. No
    transaction for an amount of 0.
    """

    outcome: str
    transaction_pk: int | None = None
    transaction_id: str = ""
    captured_millitokens: int = 0
    uncovered_millitokens: int = 0
    in_suspense_millitokens: int = 0
    payable_millitokens: int = 0


class Beside(Protocol):
    """Another room's records of captures, written in the very statement that captures."""

    def choose(self, results: Sequence[CaptureResult]) -> Sequence[Call]:
        """What is to be written, all results being known but the new transactions' keys."""

    def note(self, returned: Sequence[Sequence[Row]]) -> None:
        """Told what each of those statements returned."""


@dataclass(frozen=True, slots=True)
class ExpiredHold:
    """A hold that the sweep has just expired; ``reference`` is as the hold was placed."""

    hold_pk: int
    hold_id: str
    reference: str


@dataclass(frozen=True, slots=True)
class ExpiredLot:
    """What of a lot has just expired, to breakage."""

    lot_id: str
    owner_key: str
    unit: str
    amount_millitokens: int


@dataclass(frozen=True, slots=True)
class GrantResult:
    """The lot under (reference, kind); ``created`` is False when it was there before."""

    lot: Lot
    created: bool


@dataclass(frozen=True, slots=True)
class Move:
    """An amount from one account to another, each (kind, owner)."""

    debit: tuple[str, str]
    credit: tuple[str, str]
    amount_millitokens: int

    def as_list(self) -> list[object]:
        return [*self.debit, *self.credit, self.amount_millitokens]


@dataclass(frozen=True, slots=True)
class PostResult:
    """The transaction under the key; ``created`` is False when it was there before."""

    transaction_pk: int
    transaction_id: str
    created: bool


@dataclass(frozen=True, slots=True)
class PurchaseReversal:
    """What stands in the books of a purchase that was taken back, in millitokens.

    ``created`` is False when nothing had to be posted. ``paid`` and ``bonus`` are what was taken
    from its lots in total; ``debt`` is what the tenant owes, for this and other purchases.
    """

    created: bool
    paid_millitokens: int
    bonus_millitokens: int
    debt_millitokens: int
