"""Runs, what follows from a difference, and what staff decide about it."""

from marketplace.reconciliation.services.debts import (
    DebtEnd,
    DebtNotFoundYet,
    OwnDebt,
    SecondPersonNeeded,
    needs_two,
    settle_debt,
)
from marketplace.reconciliation.services.decisions import (
    FindingAlreadyResolved,
    FreezeReasonMissing,
    NoteMissing,
    NotFrozenByStaff,
    acknowledge_finding,
    freeze_wallet,
    lift_freeze,
    resolve_finding,
)
from marketplace.reconciliation.services.notices import announce_findings
from marketplace.reconciliation.services.pruning import prune_runs
from marketplace.reconciliation.services.runs import has_suspicions, reconcile_balances

__all__ = [
    "DebtEnd",
    "DebtNotFoundYet",
    "FindingAlreadyResolved",
    "FreezeReasonMissing",
    "NotFrozenByStaff",
    "NoteMissing",
    "OwnDebt",
    "SecondPersonNeeded",
    "acknowledge_finding",
    "announce_findings",
    "freeze_wallet",
    "has_suspicions",
    "lift_freeze",
    "needs_two",
    "prune_runs",
    "reconcile_balances",
    "resolve_finding",
    "settle_debt",
]
