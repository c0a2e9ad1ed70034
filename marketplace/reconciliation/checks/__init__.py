"""The checks of docs/money.md that run so far, in their order there."""

from marketplace.reconciliation.checks.base import Check
from marketplace.reconciliation.checks.book import BOOK
from marketplace.reconciliation.checks.doubts import DOUBTS
from marketplace.reconciliation.checks.overdue import OVERDUE_HOLDS, OVERDUE_LOTS, STUCK_EVENTS
from marketplace.reconciliation.checks.payments import PAID_ORDERS
from marketplace.reconciliation.checks.usage import CHARGES
from marketplace.reconciliation.checks.wallets import CHAIN, HELD, LOTS, POSTED

CHECKS: tuple[Check, ...] = (
    POSTED,
    CHAIN,
    HELD,
    LOTS,
    BOOK,
    OVERDUE_HOLDS,
    OVERDUE_LOTS,
    CHARGES,
    PAID_ORDERS,
    STUCK_EVENTS,
    DOUBTS,
)
BY_NUMBER = {check.number: check for check in CHECKS}
