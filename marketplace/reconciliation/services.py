"""A run: read one snapshot, compare, and act only on what is seen a second time."""

from collections.abc import Iterable
from datetime import datetime
from time import monotonic

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.utils.translation import gettext_lazy as _

from accounts import services as accounts
from accounts.models import User
from marketplace.ledger import services as ledger
from marketplace.ledger.models import Freeze
from marketplace.reconciliation.checks import CHECKS
from marketplace.reconciliation.checks.base import Action, Check, Difference
from marketplace.reconciliation.equation import build_equation
from marketplace.reconciliation.models import Finding, FindingState, Run
from marketplace.reconciliation.snapshot import open_snapshot
from portal.kernel.clock import utc_now
from portal.kernel.errors import Conflict, Rejected

log = structlog.get_logger(__name__)

_ADVISORY_LOCK = 0x746F6B656E  # "token": one run acts at a time


class FindingAlreadyResolved(Conflict):
    """This finding is resolved already."""

    code = "finding_already_resolved"


class NoteMissing(Rejected):
    """A finding is resolved with a note that says what was found and done."""

    code = "note_missing"


def reconcile_balances(*, trigger: str, now: datetime) -> Run:
    """Run every check over one snapshot; repair, report or freeze what was seen before.

    Safe to run twice, and twice at once: differences are remembered under a unique key, one
    run acts at a time, and each repair recomputes under its owner's locks.
    """
    run = Run.objects.create(trigger=trigger, started_at=now)
    seen: dict[Check, list[Difference]] = {}
    report = []
    try:
        with open_snapshot() as cursor:
            equation = build_equation(cursor)
            for check in CHECKS:
                begun = monotonic()
                examined = check.examine(cursor, now)
                seen[check] = list(examined.differences)
                report.append(
                    {
                        "number": check.number,
                        "examined": examined.count,
                        "milliseconds": round((monotonic() - begun) * 1000),
                    }
                )
        for check in CHECKS:
            if check.ask is not None:
                seen[check] += check.ask(now)
    except Exception as error:
        run.error = f"{type(error).__name__}: {error}"[:300]
        run.finished_at = utc_now()
        run.save(update_fields=["error", "finished_at"])
        raise
    for row, differences in zip(report, seen.values(), strict=True):
        row["differences"] = len(differences)
    repairs = _remember(run, seen, now)
    _act(repairs, now)
    run.equation, run.checks, run.finished_at = equation, report, utc_now()
    run.save(update_fields=["equation", "checks", "finished_at"])
    return run


def _remember(
    run: Run, seen: dict[Check, list[Difference]], now: datetime
) -> list[tuple[Check, Difference, Finding]]:
    """Store what was seen; forget suspicions that did not return; answer what to repair."""
    repairs = []
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_ADVISORY_LOCK])
        unresolved = {
            (finding.check_number, finding.subject): finding
            for finding in Finding.objects.exclude(state=FindingState.RESOLVED)
        }
        for check, differences in seen.items():
            for difference in differences:
                finding = unresolved.pop((check.number, difference.subject), None)
                if finding is None:
                    _suspect(run, check, difference, now)
                    continue
                _see_again(run, check, difference, finding, now)
                if check.action_for(difference) is Action.REPAIR:
                    repairs.append((check, difference, finding))
        _drop_suspicions(run, unresolved.values())
    return repairs


def _suspect(run: Run, check: Check, difference: Difference, now: datetime) -> None:
    Finding.objects.create(
        check_number=check.number,
        subject=difference.subject,
        detail=dict(difference.detail),
        at_stake_millitokens=difference.at_stake_millitokens,
        first_run=run,
        last_run=run,
        first_seen_at=now,
        last_seen_at=now,
    )


