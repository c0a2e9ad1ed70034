"""Releasing and expiring holds: what was set aside is spendable again."""

from collections.abc import Sequence
from datetime import datetime

from django.db.transaction import atomic

from marketplace.ledger.models import HoldState
from marketplace.ledger.services import reads
from marketplace.ledger.services.commands import ExpiredHold
from marketplace.ledger.services.draft import Draft
from marketplace.ledger.services.isolation import sweep
from marketplace.ledger.services.rows import HoldRow


def release_holds(hold_ids: Sequence[str], *, now: datetime) -> list[bool]:
    """Release pending holds in one commit; False for those resolved before or unknown."""
    if not hold_ids:
        return []
    with atomic(savepoint=False):
        pending = _resolve(hold_ids, HoldState.RELEASED, now)
    released = {hold.public_id for hold in pending}
    results = []
    for hold_id in hold_ids:
        results.append(hold_id in released)
        released.discard(hold_id)
    return results


def expire_holds(*, now: datetime, limit: int = 500) -> list[ExpiredHold]:
    """Expire all pending holds past their time, the oldest first, at most ``limit`` in one commit.

    Skipped are holds that another process is resolving at this instant, and those whose wallet or
    limit is broken: they stay as they are, are logged, and don't keep others waiting.
    """
    expired: list[ExpiredHold] = []
    stuck: set[str] = set()
    while due := _find_due(now, limit, stuck):
        holds = sweep(due, lambda ids: _resolve(ids, HoldState.EXPIRED, now), what="expire holds")
        expired += [ExpiredHold(hold.id, hold.public_id, hold.reference) for hold in holds]
        stuck |= set(due) - {hold.public_id for hold in holds}
    return expired


def _find_due(now: datetime, limit: int, stuck: set[str]) -> list[str]:
    found = reads.find_due_holds(now, limit + len(stuck))
    return [hold_id for hold_id in found if hold_id not in stuck]


def _resolve(hold_ids: Sequence[str], state: HoldState, now: datetime) -> list[HoldRow]:
    """Bring those that are still pending into this state."""
    if not hold_ids:
        return []
    holds = reads.lock_holds(hold_ids).holds.values()
    pending = [hold for hold in holds if hold.state == HoldState.PENDING]
    draft = Draft(now)
    for hold in pending:
        set_free(hold)
        hold.state = state
        hold.resolved_at = now
        draft.touch(hold)
    draft.flush()
    return pending


def set_free(hold: HoldRow) -> None:
    """Give what a pending hold has set aside back to its wallets and limits."""
    for part in hold.parts:
        part.wallet.held -= part.amount
    for limit in hold.limits:
        limit.held -= hold.amount
