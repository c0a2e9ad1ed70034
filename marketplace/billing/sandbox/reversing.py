"""The far side of the sandbox when money goes back: refunds and disputes. No money moves."""

from datetime import datetime

from django.db import transaction

from marketplace.billing.models import (
    MovementKind,
    SandboxDispute,
    SandboxRefund,
    SandboxSession,
)
from marketplace.billing.payment_provider import EventType, PaymentRefused
from marketplace.billing.sandbox.processor import record_events, record_movement
from portal.kernel.public_ids import new_public_id


def refund(
    *,
    session_id: str,
    amount_minor: int,
    request_id: str = "",
    state: str = "succeeded",
    now: datetime,
) -> SandboxRefund:
    """The refund of this request, or a new one. Raises PaymentRefused for more than is left."""
    with transaction.atomic():
        session = _lock_paid(session_id)
        made = SandboxRefund.objects.filter(request_id=request_id).first() if request_id else None
        if made is not None:
            if made.session_id != session.pk or made.amount_minor != amount_minor:
                raise PaymentRefused(code="idempotency_key_reused")
            return made
        if _is_disputed(session):
            raise PaymentRefused(code="charge_disputed")
        if not 0 < amount_minor <= left_of(session):
            raise PaymentRefused(code="refund_too_large")
        made = SandboxRefund.objects.create(
            refund_id=new_public_id("sbr"),
            session=session,
            request_id=request_id,
            amount_minor=amount_minor,
            state=state,
            created_at=now,
        )
        record_events([EventType.REFUND_CHANGED], session, now=now)
        if state != "failed":
            record_movement(session, MovementKind.REFUND, made.refund_id, -amount_minor, now=now)
    return made


def fail_refund(*, refund_id: str, now: datetime) -> None:
    """The buyer's bank sent it back, as happens days later."""
    with transaction.atomic():
        failed = SandboxRefund.objects.select_related("session").get(refund_id=refund_id)
        failed.state = "failed"
        failed.save(update_fields=["state"])
        record_events([EventType.REFUND_CHANGED], failed.session, now=now)
        record_movement(
            failed.session, MovementKind.REFUND_FAILURE, refund_id, failed.amount_minor, now=now
        )


def dispute(*, session_id: str, now: datetime) -> SandboxDispute:
    """The bank takes back what is left of the payment. Raises PaymentRefused for a second one."""
    with transaction.atomic():
        session = _lock_paid(session_id)
        left = left_of(session)
        if SandboxDispute.objects.filter(session=session).exists() or not left:
            raise PaymentRefused(code="nothing_to_dispute")
        opened = SandboxDispute.objects.create(
            dispute_id=new_public_id("sbd"), session=session, amount_minor=left, created_at=now
        )
        record_events([EventType.DISPUTE_CHANGED], session, now=now)
        record_movement(session, MovementKind.DISPUTE, opened.dispute_id, -left, now=now)
    return opened


def close_dispute(*, session_id: str, won: bool, now: datetime) -> bool:
    """The bank has decided: won gives the money back to the shop. False when none was open."""
    with transaction.atomic():
        session = _lock_paid(session_id)
        opened = SandboxDispute.objects.filter(session=session, state="open").first()
        if opened is None:
            return False
        opened.state = "won" if won else "lost"
        opened.save(update_fields=["state"])
        record_events([EventType.DISPUTE_CHANGED], session, now=now)
        if won:
            back = MovementKind.DISPUTE_REVERSAL
            record_movement(session, back, opened.dispute_id, opened.amount_minor, now=now)
    return True


def send_again(*, session_id: str, now: datetime) -> None:
    """All events of a payment once more, the newest first: what a bad day at a processor is."""
    events = SandboxSession.objects.get(session_id=session_id).events
    for place, event in enumerate(events.order_by("-id")):
        event.delivered_at, event.next_attempt_at = None, now
        event.created_at = now.replace(microsecond=place)
        event.save(update_fields=["delivered_at", "next_attempt_at", "created_at"])


def left_of(session: SandboxSession) -> int:
    """What can still go back of the payment, in minor units."""
    refunds = session.refunds.exclude(state="failed")
    gone = sum(refunds.values_list("amount_minor", flat=True))
    disputed = SandboxDispute.objects.filter(session=session).exclude(state="won")
    gone += sum(disputed.values_list("amount_minor", flat=True))
    return max(0, session.amount_minor - gone)


def _is_disputed(session: SandboxSession) -> bool:
    return SandboxDispute.objects.filter(session=session).exclude(state="won").exists()


def _lock_paid(session_id: str) -> SandboxSession:
    session = (
        SandboxSession.objects.select_for_update()
        .filter(session_id=session_id, payment_state="paid")
        .first()
    )
    if session is None:
        raise PaymentRefused(code="payment_unknown")
    return session
