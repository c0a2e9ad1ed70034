"""What moved a tenant's wallets between two moments: opening + movements = closing, exactly.

An entry belongs to the period that its transaction was recorded in, so one period closes where
the next one opens. Seals say from where to where a wallet's chain has to be read: what was sealed
well before a moment was recorded before it, so a month costs its own entries, however long the
history is. Without seals everything is read, and the figures are the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import (
    BooleanField,
    Case,
    Count,
    ExpressionWrapper,
    F,
    Q,
    QuerySet,
    Sum,
    Value,
    When,
)
from django.db.models.functions import Coalesce

from marketplace.ledger.models import Entry, TransactionKind, Wallet, WalletCheckpoint

# More than the clocks of two processes can be apart.
_MARGIN = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Movement:
    """The sum of all entries of one sort; positive into the wallets, negative out of them.

    ``kind`` is the transaction's; under a reversal it is that of what was reversed. ``other`` is
    the kind of account at the other end, ``price_version`` that of the calls of captures.
    """

    kind: str
    is_reversal: bool
    other: str
    price_version: str
    millitokens: int


@dataclass(frozen=True, slots=True)
class Period:
    """All wallets of a tenant in one unit, in millitokens. ``calls`` counts the charged calls by
    price version; in a period that still runs it may be a moment newer than the sums."""

    opening: int
    closing: int
    movements: tuple[Movement, ...]
    calls: Mapping[str, int]


def get_period(*, owner_key: str, unit: str, start: datetime, end: datetime) -> Period:
    """From ``start`` (included) to ``end`` (excluded)."""
    opening, reach = 0, Q(pk__in=[])
    for wallet in Wallet.objects.filter(owner_key=owner_key, unit=unit):
        before, part = _bound(wallet, start, end)
        opening += before
        reach |= part
    entries = Entry.objects.filter(reach)
    earlier = entries.filter(transaction__recorded_at__lt=start)
    opening += int(earlier.aggregate(total=Sum(_SIGNED))["total"] or 0)
    within = entries.filter(
        transaction__recorded_at__gte=start, transaction__recorded_at__lt=end
    ).order_by()
    movements = _sum_movements(within)
    captures = within.filter(transaction__kind=TransactionKind.CAPTURE)
    calls = captures.values_list("transaction__hold__price_version").annotate(
        calls=Count("transaction", distinct=True)
    )
    closing = opening + sum(movement.millitokens for movement in movements)
    return Period(opening, closing, movements, dict(calls))


_SIGNED = Case(
    When(credit_account=F("wallet__account"), then=F("amount_millitokens")),
    default=-F("amount_millitokens"),
)
_OTHER = Case(
    When(credit_account=F("wallet__account"), then=F("debit_account__kind")),
    default=F("credit_account__kind"),
)


def _bound(wallet: Wallet, start: datetime, end: datetime) -> tuple[int, Q]:
    """A balance that the wallet had before ``start``, and the entries since then that matter."""
    seals = WalletCheckpoint.objects.filter(wallet=wallet)
    sealed = (
        seals.filter(checkpoint__sealed_at__lte=start - _MARGIN)
        .order_by("-seq")
        .values_list("seq", "posted_millitokens")
        .first()
    )
    seq, posted = sealed or (0, 0)
    reach = Q(wallet=wallet, wallet_seq__gt=seq)
    last = (
        seals.filter(checkpoint__sealed_at__gte=end + _MARGIN)
        .order_by("seq")
        .values_list("seq", flat=True)
        .first()
    )
    return posted, reach if last is None else reach & Q(wallet_seq__lte=last)


def _sum_movements(entries: QuerySet[Entry]) -> tuple[Movement, ...]:
    rows = entries.values_list(
        Coalesce("transaction__reverses__kind", "transaction__kind"),
        ExpressionWrapper(Q(transaction__reverses__isnull=False), output_field=BooleanField()),
        _OTHER,
        Coalesce("transaction__hold__price_version", Value("")),
    ).annotate(total=Sum(_SIGNED))
    return tuple(
        Movement(kind, is_reversal, other, price_version, int(total))
        for kind, is_reversal, other, price_version, total in rows
    )
