"""Calls that died with their process: their holds expire, and the calls are marked as lost."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from marketplace.ledger import services as ledger
from marketplace.metering.models import Call, CallStatus

BATCH = 500
# The call ended without us: the tenant pays nothing, and a finding asks the provider.
LOST_CODE = "process_lost"


def longest_call() -> timedelta:
    """How long a call of the gateway may take, its reading out and writing down included: the
    life of its hold. Direct calls' holds live for as long as their grants say."""
    return timedelta(
        seconds=settings.UPSTREAM_TOTAL_SECONDS
        + settings.UPSTREAM_DRAIN_SECONDS
        + settings.HOLD_MARGIN_SECONDS
    )


def sweep_open_calls(*, now: datetime) -> int:
    """Expire holds past their time and mark their calls as lost; safe to run twice at once.

    Returns how many calls were given up. Their cost is 0; a late report of what was used still
    closes them.
    """
    swept = 0
    while True:
        with transaction.atomic():
            expired = ledger.expire_holds(now=now, limit=BATCH)
            swept += _mark_lost([hold.hold_pk for hold in expired], now)
        if len(expired) < BATCH:
            break
    with transaction.atomic():
        # Calls that can cost nothing have no hold to expire.
        return swept + Call.objects.filter(
            status=CallStatus.OPEN, hold=None, started_at__lt=now - longest_call()
        ).update(status=CallStatus.LOST, error_code=LOST_CODE, ended_at=now)


def _mark_lost(hold_pks: list[int], now: datetime) -> int:
    if not hold_pks:
        return 0
    return Call.objects.filter(hold_id__in=hold_pks, status=CallStatus.OPEN).update(
        status=CallStatus.LOST, error_code=LOST_CODE, ended_at=now
    )
