"""A run: read one snapshot, compare, and act only on what is seen a second time."""

from datetime import datetime, timedelta
from time import monotonic
from typing import Any

import structlog
from django.db import transaction
from django.db.backends.utils import CursorWrapper

from marketplace.ledger import services as ledger
from marketplace.reconciliation.checks import CHECKS
from marketplace.reconciliation.checks.base import Action, Check, Difference, Scope
from marketplace.reconciliation.checks.book import BOOK
from marketplace.reconciliation.checks.usage import EVENTS
from marketplace.reconciliation.equation import Proof, find_gaps, find_torn_proofs, prove
from marketplace.reconciliation.floors import find_floors
from marketplace.reconciliation.intake import count_intake, find_lost_counts
from marketplace.reconciliation.models import Finding, FindingState, Run, RunKind, WalletProof
from marketplace.reconciliation.services.following_up import act, remember
from marketplace.reconciliation.snapshot import open_snapshot
from portal.kernel.clock import utc_now

log = structlog.get_logger(__name__)

Seen = dict[Check, list[Difference]]

# How far a light run looks back beyond the start of the last full run: no commit takes so long,
# and no clock goes so wrong, that a row would come to lie before both.
MARGIN = timedelta(hours=1)

_CLOSING_FIELDS = (
    "equation", "intake", "floors", "head_number", "head_hash", "checks", "error", "finished_at",
)  # fmt: skip


def reconcile_balances(*, trigger: str, now: datetime, kind: str = RunKind.FULL) -> Run:
    """Run every check over one snapshot; repair, report or freeze what was seen before.

    Safe to run twice, and twice at once: differences are remembered under a unique key, one
    run at a time remembers, and each repair recomputes under its owner's locks. A run that dies
    leaves its row without an end; what it had remembered by then was remembered in one commit.
    """
    run = Run.objects.create(trigger=trigger, kind=kind, started_at=now)
    scope = _scope_of(run)
    try:
        unprepared = _prepare(run, now) if scope.since is None else {}
        with open_snapshot() as cursor:
            seen = _examine(run, cursor, scope, unprepared)
            if head := ledger.find_newest_head(cursor):
                run.head_number, run.head_hash = head
            proof = prove(cursor)
            seen[BOOK] += find_gaps(proof)
            if scope.since is None:
                # Over all rows of large tables, so only by runs that read them anyway.
                seen[BOOK] += find_torn_proofs(cursor)
                run.intake = count_intake(cursor)
                seen[EVENTS] += find_lost_counts(cursor, run.intake, now)
                run.floors = find_floors(cursor, before=now - MARGIN)
        _ask(run, seen, now)
        act(remember(run, seen, now), now)
    except Exception as error:
        run.error = f"{type(error).__name__}: {error}"[:300]
        run.finished_at = utc_now()
        run.save(update_fields=["error", "finished_at"])
        raise
    _finish(run, proof)
    return run


def has_suspicions(run: Run) -> bool:
    """Whether it saw something for the first time, that a second run should look at again."""
    return Finding.objects.filter(first_run=run, state=FindingState.SUSPECTED).exists()


def _scope_of(run: Run) -> Scope:
    """A light run looks from the last full one on; without one, at everything."""
    base = None
    if run.kind == RunKind.LIGHT:
        finished = Run.objects.filter(kind=RunKind.FULL, finished_at__isnull=False, error="")
        base = finished.order_by("-started_at", "-pk").first()
    if base is not None:
        run.since = base.started_at - MARGIN
        run.save(update_fields=["since"])
    return Scope(
        now=run.started_at,
        since=run.since,
        floors=base.floors if base else {},
        seed=run.public_id,
    )


def _prepare(run: Run, now: datetime) -> dict[int, str]:
    """Fetch what outsiders say, for the snapshot; by check, why it could not be fetched."""
    failed = {}
    for check in CHECKS:
        if check.prepare is not None:
            try:
                check.prepare(now)
            except Exception as error:
                log.exception("preparing_failed", check=check.number, run=run.public_id)
                failed[check.number] = _describe(error)
    return failed


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:200]


def _examine(run: Run, cursor: CursorWrapper, scope: Scope, unprepared: dict[int, str]) -> Seen:
    """What each check saw; how much it read and how long it took goes into the run's report.

    A check that fails (a damaged row can make a sum overflow) takes no other with it: that it could
    not be carried out is a difference itself, and nothing that it saw before is forgotten.
    """
    seen: Seen = {}
    for check in CHECKS:
        begun = monotonic()
        cursor.execute("SAVEPOINT examine")
        row: dict[str, Any] = {"number": check.number, "examined": 0}
        if check.number in unprepared:
            row["error"] = unprepared[check.number]
        try:
            examined = check.examine(cursor, scope)
        except Exception as error:
            log.exception("check_failed", check=check.number, run=run.public_id)
            cursor.execute("ROLLBACK TO SAVEPOINT examine")
            row["error"] = _describe(error)
            failure = {"error": row["error"]}
            seen[check] = [Difference(f"check:{check.number}", failure, action=Action.FINDING)]
        else:
            row["examined"] = examined.count
            seen[check] = list(examined.differences)
        row["milliseconds"] = round((monotonic() - begun) * 1000)
        run.checks.append(row)
    return seen


def _ask(run: Run, seen: Seen, now: datetime) -> None:
    """What only outsiders know; one who does not answer now is asked again by the next run."""
    rows = {row["number"]: row for row in run.checks}
    for check in CHECKS:
        if check.ask is not None:
            try:
                seen[check] += check.ask(now)
            except Exception as error:
                log.exception("asking_failed", check=check.number, run=run.public_id)
                rows[check.number]["error"] = _describe(error)
        rows[check.number]["differences"] = len(seen[check])


def _finish(run: Run, proof: Proof) -> None:
    failed = [f"check {row['number']}: {row['error']}" for row in run.checks if "error" in row]
    run.error = "; ".join(failed)[:300]
    run.equation, run.finished_at = proof.by_unit, utc_now()
    with transaction.atomic():
        if run.kind == RunKind.FULL:
            WalletProof.objects.bulk_create(
                [WalletProof(run=run, **terms) for terms in proof.by_wallet], batch_size=500
            )
        run.save(update_fields=_CLOSING_FIELDS)
