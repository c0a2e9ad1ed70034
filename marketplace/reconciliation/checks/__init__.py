"""The checks of docs/money.md that run so far, in their order there."""

from marketplace.reconciliation.checks.base import Check
from marketplace.reconciliation.checks.book import BOOK
from marketplace.reconciliation.checks.contradictions import CONTRADICTIONS
from marketplace.reconciliation.checks.doubts import DOUBTS
from marketplace.reconciliation.checks.guarding import GUARDS
from marketplace.reconciliation.checks.holds import HELD
from marketplace.reconciliation.checks.lots import LOTS
from marketplace.reconciliation.checks.movements import MOVEMENTS
from marketplace.reconciliation.checks.overdue import OVERDUE_HOLDS, OVERDUE_LOTS, STUCK_EVENTS
from marketplace.reconciliation.checks.payments import AGREED_PAYMENTS, PAID_ORDERS, PLACED_PAYMENTS
from marketplace.reconciliation.checks.rating import RATING
from marketplace.reconciliation.checks.repeats import REPEATS
from marketplace.reconciliation.checks.reversals import REVERSALS
from marketplace.reconciliation.checks.totals import TOTALS
from marketplace.reconciliation.checks.usage import CHARGES, EVENTS
from marketplace.reconciliation.checks.wallets import CHAIN, POSTED

CHECKS: tuple[Check, ...] = (
    POSTED,
    CHAIN,
    HELD,
    LOTS,
    BOOK,
    OVERDUE_HOLDS,
    OVERDUE_LOTS,
    EVENTS,
    CHARGES,
    RATING,
    CONTRADICTIONS,
    REPEATS,
    PAID_ORDERS,
    PLACED_PAYMENTS,
    AGREED_PAYMENTS,
    REVERSALS,
    MOVEMENTS,
    STUCK_EVENTS,
    GUARDS,
    DOUBTS,
    TOTALS,
)
BY_NUMBER = {check.number: check for check in CHECKS}
