"""A debt ends: its company paid by transfer, or it is forgiven. A person says so, under a finding.

Two people above a limit: whoever took the finding on, and whoever records how it ended
(docs/adr/0150).
"""

from datetime import datetime

from django.conf import settings
from django.db import models, transaction
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts import services as accounts
from accounts.models import User
from accounts.services import Actor
from marketplace.ledger import services as ledger
from marketplace.ledger.models import Transaction
from marketplace.reconciliation.models import Finding, FindingState
from marketplace.reconciliation.selectors.debts import DEBT_UNIT, Debt, get_debt
from marketplace.reconciliation.services.decisions import NoteMissing, close_finding
from portal.kernel.errors import Conflict, Rejected
from portal.kernel.quantities import MILLITOKENS_PER_TARIFF_UNIT


class DebtEnd(models.TextChoices):
    """How so much of a debt was settled."""

    PAID = "paid", pgettext_lazy("debt", "Paid by transfer")
    FORGIVEN = "forgiven", pgettext_lazy("debt", "Forgiven")


# The account that the books move it from.
_SETTLED_FROM = {
    DebtEnd.PAID: ("clearing", "bank"),
    DebtEnd.FORGIVEN: ("promotion", ledger.OPERATOR),
}


class DebtNotFoundYet(Conflict):
    """No finding shows this debt: it is too new, or settled."""

    code = "debt_not_found_yet"
    sentence = _(
        "The reconciliation has not reported this debt, so nothing can be recorded. "
        "It is seen within minutes, or it is settled already."
    )


class OwnDebt(Rejected):
    """Whoever belongs to the company does not settle what it owes."""

    code = "own_debt"
    sentence = _("You belong to this company, so somebody else has to record this.")


class SecondPersonNeeded(Rejected):
    """Of this debt, and of any part of it, two people decide."""

    code = "another_person_needed"
    sentence = _(
        "A debt of this size takes two people: another one has to take the finding on first. "
        "Nothing was changed."
    )


def settle_debt(
    *,
    debt: Debt,
    end: DebtEnd,
    amount_millitokens: int,
    note: str,
    key: str,
    user: User,
    actor: Actor,
    now: datetime,
) -> int:
    """Record that so much was paid or is forgiven; what is owed after that, in millitokens.

    The same ``key`` records once, however often it comes. What is owed last thaws the wallets
    and ends the finding with the note. Raises DebtNotFoundYet, OwnDebt, SecondPersonNeeded,
    NoteMissing, and of the ledger MoreThanOwed, PostedDifferently.
    """
    said = note.strip()
    if not said:
        raise NoteMissing(_("Say how it was settled."))
    organisation = debt.organisation
    if organisation.memberships.filter(user=user).exists():
        raise OwnDebt
    key = f"{organisation.public_id}:{key}"
    known = _name_finding(debt, key)
    with transaction.atomic(durable=True):
        finding = Finding.objects.select_for_update().get(public_id=known)
        result = ledger.clear_debt(
            owner_key=organisation.public_id,
            unit=DEBT_UNIT,
            amount_millitokens=amount_millitokens,
            paid_into=_SETTLED_FROM[end],
            idempotency_key=key,
            reason=said,
            reference=f"finding:{finding.public_id}",
            now=now,
        )
        owed = get_debt(organisation_public_id=organisation.public_id).owed_millitokens
        if not result.created:
            return owed
        if finding.state == FindingState.RESOLVED:
            raise DebtNotFoundYet
        # By all that was owed: in small parts one person could settle any debt.
        if needs_two(owed + amount_millitokens) and finding.acknowledged_by_id in (None, user.pk):
            raise SecondPersonNeeded
        accounts.record_audit(
            organisation=organisation,
            actor=actor,
            action=f"debt.{end.value}",
            target_id=finding.public_id,
            target_label=organisation.name,
            before={"owed_millitokens": owed + amount_millitokens},
            after={"owed_millitokens": owed, "note": said},
            now=now,
        )
        if not owed:
            close_finding(finding=finding, note=said, user=user, actor=actor, now=now)
    return owed


def _name_finding(debt: Debt, key: str) -> str:
    """The one that this very form was about before; else the one that waits."""
    earlier = Transaction.objects.filter(idempotency_scope="debt", idempotency_key=key).first()
    if earlier is not None:
        return earlier.reference.removeprefix("finding:")
    if debt.finding is None:
        raise DebtNotFoundYet
    return debt.finding.public_id


def needs_two(owed_millitokens: int) -> bool:
    """Above the limit of refunds, in the tariff currency."""
    return owed_millitokens > settings.REFUND_SECOND_PERSON_ABOVE * MILLITOKENS_PER_TARIFF_UNIT
