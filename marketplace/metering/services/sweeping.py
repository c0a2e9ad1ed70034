"""Calls that died with their process: their holds expire, and the calls are marked as lost."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import QuerySet

from marketplace.ledger import services as ledger
from marketplace.ledger.models import HoldState
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
    ledger.expire_holds(now=now, limit=BATCH)
    still_open = Call.objects.filter(status=CallStatus.OPEN)
    # By what is stored, not by what was just expired: a sweep that died in between is made good.
    swept = _mark_lost(still_open.filter(hold__state=HoldState.EXPIRED), now)
    # Calls that can cost nothing have no hold to expire.
    return swept + _mark_lost(
        still_open.filter(hold=None, started_at__lt=now - longest_call()), now
    )


def _mark_lost(calls: QuerySet[Call], now: datetime) -> int:
    marked = 0
    while pks := list(calls.values_list("pk", flat=True)[:BATCH]):
        # The state is asked again: one of them may be closed at this moment.
        marked += Call.objects.filter(pk__in=pks, status=CallStatus.OPEN).update(
            status=CallStatus.LOST, error_code=LOST_CODE, ended_at=now
        )
    return marked
