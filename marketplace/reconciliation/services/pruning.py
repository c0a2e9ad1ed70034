"""Light runs are many and soon forgotten; full runs and what findings name are kept."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Exists, OuterRef

from marketplace.reconciliation.models import Finding, Run, RunKind


def prune_runs(*, now: datetime) -> int:
    """Delete light runs older than RECONCILE_KEEP_DAYS that no finding names; returns how many."""
    old = Run.objects.filter(
        kind=RunKind.LIGHT, started_at__lt=now - timedelta(days=settings.RECONCILE_KEEP_DAYS)
    )
    unnamed = old.exclude(Exists(Finding.objects.filter(first_run=OuterRef("pk")))).exclude(
        Exists(Finding.objects.filter(last_run=OuterRef("pk")))
    )
    deleted, _by_model = unnamed.delete()
    return deleted
