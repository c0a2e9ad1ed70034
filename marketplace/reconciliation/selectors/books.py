"""The books behind a finding, for staff: a wallet, a transaction, a call, an order."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import F, QuerySet

from accounts.models import Organisation
from marketplace.billing.models import Order
from marketplace.ledger.models import (
    Entry,
    Freeze,
    HoldPart,
    HoldState,
    Lot,
    Transaction,
    Wallet,
)
from marketplace.metering.models import Call
from marketplace.reconciliation.models import Finding, FindingState, WalletProof
from marketplace.reconciliation.selectors.findings import FINDING_FREEZE, STAFF_FREEZE
from portal.kernel.errors import NotFound

# How many lots and proofs a page shows.
_FEW = 20


@dataclass(frozen=True)
class FreezeView:
    """Why a wallet is frozen; ``finding`` is the public id of the one that froze it, or empty."""

    freeze: Freeze
    finding: str
    by_staff: bool

    @property
    def words(self) -> str:
        return self.freeze.reason.removeprefix(STAFF_FREEZE).removeprefix(FINDING_FREEZE)


@dataclass(frozen=True)
class WalletView:
    """A wallet with all that its page says beside entries and holds."""

    wallet: Wallet
    organisation: Organisation | None
    proofs: Sequence[WalletProof]  # the newest first
    lots: Sequence[Lot]  # in burn order
    freezes: Sequence[FreezeView]
    findings: Sequence[Finding]  # unresolved


@dataclass(frozen=True)
class ChainLink:
    """An entry in its wallet's chain, signed; ``is_break`` where it does not follow from the one
    before it."""

    entry: Entry
    moved_millitokens: int
    is_break: bool


def get_wallet(*, pk: int) -> Wallet:
    """Any tenant's; raises NotFound."""
    wallet = Wallet.objects.select_related("account").filter(pk=pk).first()
    if wallet is None:
        raise NotFound
    return wallet


def view_wallet(wallet: Wallet) -> WalletView:
    """In six queries."""
    freezes = Freeze.objects.filter(wallet=wallet).order_by("frozen_at", "pk")
    return WalletView(
        wallet=wallet,
        organisation=Organisation.objects.filter(public_id=wallet.owner_key).first(),
        proofs=list(
            WalletProof.objects.filter(wallet=wallet).select_related("run").order_by("-run")[:_FEW]
        ),
        lots=list(
            Lot.objects.filter(wallet=wallet, remaining_millitokens__gt=0).order_by(
                F("expires_at").asc(nulls_last=True), "pk"
            )[:_FEW]
        ),
        freezes=[_view_freeze(freeze) for freeze in freezes],
        findings=list(
            Finding.objects.filter(wallet=wallet)
            .exclude(state=FindingState.RESOLVED)
            .order_by("-at_stake_millitokens", "pk")[:_FEW]
        ),
    )


def list_chain(wallet: Wallet, *, before: int = 0, size: int) -> tuple[list[ChainLink], bool]:
    """``size`` entries with numbers below ``before`` (0: from the end), the newest first; and
    whether there are older ones."""
    entries = (
        Entry.objects.filter(wallet=wallet)
        .select_related("transaction", "debit_account", "credit_account")
        .order_by("-wallet_seq")
    )
    if before:
        entries = entries.filter(wallet_seq__lt=before)
    rows = list(entries[: size + 1])
    links = []
    for place, entry in enumerate(rows[:size]):
        comes_in = entry.credit_account_id == wallet.account_id
        moved = entry.amount_millitokens if comes_in else -entry.amount_millitokens
        earlier = rows[place + 1] if place + 1 < len(rows) else None
        seq = (earlier.wallet_seq or 0) if earlier else 0
        after = (earlier.wallet_after_millitokens or 0) if earlier else 0
        follows = (entry.wallet_seq, entry.wallet_after_millitokens) == (seq + 1, after + moved)
        links.append(ChainLink(entry, moved, not follows))
    return links, len(rows) > size


def list_pending_parts(
    wallet: Wallet, *, before: int = 0, size: int
) -> tuple[list[HoldPart], bool]:
    """What pending holds set aside of the wallet, the newest first, by the part's key."""
    parts = (
        HoldPart.objects.filter(wallet=wallet, hold__state=HoldState.PENDING)
        .select_related("hold")
        .order_by("-pk")
    )
    if before:
        parts = parts.filter(pk__lt=before)
    rows = list(parts[: size + 1])
    return rows[:size], len(rows) > size


def get_transaction(*, public_id: str) -> Transaction:
    """With its entries, burns, hold and what it reverses or was reversed by; raises NotFound."""
    found = (
        Transaction.objects.filter(public_id=public_id)
        .select_related("hold", "reverses")
        .prefetch_related(
            "reversals",
            "entries__debit_account",
            "entries__credit_account",
            "entries__wallet",
            "burns__lot",
        )
        .first()
    )
    if found is None:
        raise NotFound
    return found


def get_call(*, public_id: str) -> Call:
    """With its hold, usage event, charge and price; raises NotFound."""
    related: QuerySet[Call] = Call.objects.select_related(
        "organisation",
        "service__provider",
        "api_key",
        "price_version",
        "hold",
        "usage_event__charge__transaction",
    )
    found = related.filter(public_id=public_id).first()
    if found is None:
        raise NotFound
    return found


def get_order(*, public_id: str) -> tuple[Order, list[Lot], list[Transaction]]:
    """With the lots and transactions under its reference; raises NotFound."""
    order = Order.objects.select_related("organisation").filter(public_id=public_id).first()
    if order is None:
        raise NotFound
    lots = Lot.objects.filter(reference=order.reference).select_related("wallet").order_by("pk")
    transactions = Transaction.objects.filter(reference=order.reference).order_by("pk")
    return order, list(lots), list(transactions)


def _view_freeze(freeze: Freeze) -> FreezeView:
    by_finding = freeze.reason.startswith(FINDING_FREEZE)
    return FreezeView(
        freeze,
        freeze.reason.removeprefix(FINDING_FREEZE) if by_finding else "",
        freeze.reason.startswith(STAFF_FREEZE),
    )
