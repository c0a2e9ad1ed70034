"""Reads of metering; for tenant data the organisation is a required argument.

Sums come from the totals (at most a minute old, see ``UsageReport.as_of``), lists from the calls
by index; neither gets slower or asks more often as calls pile up.
"""

from marketplace.metering.selectors.attempts import list_attempts
from marketplace.metering.selectors.budgets import (
    BudgetState,
    RefusingLimit,
    describe_refusing_limit,
    get_budget,
    get_budget_states,
    get_key_states,
    list_budgets,
    sees_own_budgets_only,
    was_refused_by,
)
from marketplace.metering.selectors.calls import (
    CostLine,
    FilterChoices,
    describe_opened,
    get_call,
    get_filter_choices,
    get_first_call,
    has_first_call,
    list_calls,
    list_cost_lines,
    list_provider_calls,
)
from marketplace.metering.selectors.earnings import (
    EarningsReport,
    ServiceEarnings,
    ServiceFigures,
    get_provider_earnings,
    get_service_figures,
)
from marketplace.metering.selectors.forecast import (
    BurnRate,
    RunOut,
    get_burn_rate,
    get_run_out,
)
from marketplace.metering.selectors.key_usage import KeyUsage, get_key_usage
from marketplace.metering.selectors.recounts import CountRecord, get_count_records
from marketplace.metering.selectors.usage import (
    GroupBy,
    Spend,
    UsageGroup,
    UsageReport,
    get_last_roll_up,
    get_spend,
    get_usage,
    get_usage_by_day,
)

__all__ = [
    "BudgetState",
    "BurnRate",
    "CostLine",
    "CountRecord",
    "EarningsReport",
    "FilterChoices",
    "GroupBy",
    "KeyUsage",
    "RefusingLimit",
    "RunOut",
    "ServiceEarnings",
    "ServiceFigures",
    "Spend",
    "UsageGroup",
    "UsageReport",
    "describe_opened",
    "describe_refusing_limit",
    "get_budget",
    "get_budget_states",
    "get_burn_rate",
    "get_call",
    "get_count_records",
    "get_filter_choices",
    "get_first_call",
    "get_key_states",
    "get_key_usage",
    "get_last_roll_up",
    "get_provider_earnings",
    "get_run_out",
    "get_service_figures",
    "get_spend",
    "get_usage",
    "get_usage_by_day",
    "has_first_call",
    "list_attempts",
    "list_budgets",
    "list_calls",
    "list_cost_lines",
    "list_provider_calls",
    "sees_own_budgets_only",
    "was_refused_by",
]
