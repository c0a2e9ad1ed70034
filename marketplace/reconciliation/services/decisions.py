"""What staff decide: who looks after a finding, how it ends, and which wallet is frozen."""

from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts import services as accounts
from accounts.models import User
from marketplace.ledger import services as ledger
from marketplace.ledger.models import Freeze, Wallet
from marketplace.reconciliation.models import Finding, FindingState
from marketplace.reconciliation.selectors import FINDING_FREEZE, STAFF_FREEZE
from portal.kernel.errors import Conflict, Rejected

_LONGEST_REASON = 100


class FindingAlreadyResolved(Conflict):
    """This finding is resolved already."""

    code = "finding_already_resolved"


class NoteMissing(Rejected):
    """A finding is resolved with a note that says what was found and done."""

    code = "note_missing"


class FreezeReasonMissing(Rejected):
    """A wallet is frozen and freed with a reason."""

    code = "freeze_reason_missing"


class NotFrozenByStaff(Conflict):
    """There is no such freeze by staff."""

    code = "not_frozen_by_staff"


def acknowledge_finding(
    *, finding: Finding, user: User, actor: accounts.Actor, now: datetime
) -> None:
    """Say who looks after an open finding."""
    with transaction.atomic(durable=True):
        changed = Finding.objects.filter(pk=finding.pk, state=FindingState.OPEN).update(
            state=FindingState.ACKNOWLEDGED, acknowledged_at=now, acknowledged_by=user
        )
        if not changed:
            raise FindingAlreadyResolved(_("Only an open finding can be acknowledged."))
        before, after = {"state": finding.state}, {"state": "acknowledged"}
        _audit(finding, "finding.acknowledged", before, after, actor, now)


def resolve_finding(
    *, finding: Finding, note: str, user: User, actor: accounts.Actor, now: datetime
) -> None:
    """Close a finding with a note, and lift the freeze that it put on its wallet.

    If the difference is still there, the next two runs open a new finding and freeze again.
    """
    if not note.strip():
        raise NoteMissing(_("Say what was found and what was done."))
    with transaction.atomic(durable=True):
        close_finding(finding=finding, note=note.strip(), user=user, actor=actor, now=now)


def close_finding(
    *, finding: Finding, note: str, user: User, actor: accounts.Actor, now: datetime
) -> None:
    """``resolve_finding`` within the commit of what was done about it."""
    changed = (
        Finding.objects.filter(pk=finding.pk)
        .exclude(state=FindingState.RESOLVED)
        .update(state=FindingState.RESOLVED, resolved_at=now, resolved_by=user, note=note)
    )
    if not changed:
        raise FindingAlreadyResolved(_("This finding is resolved already."))
    reason = f"{FINDING_FREEZE}{finding.public_id}"
    for freeze in Freeze.objects.filter(reason=reason):
        ledger.lift_freeze(wallet_pk=freeze.wallet_id, reason=reason)
    before, after = {"state": finding.state}, {"note": note}
    _audit(finding, "finding.resolved", before, after, actor, now)


def freeze_wallet(*, wallet: Wallet, reason: str, actor: accounts.Actor, now: datetime) -> None:
    """Refuse new holds of a wallet, for a reason that staff read (its tenant does not)."""
    said = _say(reason)
    with transaction.atomic(durable=True):
        if ledger.freeze_wallet(wallet_pk=wallet.pk, reason=f"{STAFF_FREEZE}{said}", now=now):
            _audit(wallet, "wallet.frozen", {}, {"reason": said}, actor, now)


def lift_freeze(
    *, wallet: Wallet, freeze_pk: int, reason: str, actor: accounts.Actor, now: datetime
) -> None:
    """Take back a freeze that staff put; those of findings end with their findings."""
    said = _say(reason)
    with transaction.atomic(durable=True):
        freeze = Freeze.objects.filter(
            pk=freeze_pk, wallet=wallet, reason__startswith=STAFF_FREEZE
        ).first()
        if freeze is None or not ledger.lift_freeze(wallet_pk=wallet.pk, reason=freeze.reason):
            raise NotFrozenByStaff(_("There is no such freeze by staff; it may be lifted already."))
        before, after = {"reason": freeze.reason}, {"reason": said}
        _audit(wallet, "wallet.freeze_lifted", before, after, actor, now)


def _say(reason: str) -> str:
    said = " ".join(reason.split())
    if not said:
        raise FreezeReasonMissing(_("Say why."))
    return said[:_LONGEST_REASON]


def _audit(
    about: Finding | Wallet,
    action: str,
    before: dict[str, str],
    after: dict[str, str],
    actor: accounts.Actor,
    now: datetime,
) -> None:
    """The operator's own decision: it stands in no tenant's log."""
    accounts.record_audit(
        organisation=None,
        actor=actor,
        action=action,
        target_id=about.public_id if isinstance(about, Finding) else about.owner_key,
        target_label=str(about),
        before=before,
        after=after,
        now=now,
    )
