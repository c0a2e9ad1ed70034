"""The far side of the sandbox: sessions, payments and the events they cause. No money moves.

It keeps a processor's promises: a key makes one session, a session is paid at most once whoever
clicks in how many tabs (one guarded UPDATE decides), and each change leaves an event row in the
same commit, which is both the list of events and the intent to deliver it.
"""

from datetime import datetime, timedelta
from urllib.parse import urlsplit, urlunsplit

from django.db import transaction
from django.db.models import Q
from django.urls import reverse

from marketplace.billing.models import (
    MovementKind,
    SandboxEvent,
    SandboxMovement,
    SandboxSession,
    SandboxState,
)
from marketplace.billing.payment_provider import (
    EventType,
    PaymentRefused,
    SessionRequest,
    SessionUnknown,
)
from portal.kernel.public_ids import new_public_id

MAX_DELAY = timedelta(minutes=10)
CARD_DECLINED = "card_declined"


def create_session(
    *, request: SessionRequest, idempotency_key: str, now: datetime
) -> SandboxSession:
    """The session of this key; the same key with other parameters is refused."""
    wanted = {
        "amount_minor": request.amount_minor,
        "currency": request.currency,
        "metadata": dict(request.metadata),
        "description": request.description[:200],
        "return_url": request.return_url,
        "cancel_url": request.cancel_url,
        "expires_at": datetime.fromisoformat(request.expires_at),
    }
    draft = SandboxSession(
        session_id=new_public_id("sbx"),
        payment_id=new_public_id("sbp"),
        idempotency_key=idempotency_key,
        created_at=now,
        **wanted,
    )
    SandboxSession.objects.bulk_create([draft], ignore_conflicts=True)
    session = SandboxSession.objects.get(idempotency_key=idempotency_key)
    if any(getattr(session, name) != value for name, value in wanted.items()):
        raise PaymentRefused(code="idempotency_key_reused")
    return session


def get_session(object_id: str, *, now: datetime) -> SandboxSession:
    """By session or payment id, as it is ``now``: due delays and expiries happen first."""
    let_time_pass(now=now)
    session = SandboxSession.objects.filter(
        Q(session_id=object_id) | Q(payment_id=object_id)
    ).first()
    if session is None:
        raise SessionUnknown
    return session


def find_session(*, order_id: str, now: datetime) -> SandboxSession | None:
    let_time_pass(now=now)
    return SandboxSession.objects.filter(metadata__order=order_id).order_by("-id").first()


def pay(*, session_id: str, now: datetime) -> bool:
    """True for the one click that paid; later ones find the session no longer open."""
    return _leave_open(
        session_id,
        {"state": SandboxState.COMPLETE, "payment_state": "paid", "failure_code": ""},
        [EventType.SESSION_COMPLETED, EventType.PAYMENT_SUCCEEDED],
        now=now,
    )


def pay_later(*, session_id: str, delay: timedelta, now: datetime) -> bool:
    """The buyer is done, the money comes after ``delay``: how bank debits and Alipay behave."""
    return _leave_open(
        session_id,
        {"state": SandboxState.COMPLETE, "succeeds_at": now + min(delay, MAX_DELAY)},
        [EventType.SESSION_COMPLETED],
        now=now,
    )


def decline(*, session_id: str, now: datetime) -> bool:
    """The bank says no. The session is over; another try is another session."""
    return _leave_open(
        session_id,
        {"state": SandboxState.COMPLETE, "failure_code": CARD_DECLINED},
        [EventType.PAYMENT_FAILED],
        now=now,
    )


def expire(*, session_id: str, now: datetime) -> bool:
    return _leave_open(
        session_id,
        {"state": SandboxState.EXPIRED},
        [EventType.SESSION_EXPIRED],
        now=now,
        even_late=True,
    )


def list_events(*, since: datetime, now: datetime) -> list[SandboxEvent]:
    let_time_pass(now=now)
    events = SandboxEvent.objects.filter(created_at__gte=since).select_related("session")
    return list(events.order_by("created_at", "id"))


def let_time_pass(*, now: datetime) -> None:
    """What a processor does on its own: delayed payments succeed, open sessions expire."""
    due = SandboxSession.objects.filter(payment_state="unpaid", succeeds_at__lte=now)
    for session in due.exclude(state=SandboxState.EXPIRED):
        with transaction.atomic():
            paid = SandboxSession.objects.filter(pk=session.pk, payment_state="unpaid").update(
                payment_state="paid"
            )
            if paid:
                record_events([EventType.PAYMENT_SUCCEEDED], session, now=now)
                record_charge(session, now=now)
    for session in SandboxSession.objects.filter(state=SandboxState.OPEN, expires_at__lte=now):
        expire(session_id=session.session_id, now=now)


def _leave_open(
    session_id: str,
    change: dict[str, object],
    events: list[EventType],
    *,
    now: datetime,
    even_late: bool = False,
) -> bool:
    with transaction.atomic():
        still_open = SandboxSession.objects.filter(session_id=session_id, state=SandboxState.OPEN)
        if not even_late:
            still_open = still_open.filter(expires_at__gt=now)
        if not still_open.update(**change):
            return False
        session = SandboxSession.objects.get(session_id=session_id)
        record_events(events, session, now=now)
        if session.payment_state == "paid":
            record_charge(session, now=now)
    return True


def record_events(types: list[EventType], session: SandboxSession, *, now: datetime) -> None:
    """Within the commit of what they tell about."""
    SandboxEvent.objects.bulk_create(
        SandboxEvent(
            event_id=new_public_id("sbe"),
            event_type=event_type,
            session=session,
            created_at=now,
            next_attempt_at=now,
        )
        for event_type in types
    )


def record_charge(session: SandboxSession, *, now: datetime) -> None:
    record_movement(session, MovementKind.CHARGE, session.payment_id, session.amount_minor, now=now)


def record_movement(
    session: SandboxSession, kind: MovementKind, source_id: str, amount_minor: int, *, now: datetime
) -> None:
    """In the account, within the commit of what moved it; out is negative."""
    SandboxMovement.objects.create(
        movement_id=new_public_id("sbm"),
        session=session,
        kind=kind,
        source_id=source_id,
        amount_minor=amount_minor,
        created_at=now,
    )


def list_movements(*, since: datetime, now: datetime) -> list[SandboxMovement]:
    let_time_pass(now=now)
    moved = SandboxMovement.objects.filter(created_at__gte=since).select_related("session")
    return list(moved.order_by("created_at", "id"))


def get_pay_url(session: SandboxSession) -> str:
    path = reverse("billing:sandbox_pay", kwargs={"session": session.session_id})
    return on_site_of(session.return_url, path)


def on_site_of(url: str, path: str) -> str:
    """On the host that the buyer came from: the sandbox lives on our own domain."""
    origin = urlsplit(url)
    return urlunsplit((origin.scheme, origin.netloc, path, "", ""))
