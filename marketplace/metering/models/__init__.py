"""The tables of metering: calls, usage, totals, budgets, and how counts were checked."""

from marketplace.metering.models.budgets import Budget, BudgetQuerySet
from marketplace.metering.models.calls import (
    COSTING_STATUSES,
    TROUBLED_STATUSES,
    Call,
    CallQuerySet,
    CallStatus,
    RollUp,
    Surface,
    UsageCharge,
    UsageDoubt,
    UsageEvent,
    UsageSource,
    UsageTotal,
)
from marketplace.metering.models.recounts import (
    Calibration,
    Recount,
    RecountReason,
    RecountTally,
    Verdict,
)
from marketplace.metering.models.stored_answers import StoredAnswer

__all__ = [
    "COSTING_STATUSES",
    "TROUBLED_STATUSES",
    "Budget",
    "BudgetQuerySet",
    "Calibration",
    "Call",
    "CallQuerySet",
    "CallStatus",
    "Recount",
    "RecountReason",
    "RecountTally",
    "RollUp",
    "StoredAnswer",
    "Surface",
    "UsageCharge",
    "UsageDoubt",
    "UsageEvent",
    "UsageSource",
    "UsageTotal",
    "Verdict",
]
