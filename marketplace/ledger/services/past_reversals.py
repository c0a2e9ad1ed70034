"""What a purchase credited, and what its reversals have posted since."""

from collections import defaultdict
from dataclasses import dataclass

from django.db.models import QuerySet, Sum

from marketplace.ledger.models import (
    AccountKind,
    Entry,
    Lot,
    LotBurn,
    LotKind,
    Transaction,
    TransactionKind,
)

# What stands in the books by (debit account, credit account), in millitokens; never 0.
Sides = dict[tuple[int, int], int]


@dataclass(frozen=True, slots=True)
class Sale:
    """How the purchase credited its paid lot: ``worth`` of ``face`` through ``clearing``."""

    face: int
    worth: int
    clearing: int
    discount: int

    @classmethod
    def read(cls, lot: Lot) -> "Sale":
        debits = Entry.objects.filter(
            transaction__idempotency_scope="grant",
            transaction__idempotency_key=f"{LotKind.PAID}:{lot.reference}",
        ).values_list("debit_account__kind", "debit_account", "amount_millitokens")
        by_kind = {kind: (account, amount) for kind, account, amount in debits}
        clearing, worth = by_kind[AccountKind.CLEARING]
        discount, _amount = by_kind.get(AccountKind.DISCOUNT, (0, 0))
        return cls(lot.face_millitokens, worth, clearing, discount)

    def money_of(self, tokens: int) -> int:
        """What so many of its tokens were paid with, in millitokens; rounded down."""
        return self.worth * tokens // self.face


def sum_sides(history: QuerySet[Transaction]) -> Sides:
    """What stands of these transactions, less what those of them that are reversals took back."""
    sides: Sides = defaultdict(int)
    entries = Entry.objects.filter(transaction__in=history)
    for reverses, debit, credit, amount in entries.values_list(
        "transaction__reverses", "debit_account", "credit_account", "amount_millitokens"
    ):
        if reverses:
            sides[credit, debit] -= amount
        else:
            sides[debit, credit] += amount
    return {side: amount for side, amount in sides.items() if amount}


def sum_burns(history: QuerySet[Transaction]) -> dict[int, int]:
    """By lot, what they took from it and did not give back; 0 of a lot that they never touched."""
    taken: dict[int, int] = defaultdict(int)
    burns = LotBurn.objects.filter(transaction__in=history)
    for lot, kind, amount in burns.values_list("lot", "transaction__kind").annotate(
        Sum("amount_millitokens")
    ):
        taken[lot] += -amount if kind == TransactionKind.REVERSAL else amount
    return taken
