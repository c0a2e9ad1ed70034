"""Taking a purchase back, in whole or in part: what was paid is recomputed, never counted down.

The caller says how much of the money has gone back in total. From that follows what must stand in
the books; what stands there already is subtracted, and the rest is posted. Where less must stand
than does (a dispute was won, a refund failed), all of it is reversed and posted anew.
"""

from collections import defaultdict
from datetime import datetime

from django.db.transaction import atomic
from django.utils.translation import gettext_lazy as _

from marketplace.ledger.models import (
    AccountKind,
    Lot,
    LotKind,
    Transaction,
    TransactionKind,
    Wallet,
)
from marketplace.ledger.services.accounts import resolve_accounts
from marketplace.ledger.services.commands import OPERATOR, PurchaseReversal
from marketplace.ledger.services.debts import keep_debt_freeze
from marketplace.ledger.services.draft import Draft, Heading, Line, hash_request
from marketplace.ledger.services.past_reversals import Sale, Sides, sum_burns, sum_sides
from marketplace.ledger.services.reads import load_lots, lock_wallets
from marketplace.ledger.services.rows import LotRow, WalletRow
from marketplace.ledger.watch import refuse_when_unguarded
from portal.kernel.errors import NotFound

_KINDS = (TransactionKind.REFUND, TransactionKind.CHARGEBACK)
_SCOPE = "purchase_reversal"


class UnknownPurchase(NotFound):
    """Nothing was bought under this reference."""

    code = "unknown_purchase"


def reverse_purchase(
    *, reference: str, refunded_minor: int, charged_back_minor: int = 0, now: datetime
) -> PurchaseReversal:
    """Make the books say that so much of what was paid for ``reference`` has gone back in total.

    Of the paid lot's face F, bought with P of money, ⌊F × reversed ÷ P⌋ tokens are taken from what
    is left of it, never from other lots and never what holds may need. Whatever went back, the
    bonus that is left goes with it. What was used up cannot be taken: its money is owed by
    the tenant where the bank took it (charge-backs), and the operator's cost where it was
    given (refunds). While the tenant owes anything, its wallets are frozen.

    Safe to repeat with the same totals; lower totals give back. Raises UnknownPurchase,
    LedgerUnguarded, ValueError for amounts that make no sense.
    """
    refuse_when_unguarded()
    if min(refunded_minor, charged_back_minor) < 0:
        raise ValueError("what has gone back is not negative")
    paid_lot = _find_lot(reference, LotKind.PAID)
    if paid_lot is None or not paid_lot.paid_minor:
        raise UnknownPurchase(_("Nothing was bought under this reference."))
    owner_key, unit = paid_lot.wallet.owner_key, paid_lot.wallet.unit
    with atomic():
        wallets = lock_wallets(
            Wallet.objects.filter(owner_key=owner_key, unit=unit).values_list("pk", flat=True)
        )
        books = _Books(reference, paid_lot, wallets[paid_lot.wallet_id], now)
        created = books.follow(refunded_minor, charged_back_minor)
        debt = keep_debt_freeze(owner_key=owner_key, unit=unit, now=now)
    return PurchaseReversal(created, books.taken_paid, books.taken_bonus, debt)


def _find_lot(reference: str, kind: str) -> Lot | None:
    return Lot.objects.select_related("wallet").filter(reference=reference, kind=kind).first()


