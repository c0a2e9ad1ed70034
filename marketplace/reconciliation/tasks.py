"""The beat's doors to the reconciliation."""

from celery import shared_task
from django.conf import settings

from marketplace.reconciliation import services
from marketplace.reconciliation.models import RunKind
from portal.kernel.clock import utc_now


@shared_task(name="reconciliation.reconcile_lightly")
def reconcile_lightly() -> None:
    """What can have changed; differences act when the next run sees them too."""
    services.reconcile_balances(trigger="beat", kind=RunKind.LIGHT, now=utc_now())
    services.announce_findings(now=utc_now())


@shared_task(name="reconciliation.reconcile_fully")
def reconcile_fully(*, again: bool = True) -> None:
    """The whole book; once more after a pause if it saw something for the first time, since light
    runs would not see all of it again."""
    run = services.reconcile_balances(trigger="beat", kind=RunKind.FULL, now=utc_now())
    if again and services.has_suspicions(run):
        reconcile_fully.apply_async(
            kwargs={"again": False}, countdown=settings.RECONCILE_PAUSE_SECONDS
        )
    services.announce_findings(now=utc_now())
    services.prune_runs(now=utc_now())


@shared_task(name="reconciliation.announce_findings")
def announce_findings() -> None:
    """Staff who could not be told at once."""
    services.announce_findings(now=utc_now())