def _see_again(
    run: Run, check: Check, difference: Difference, finding: Finding, now: datetime
) -> None:
    if finding.first_run_id == run.pk:  # two checks' queries named one subject in this run
        return
    newly_open = finding.state == FindingState.SUSPECTED
    if newly_open:
        finding.state = FindingState.OPEN
    finding.detail = dict(difference.detail)
    finding.at_stake_millitokens = difference.at_stake_millitokens
    finding.last_run, finding.last_seen_at = run, now
    action = check.action_for(difference)
    if action is Action.FREEZE and difference.wallet_pk and not finding.froze_wallet:
        ledger.freeze_wallet(
            wallet_pk=difference.wallet_pk, reason=f"finding:{finding.public_id}", now=now
        )
        finding.froze_wallet = True
    finding.save()
    if newly_open and action is not Action.REPAIR:
        log.error(
            "finding_opened",
            finding=finding.public_id,
            check=check.number,
            subject=finding.subject,
            at_stake_millitokens=finding.at_stake_millitokens,
        )


def _drop_suspicions(run: Run, unseen: Iterable[Finding]) -> None:
    """What was seen once and not again was in flight, not wrong."""
    Finding.objects.filter(
        pk__in=[finding.pk for finding in unseen if finding.first_run_id != run.pk],
        state=FindingState.SUSPECTED,
    ).delete()


def _act(repairs: list[tuple[Check, Difference, Finding]], now: datetime) -> None:
    """Repair by rule, up to the cap; above it a difference stays a finding for a person."""
    if len(repairs) > settings.RECONCILE_MAX_REPAIRS:
        log.error("repairs_capped", wanted=len(repairs), cap=settings.RECONCILE_MAX_REPAIRS)
    for check, difference, finding in repairs[: settings.RECONCILE_MAX_REPAIRS]:
        assert check.repair is not None
        done = check.repair(difference, now) or "had resolved itself by then"
        Finding.objects.filter(pk=finding.pk).exclude(state=FindingState.RESOLVED).update(
            state=FindingState.RESOLVED, resolved_at=now, note=f"Repaired by rule: {done}."
        )
        log.warning(
            "difference_repaired",
            finding=finding.public_id,
            check=check.number,
            subject=difference.subject,
            done=done,
        )


def acknowledge_finding(*, finding: Finding, actor: accounts.Actor, now: datetime) -> None:
    """Say that a person looks after an open finding."""
    with transaction.atomic(durable=True):
        changed = Finding.objects.filter(pk=finding.pk, state=FindingState.OPEN).update(
            state=FindingState.ACKNOWLEDGED
        )
        if not changed:
            raise FindingAlreadyResolved(_("Only an open finding can be acknowledged."))
        _audit(finding, "finding.acknowledged", {"state": "acknowledged"}, actor, now)


def resolve_finding(
    *, finding: Finding, note: str, user: User, actor: accounts.Actor, now: datetime
) -> None:
    """Close a finding with a note, and lift the freeze that it put on its wallet.

    If the difference is still there, the next two runs open a new finding and freeze again.
    """
    if not note.strip():
        raise NoteMissing(_("Say what was found and what was done."))
    with transaction.atomic(durable=True):
        changed = (
            Finding.objects.filter(pk=finding.pk)
            .exclude(state=FindingState.RESOLVED)
            .update(
                state=FindingState.RESOLVED, resolved_at=now, resolved_by=user, note=note.strip()
            )
        )
        if not changed:
            raise FindingAlreadyResolved(_("This finding is resolved already."))
        if finding.froze_wallet:
            reason = f"finding:{finding.public_id}"
            for freeze in Freeze.objects.filter(reason=reason):
                ledger.lift_freeze(wallet_pk=freeze.wallet_id, reason=reason)
        _audit(finding, "finding.resolved", {"note": note.strip()}, actor, now)


def _audit(
    finding: Finding, action: str, after: dict[str, str], actor: accounts.Actor, now: datetime
) -> None:
    accounts.record_audit(
        organisation=None,
        actor=actor,
        action=action,
        target_id=finding.public_id,
        target_label=str(finding),
        before={"state": finding.state},
        after=after,
        now=now,
    )
