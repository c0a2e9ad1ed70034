"""Runs and findings."""

from django.db.models import QuerySet

from marketplace.reconciliation.models import Finding, FindingState, Run
from portal.kernel.errors import NotFound

# What the reasons of freezes begin with: staff's own words, or the finding that froze.
STAFF_FREEZE = "staff: "
FINDING_FREEZE = "finding:"


def list_runs() -> QuerySet[Run]:
    """All runs, newest first."""
    return Run.objects.order_by("-started_at", "-pk")


def list_findings(*, state: str = "") -> QuerySet[Finding]:
    """Findings by money at stake; without ``state``, all that a person should look at."""
    findings = _findings_with_names()
    if state:
        findings = findings.filter(state=state)
    else:
        findings = findings.filter(state__in=[FindingState.OPEN, FindingState.ACKNOWLEDGED])
    return findings.order_by("-at_stake_millitokens", "-last_seen_at", "-pk")


def count_open_findings() -> int:
    """How many wait for a person."""
    return list_findings().count()


def get_finding(*, public_id: str) -> Finding:
    """One finding; raises NotFound."""
    finding = _findings_with_names().filter(public_id=public_id).first()
    if finding is None:
        raise NotFound
    return finding


def _findings_with_names() -> QuerySet[Finding]:
    """With the runs and the people that pages name."""
    return Finding.objects.select_related("first_run", "last_run", "resolved_by", "acknowledged_by")


def get_run(*, public_id: str) -> Run:
    """One run; raises NotFound."""
    run = Run.objects.filter(public_id=public_id).first()
    if run is None:
        raise NotFound
    return run
