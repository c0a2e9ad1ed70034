"""Reads of the ledger. Tenants' data by owner, amounts in millitokens."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import (
    Case,
    F,
    IntegerField,
    Max,
    OuterRef,
    QuerySet,
    Subquery,
    Sum,
    Value,
    When,
)

from marketplace.ledger.models import (
    Account,
    AccountKind,
    Checkpoint,
    Entry,
    Freeze,
    Limit,
    Lot,
    LotKind,
    Unit,
    Wallet,
    WalletCheckpoint,
)
from marketplace.ledger.period_sums import Movement, Period, get_period
from marketplace.ledger.sql import Statement, run

__all__ = [
    "Balance",
    "Movement",
    "Period",
    "Purse",
    "Seal",
    "get_account_balance",
    "get_balance",
    "get_freeze_reference",
    "get_last_periods",
    "get_newest_checkpoint",
    "get_period",
    "is_frozen",
    "list_entries",
    "list_freezes",
    "list_lots",
    "list_seals",
    "list_spendable",
    "list_wallets",
]

_SPENDABLE = Statement(
    "SELECT w.owner_key, w.unit, w.scope, w.posted_millitokens - w.held_millitokens "
    "FROM {rows} JOIN ledger_wallet w ON w.owner_key = v.owner_key WHERE NOT w.frozen",
    columns="owner_key text",
)


@dataclass(frozen=True)
class Balance:
    """What a tenant has over all its wallets of one unit; held is a part of posted."""

    posted: int
    held: int
    spendable: int
    frozen: bool = False  # any of its wallets


def get_balance(*, owner_key: str, unit: str) -> Balance:
    """All zero for a tenant without wallets. Frozen wallets are not spendable.

    What a call can spend may be less, since not every wallet fits it: see ``list_spendable``.
    """
    posted = held = spendable = 0
    frozen = False
    for wallet in list_wallets(owner_key=owner_key, unit=unit):
        posted += wallet.posted_millitokens
        held += wallet.held_millitokens
        spendable += wallet.spendable_millitokens
        frozen = frozen or wallet.frozen
    return Balance(posted, held, spendable, frozen)


@dataclass(frozen=True, slots=True)
class Purse:
    """The wallets of a tenant that fit a call: those of ``scopes`` and the general one."""

    owner_key: str
    unit: str
    scopes: tuple[str, ...]


def list_spendable(purses: Sequence[Purse]) -> list[int]:
    """What can be held now of each purse, but for its frozen wallets. A prepared statement, since
    every call of the gateway asks."""
    owners = {(purse.owner_key,) for purse in purses}
    spendable = {tuple(name): amount for *name, amount in run(_SPENDABLE, owners)}
    return [
        sum(spendable.get((purse.owner_key, purse.unit, scope), 0) for scope in (*purse.scopes, ""))
        for purse in purses
    ]


def get_last_periods(subjects: Collection[str]) -> dict[str, datetime]:
    """When the latest period began that anything was counted in, by subject of the limit."""
    rows = Limit.objects.filter(subject__in=subjects).values_list("subject")
    return dict(rows.annotate(last=Max("period_start")))


def get_limit_counts(
    names: Collection[tuple[str, datetime]],
) -> dict[tuple[str, datetime], tuple[int, int]]:
    """(held, spent) in millitokens by subject and period start; unused limits are missing."""
    rows = Limit.objects.filter(
        subject__in={subject for subject, _start in names},
        period_start__in={start for _subject, start in names},
    ).values_list("subject", "period_start", "held_millitokens", "spent_millitokens")
    return {(subject, start): (held, spent) for subject, start, held, spent in rows}


def list_wallets(*, owner_key: str, unit: str) -> QuerySet[Wallet]:
    """The general wallet first, then those of scopes."""
    return Wallet.objects.filter(owner_key=owner_key, unit=unit).order_by("scope")


def list_lots(*, owner_key: str, unit: str) -> QuerySet[Lot]:
    """Lots with a remainder, in burn order: scoped before general, then as wallets burn."""
    return (
        Lot.objects.filter(
            wallet__owner_key=owner_key, wallet__unit=unit, remaining_millitokens__gt=0
        )
        .select_related("wallet")
        .order_by(
            _last(wallet__scope=""),
            "wallet__scope",
            F("expires_at").asc(nulls_last=True),
            _last(kind=LotKind.PAID),
            "pk",
        )
    )


def list_entries(*, owner_key: str, unit: str, scope: str = "") -> QuerySet[Entry]:
    """Entries of the tenant's wallet of ``scope``, the newest first, with their transaction.

    Ordered by the wallet's chain: page by ``wallet_seq``.
    """
    return (
        Entry.objects.filter(wallet__owner_key=owner_key, wallet__unit=unit, wallet__scope=scope)
        .select_related("transaction", "wallet")
        .order_by("-wallet_seq")
    )


def get_account_balance(*, kind: str, owner_key: str, unit: str) -> int:
    """Credits minus debits: positive for what the operator owes or has earned (payable,
    commission, breakage), negative for what it has or has spent (clearing, promotion)."""
    account = Account.objects.filter(kind=kind, owner_key=owner_key, unit=unit).first()
    if account is None:
        return 0
    return _sum(Entry.objects.filter(credit_account=account)) - _sum(
        Entry.objects.filter(debit_account=account)
    )


def get_debt(*, owner_key: str, unit: str) -> int:
    """What the tenant owes; 0 also where the operator owes it something."""
    balance = get_account_balance(kind=AccountKind.RECEIVABLE, owner_key=owner_key, unit=unit)
    return max(0, -balance)


def list_debts(*, unit: str) -> dict[str, int]:
    """What each tenant that owes anything owes, by owner key; two queries however many do."""
    accounts = Account.objects.filter(kind=AccountKind.RECEIVABLE, unit=unit)
    owed: dict[str, int] = defaultdict(int)
    for side, sign in (("debits", 1), ("credits", -1)):
        sums = accounts.annotate(total=Sum(f"{side}__amount_millitokens"))
        for owner_key, total in sums.values_list("owner_key", "total"):
            owed[owner_key] += sign * (total or 0)
    return {owner_key: debt for owner_key, debt in owed.items() if debt > 0}


@dataclass(frozen=True, slots=True)
class Unspent:
    """What is left of a purchase's lots and not needed by holds; its ``face`` and expiry."""

    face: int
    paid: int
    bonus: int
    expires_at: datetime | None


