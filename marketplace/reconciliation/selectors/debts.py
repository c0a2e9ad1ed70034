"""Who owes the operator, from when, and for which orders."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from accounts.models import Organisation
from marketplace.ledger import selectors as ledger
from marketplace.ledger.models import Account, AccountKind, Entry, Unit, Wallet
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
    """Everybody who owes, the dearest first."""
    owners = Account.objects.filter(kind=AccountKind.RECEIVABLE, unit=DEBT_UNIT)
    owing = [
        key
        for key in owners.values_list("owner_key", flat=True)
        if ledger.get_debt(owner_key=key, unit=DEBT_UNIT)
    ]
    debts = [_describe(one) for one in Organisation.objects.filter(public_id__in=owing)]
    return sorted(debts, key=lambda debt: -debt.owed_millitokens)


def get_debt(*, organisation_public_id: str) -> Debt:
    """Of one company, whether it owes or not; raises NotFound for no company of ours."""
    organisation = Organisation.objects.filter(public_id=organisation_public_id).first()
    if organisation is None:
        raise NotFound
    return _describe(organisation)


def _describe(organisation: Organisation) -> Debt:
    owner_key = organisation.public_id
    frozen = Wallet.objects.filter(
        owner_key=owner_key, unit=DEBT_UNIT, freezes__reason=DEBT_FREEZE
    ).order_by("freezes__frozen_at")
    entries = Entry.objects.filter(
        debit_account__kind=AccountKind.RECEIVABLE,
        debit_account__owner_key=owner_key,
        debit_account__unit=DEBT_UNIT,
        transaction__reference__startswith="order:",
    ).order_by("-id")
    references = entries.values_list("transaction__reference", flat=True)
    return Debt(
        organisation=organisation,
        owed_millitokens=ledger.get_debt(owner_key=owner_key, unit=DEBT_UNIT),
        since=frozen.values_list("freezes__frozen_at", flat=True).first(),
        orders=[one.removeprefix("order:") for one in dict.fromkeys(references)],
        finding=Finding.objects.filter(
            check_number=17, subject=f"debt:{DEBT_UNIT}:{owner_key}", state__in=_WAITING
        ).first(),
    )