class _Books:
    """One purchase's lots and what its reversals have posted, read under its wallet's lock."""

    def __init__(self, reference: str, paid_lot: Lot, wallet: WalletRow, now: datetime) -> None:
        self.reference, self.wallet, self.now = reference, wallet, now
        self.paid_minor = paid_lot.paid_minor
        self.sale = Sale.read(paid_lot)
        load_lots([wallet])
        bonus_lot = _find_lot(reference, LotKind.BONUS)
        self.paid = self._row(paid_lot)
        self.bonus = self._row(bonus_lot) if bonus_lot else None
        self.bonus_face = bonus_lot.face_millitokens if bonus_lot else 0
        self.history = Transaction.objects.filter(
            reference=reference, kind__in=(*_KINDS, TransactionKind.REVERSAL)
        )
        taken = sum_burns(self.history)
        self.taken_paid = taken[self.paid.id]
        self.taken_bonus = taken[self.bonus.id] if self.bonus else 0

    def follow(self, refunded_minor: int, charged_back_minor: int) -> bool:
        """Post what is missing; False when nothing was."""
        total = min(self.paid_minor, refunded_minor + charged_back_minor)
        target = self._share(total)
        free = self.wallet.posted - self.wallet.held
        paid = min(target, self.taken_paid + min(self.paid.remaining, free))
        free -= paid - self.taken_paid
        bonus = 0
        if total and self.bonus:
            bonus = self.taken_bonus + min(self.bonus.remaining, free)
        charged = self.sale.worth * charged_back_minor // self.paid_minor
        wanted = self._sides(target, paid, bonus, charged)
        posted = sum_sides(self.history)
        if wanted == posted:
            return False
        draft = Draft(self.now)
        number = self.history.count()
        if any(wanted.get(sides, 0) < amount for sides, amount in posted.items()):
            number += self._unwind(draft)
            posted = {}
        missing = {side: amount - posted.get(side, 0) for side, amount in wanted.items()}
        missing = {side: amount for side, amount in missing.items() if amount}
        if missing:
            kind = TransactionKind.CHARGEBACK if charged_back_minor else TransactionKind.REFUND
            self._post(draft, kind, missing, paid, bonus, number + 1)
        self.wallet.refresh_next_expiry()
        draft.touch(self.wallet)
        draft.flush()
        self.taken_paid, self.taken_bonus = paid, bonus
        return True

    def _share(self, minor: int) -> int:
        return self.sale.face * minor // self.paid_minor

    def _sides(self, target: int, paid: int, bonus: int, charged: int) -> Sides:
        """What must stand in the books when ``paid`` of ``target`` tokens could be taken."""
        unit, wallet, sale = self.wallet.unit, self.wallet.account_id, self.sale
        promotion = (AccountKind.PROMOTION.value, OPERATOR, unit)
        receivable = (AccountKind.RECEIVABLE.value, self.wallet.owner_key, unit)
        cleared = sale.money_of(paid)
        lost = sale.money_of(target) - cleared
        owed = min(lost, charged)
        # Accounts are made when something is posted on them first.
        needed = [promotion] if bonus or lost > owed else []
        needed += [receivable] if owed else []
        accounts = defaultdict(int, resolve_accounts(needed))
        sides = {
            (wallet, sale.clearing): cleared,
            (wallet, sale.discount): paid - cleared,
            (wallet, accounts[promotion]): bonus,
            (accounts[receivable], sale.clearing): owed,
            (accounts[promotion], sale.clearing): lost - owed,
        }
        return {side: amount for side, amount in sides.items() if amount}

    def _post(
        self,
        draft: Draft,
        kind: TransactionKind,
        missing: Sides,
        paid: int,
        bonus: int,
        number: int,
    ) -> None:
        heading = Heading(
            kind=kind,
            idempotency_scope=_SCOPE,
            idempotency_key=f"{self.reference}:{number}",
            request_hash=hash_request(sorted([*side, amount] for side, amount in missing.items())),
            reference=self.reference,
        )
        burns = [(self.paid, paid - self.taken_paid)]
        if self.bonus:
            burns.append((self.bonus, bonus - self.taken_bonus))
        for lot, amount in burns:
            lot.remaining -= amount
        lines = [
            Line(*side, amount, self.wallet if self.wallet.account_id in side else None)
            for side, amount in missing.items()
        ]
        draft.post(heading, lines, [(lot, amount) for lot, amount in burns if amount])

    def _unwind(self, draft: Draft) -> int:
        """Reverse all that was posted before, the last first; how many transactions that took."""
        standing = self.history.filter(kind__in=_KINDS, reversals__isnull=True).order_by("-pk")
        rows = {self.paid.id: self.paid} | ({self.bonus.id: self.bonus} if self.bonus else {})
        first = self.history.count() + 1
        for number, original in enumerate(standing, start=first):
            heading = Heading(
                kind=TransactionKind.REVERSAL,
                idempotency_scope=_SCOPE,
                idempotency_key=f"{self.reference}:{number}",
                request_hash=hash_request(original.public_id),
                reference=self.reference,
                reason=f"less of {self.reference} has gone back",
                reverses_id=original.pk,
                reversal_no=1,
            )
            lines = [
                Line(
                    entry.credit_account_id,
                    entry.debit_account_id,
                    entry.amount_millitokens,
                    self.wallet if entry.wallet_id else None,
                )
                for entry in original.entries.order_by("-line")
            ]
            burns = [(rows[burn.lot_id], burn.amount_millitokens) for burn in original.burns.all()]
            for lot, amount in burns:
                lot.remaining += amount
            draft.post(heading, lines, burns)
        self.taken_paid = self.taken_bonus = 0
        return len(standing)

    def _row(self, lot: Lot) -> LotRow:
        """Among the wallet's rows, which lack it when nothing is left of it."""
        assert self.wallet.lots is not None
        for row in self.wallet.lots:
            if row.id == lot.pk:
                return row
        row = LotRow(lot.pk, lot.public_id, self.wallet.id, 0, lot.expires_at)
        self.wallet.lots.append(row)
        return row
