"""Writes of metering: calls opened with their hold, closed with their capture, summed up."""

from marketplace.metering.commands import (
    CloseCall,
    CloseResult,
    OpenCall,
    OpenedCall,
    OpenResult,
)
from marketplace.metering.services.attempts import purse_of
from marketplace.metering.services.budgets import (
    BudgetArchived,
    BudgetExists,
    BudgetRejected,
    archive_budget,
    change_budget,
    create_budget,
    settle_openings,
)
from marketplace.metering.services.closing import UsageNotPossible, close_calls
from marketplace.metering.services.opening import extend_call, open_calls
from marketplace.metering.services.recounting import record_recounts
from marketplace.metering.services.repairs import write_missing_charge
from marketplace.metering.services.rolling_up import roll_up_usage
from marketplace.metering.services.stored_answers import (
    Earlier,
    claim_answer,
    forget_answers,
    give_back_claim,
    keep_answer,
)
from marketplace.metering.services.sweeping import longest_call, sweep_open_calls

__all__ = [
    "BudgetArchived",
    "BudgetExists",
    "BudgetRejected",
    "CloseCall",
    "CloseResult",
    "Earlier",
    "OpenCall",
    "OpenResult",
    "OpenedCall",
    "UsageNotPossible",
    "archive_budget",
    "change_budget",
    "claim_answer",
    "close_calls",
    "create_budget",
    "extend_call",
    "forget_answers",
    "give_back_claim",
    "keep_answer",
    "longest_call",
    "open_calls",
    "purse_of",
    "record_recounts",
    "roll_up_usage",
    "settle_openings",
    "sweep_open_calls",
    "write_missing_charge",
]