def get_unspent(*, reference: str) -> Unspent | None:
    """None when nothing was bought under the reference."""
    found = Lot.objects.filter(reference=reference).select_related("wallet")
    lots = {lot.kind: lot for lot in found}
    paid, bonus = lots.get(LotKind.PAID), lots.get(LotKind.BONUS)
    if paid is None:
        return None
    free = paid.wallet.posted_millitokens - paid.wallet.held_millitokens
    left = min(paid.remaining_millitokens, free)
    return Unspent(
        paid.face_millitokens,
        left,
        min(bonus.remaining_millitokens, free - left) if bonus else 0,
        paid.expires_at,
    )


def is_frozen(*, owner_key: str, unit: str) -> bool:
    """Whether any wallet of the tenant refuses new holds."""
    return list_wallets(owner_key=owner_key, unit=unit).filter(frozen=True).exists()


def list_freezes(*, owner_key: str, unit: str) -> QuerySet[Freeze]:
    """Why, the newest first."""
    return Freeze.objects.filter(wallet__owner_key=owner_key, wallet__unit=unit).order_by(
        "-frozen_at"
    )


def get_freeze_reference(*, owner_key: str, unit: str) -> str:
    """What a tenant names when it asks why its wallet is frozen.

    The public id in the oldest reason that has one ("finding:fnd_…"), else the tenant's own;
    never the words of a reason, which are for staff.
    """
    reasons = list_freezes(owner_key=owner_key, unit=unit).values_list("reason", flat=True)
    ids = [reason.rpartition(":")[2] for reason in reasons if reason.startswith("finding:")]
    return ids[-1] if ids else owner_key


@dataclass(frozen=True)
class Seal:
    """How far a wallet's entries are sealed; ``sealed_at`` is None until they first are."""

    unit: str
    scope: str
    entries: int
    sealed: int
    sealed_at: datetime | None

    @property
    def unit_label(self) -> str:
        return str(Unit(self.unit).label)


def list_seals(*, owner_key: str) -> list[Seal]:
    """Of each of the tenant's wallets that has entries."""
    latest = WalletCheckpoint.objects.filter(wallet=OuterRef("pk")).order_by("-seq")
    wallets = (
        Wallet.objects.filter(owner_key=owner_key, seq__gt=0)
        .annotate(
            sealed_seq=Subquery(latest.values("seq")[:1]),
            sealed_at=Subquery(latest.values("checkpoint__sealed_at")[:1]),
        )
        .order_by("unit", "scope")
        .values_list("unit", "scope", "seq", "sealed_seq", "sealed_at")
    )
    return [
        Seal(unit, scope, entries, sealed or 0, sealed_at)
        for unit, scope, entries, sealed, sealed_at in wallets
    ]


def get_newest_checkpoint() -> Checkpoint | None:
    """None before the first seal."""
    return Checkpoint.objects.order_by("-number").first()


def _sum(entries: QuerySet[Entry]) -> int:
    return entries.aggregate(total=Sum("amount_millitokens"))["total"] or 0


def _last(**condition: object) -> Case:
    """An order in which rows that meet the condition come last."""
    return Case(When(**condition, then=Value(1)), default=Value(0), output_field=IntegerField())
