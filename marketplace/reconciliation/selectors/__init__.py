"""What staff read of runs, findings and the books behind them. Operator data: no tenant's own."""

from marketplace.reconciliation.selectors.books import (
    ChainLink,
    WalletView,
    get_call,
    get_order,
    get_transaction,
    get_wallet,
    list_chain,
    list_pending_parts,
    view_wallet,
)
from marketplace.reconciliation.selectors.debts import DEBT_UNIT, Debt, get_debt, list_debts
from marketplace.reconciliation.selectors.findings import (
    FINDING_FREEZE,
    STAFF_FREEZE,
    count_open_findings,
    get_finding,
    get_run,
    list_findings,
    list_runs,
)

__all__ = [
    "DEBT_UNIT",
    "FINDING_FREEZE",
    "STAFF_FREEZE",
    "ChainLink",
    "Debt",
    "WalletView",
    "count_open_findings",
    "get_call",
    "get_debt",
    "get_finding",
    "get_order",
    "get_run",
    "get_transaction",
    "get_wallet",
    "list_chain",
    "list_debts",
    "list_findings",
    "list_pending_parts",
    "list_runs",
    "view_wallet",
]
