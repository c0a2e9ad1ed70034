"""The beat's door to the reconciliation."""

from celery import shared_task

from marketplace.reconciliation import services
from portal.kernel.clock import utc_now


@shared_task(name="reconciliation.reconcile_balances")
def reconcile_balances() -> None:
    """One run; differences act when the next run sees them too."""
    services.reconcile_balances(trigger="beat", now=utc_now())
