"""Who owes the operator, from when, and for which orders."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Min, QuerySet

from accounts.models import Organisation
from marketplace.ledger import selectors as ledger
from marketplace.ledger.models import AccountKind, Entry, Freeze, Unit
from marketplace.ledger.services import DEBT_FREEZE
from marketplace.reconciliation.models import Finding, FindingState
from portal.kernel.errors import NotFound

# Only what was bought can be owed, and that is of this unit.
DEBT_UNIT = Unit.LIVE.value
_WAITING = (FindingState.OPEN, FindingState.ACKNOWLEDGED)


@dataclass(frozen=True, kw_only=True)
class Debt:
    """What one company owes, in millitokens; 0 when all of it is settled.

    ``orders`` are the ids of the purchases that its bank took back, newest first. ``finding`` is
    check 17's, which whatever is posted about the debt names; None until two runs have seen it.
    """

    organisation: Organisation
    owed_millitokens: int
    since: datetime | None
    orders: Sequence[str]
    finding: Finding | None


def list_debts() -> list[Debt]:
    """Everybody who owes, the dearest first; as many queries for one as for a hundred."""
    owed = ledger.list_debts(unit=DEBT_UNIT)
    debts = _describe(Organisation.objects.filter(public_id__in=owed), owed)
    return sorted(debts, key=lambda debt: -debt.owed_millitokens)


def get_debt(*, organisation_public_id: str) -> Debt:
    """Of one company, whether it owes or not; raises NotFound for no company of ours."""
    owed = {
        organisation_public_id: ledger.get_debt(owner_key=organisation_public_id, unit=DEBT_UNIT)
    }
    debts = _describe(Organisation.objects.filter(public_id=organisation_public_id), owed)
    if not debts:
        raise NotFound
    return debts[0]


def _describe(organisations: QuerySet[Organisation], owed: Mapping[str, int]) -> list[Debt]:
    since = dict(
        Freeze.objects.filter(
            reason=DEBT_FREEZE, wallet__unit=DEBT_UNIT, wallet__owner_key__in=owed
        )
        .values_list("wallet__owner_key")
        .annotate(Min("frozen_at"))
    )
    orders = defaultdict(list)
    taken = Entry.objects.filter(
        debit_account__kind=AccountKind.RECEIVABLE,
        debit_account__owner_key__in=owed,
        debit_account__unit=DEBT_UNIT,
        transaction__reference__startswith="order:",
    ).order_by("-id")
    for owner_key, reference in taken.values_list(
        "debit_account__owner_key", "transaction__reference"
    ):
        orders[owner_key].append(reference.removeprefix("order:"))
    findings = Finding.objects.filter(
        check_number=17,
        subject__in=[f"debt:{DEBT_UNIT}:{owner_key}" for owner_key in owed],
        state__in=_WAITING,
    ).select_related("acknowledged_by")
    finding_of = {finding.subject.rpartition(":")[2]: finding for finding in findings}
    return [
        Debt(
            organisation=one,
            owed_millitokens=owed[one.public_id],
            since=since.get(one.public_id),
            orders=list(dict.fromkeys(orders[one.public_id])),
            finding=finding_of.get(one.public_id),
        )
        for one in organisations
    ]
