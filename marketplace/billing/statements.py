"""Monthly statements: what an organisation had, bought, used and has, by the ledger's own entries.

A month is the organisation's, in its time zone. The figures are not stored: entries, invoices and
credit notes never change, so a month that is over reads the same for ever. Only live tokens
count; test tokens are worth nothing.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from django.utils.translation import gettext_lazy as _

from accounts.models import Organisation
from marketplace.billing import selectors
from marketplace.billing.models import Document
from marketplace.catalog import selectors as catalog
from marketplace.ledger import selectors as ledger
from marketplace.ledger.models import AccountKind, TransactionKind
from portal.kernel.errors import NotFound

UNIT = "live"
# Lines of the equation, in their order; those of ALWAYS_SHOWN also when they are zero.
LINES = {
    "bought": _("Bought"),
    "granted": _("Granted"),
    "spent": _("Spent on calls"),
    "returned": _("Given back for calls"),
    "expired": _("Expired"),
    "refunded": _("Refunded"),
    "charged_back": _("Charged back"),
    "adjusted": _("Adjusted"),
}
ALWAYS_SHOWN = frozenset({"bought", "granted", "spent", "expired"})
_LINE_BY_KIND: dict[str, str] = {
    TransactionKind.PURCHASE: "bought",
    TransactionKind.GRANT: "granted",
    TransactionKind.CAPTURE: "spent",
    TransactionKind.EXPIRY: "expired",
    TransactionKind.REFUND: "refunded",
    TransactionKind.CHARGEBACK: "charged_back",
}


@dataclass(frozen=True, slots=True)
class Usage:
    """What one service's calls cost; both names are empty where its price is no longer known."""

    model: str
    provider: str
    calls: int
    millitokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One month. ``opening`` + all of ``lines`` (signed) = ``closing``, in millitokens.

    ``first`` and ``last`` are its days; ``usage`` adds up to what was spent, costliest first.
    """

    organisation: Organisation
    first: date
    last: date
    is_over: bool
    opening: int
    closing: int
    lines: dict[str, int]
    documents: Sequence[Document]
    usage: Sequence[Usage]

    @property
    def label(self) -> str:
        return f"{self.first:%Y-%m}"


def list_months(*, organisation: Organisation, now: datetime) -> list[date]:
    """The first days of the organisation's months up to the running one, newest first."""
    zone = ZoneInfo(organisation.timezone)
    oldest = organisation.created_at.astimezone(zone).date().replace(day=1)
    month = now.astimezone(zone).date().replace(day=1)
    months = [month]
    while month > oldest:
        month = _month_before(month)
        months.append(month)
    return months


def get_statement(*, organisation: Organisation, month: str, now: datetime) -> Statement:
    """Of the month ``2026-11``; raises NotFound for what is none of its months."""
    months = list_months(organisation=organisation, now=now)
    first = next((one for one in months if f"{one:%Y-%m}" == month), None)
    if first is None:
        raise NotFound
    zone = ZoneInfo(organisation.timezone)
    following = _month_after(first)
    start, end = _start_of(first, zone), _start_of(following, zone)
    period = ledger.get_period(owner_key=organisation.public_id, unit=UNIT, start=start, end=end)
    documents = selectors.list_documents(organisation=organisation).filter(
        issued_at__gte=start, issued_at__lt=end
    )
    return Statement(
        organisation=organisation,
        first=first,
        last=date.fromordinal(following.toordinal() - 1),
        is_over=end <= now,
        opening=period.opening,
        closing=period.closing,
        lines=_sort_movements(period),
        documents=list(documents.order_by("issued_at", "id")),
        usage=_describe_usage(period),
    )


def _sort_movements(period: ledger.Period) -> dict[str, int]:
    sums = dict.fromkeys(LINES, 0)
    for movement in period.movements:
        sums[_line_of(movement)] += movement.millitokens
    return {line: total for line, total in sums.items() if total or line in ALWAYS_SHOWN}


def _line_of(movement: ledger.Movement) -> str:
    if movement.kind == TransactionKind.PURCHASE and movement.other == AccountKind.PROMOTION:
        return "granted"  # the pack's bonus
    if movement.is_reversal and movement.kind == TransactionKind.CAPTURE:
        return "returned"
    return _LINE_BY_KIND.get(movement.kind, "adjusted")


def _describe_usage(period: ledger.Period) -> list[Usage]:
    services = catalog.find_priced_services(period.calls)
    spent: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    names = {
        version: (service.model.name, service.provider.name)
        for version, service in services.items()
    }
    for version, calls in period.calls.items():
        spent[names.get(version, ("", ""))][0] += calls
    for movement in period.movements:
        if movement.kind == TransactionKind.CAPTURE and not movement.is_reversal:
            spent[names.get(movement.price_version, ("", ""))][1] -= movement.millitokens
    usage = [Usage(*name, calls, total) for name, (calls, total) in spent.items()]
    return sorted(usage, key=lambda one: (-one.millitokens, one.model, one.provider))


def _start_of(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time.min, zone).astimezone(UTC)


def _month_after(first: date) -> date:
    return date(first.year + first.month // 12, first.month % 12 + 1, 1)


def _month_before(first: date) -> date:
    return date.fromordinal(first.toordinal() - 1).replace(day=1)
