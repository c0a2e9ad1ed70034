"""The far side of the sandbox for saved cards: the page where one is chosen, and its charges."""

from datetime import datetime

from django.db import transaction
from django.urls import reverse

from marketplace.billing.models import SandboxCard, SandboxSession, SandboxState
from marketplace.billing.payment_provider import EventType, PaymentRefused, SessionUnknown
from marketplace.billing.sandbox.processor import (
    CARD_DECLINED,
    on_site_of,
    record_charge,
    record_events,
)
from marketplace.billing.saved_cards import AuthenticationNeeded, CardRequest, ChargeRequest
from portal.kernel.public_ids import new_public_id

# What each card does, and the last digits that tell them apart.
LAST4_BY_STATE = {"good": "4242", "declines": "0002", "asks_holder": "3155"}


def begin_visit(*, request: CardRequest, idempotency_key: str, now: datetime) -> SandboxCard:
    draft = SandboxCard(
        visit_id=new_public_id("sbv"),
        card_id=new_public_id("sbc"),
        idempotency_key=idempotency_key,
        customer_id=request.customer_id,
        return_url=request.return_url,
        cancel_url=request.cancel_url,
        created_at=now,
    )
    SandboxCard.objects.bulk_create([draft], ignore_conflicts=True)
    return SandboxCard.objects.get(idempotency_key=idempotency_key)


def get_visit(visit_id: str) -> SandboxCard:
    """Raises SessionUnknown."""
    visit = SandboxCard.objects.filter(visit_id=visit_id).first()
    if visit is None:
        raise SessionUnknown
    return visit


def choose(*, visit_id: str, state: str) -> bool:
    """True for the one click that chose a card; later ones find the visit over."""
    assert state in LAST4_BY_STATE
    open_visit = SandboxCard.objects.filter(visit_id=visit_id, state="open")
    return bool(open_visit.update(state=state))


def forget(*, card_id: str) -> None:
    SandboxCard.objects.filter(card_id=card_id).update(state="forgotten")


def charge(*, request: ChargeRequest, idempotency_key: str, now: datetime) -> SandboxSession:
    """The payment of this key. Raises AuthenticationNeeded, PaymentRefused.

    A declined one is kept too, with its event: the same key is declined for ever.
    """
    with transaction.atomic():
        card = (
            SandboxCard.objects.select_for_update()
            .filter(card_id=request.card_id, customer_id=request.customer_id)
            .first()
        )
        made = SandboxSession.objects.filter(idempotency_key=idempotency_key).first()
        if made is None:
            if card is None or card.state not in LAST4_BY_STATE:
                raise PaymentRefused(code="card_unknown")
            if card.state == "asks_holder":
                raise AuthenticationNeeded
            made = _pay(request, idempotency_key, declined=card.state == "declines", now=now)
    if made.failure_code:
        raise PaymentRefused(code=made.failure_code)
    if (made.amount_minor, made.currency) != (request.amount_minor, request.currency):
        raise PaymentRefused(code="idempotency_key_reused")
    return made


def get_page_url(visit: SandboxCard) -> str:
    path = reverse("billing:sandbox_card", kwargs={"visit": visit.visit_id})
    return on_site_of(visit.return_url, path)


def _pay(
    request: ChargeRequest, idempotency_key: str, *, declined: bool, now: datetime
) -> SandboxSession:
    made = SandboxSession.objects.create(
        session_id=new_public_id("sbx"),
        payment_id=new_public_id("sbp"),
        idempotency_key=idempotency_key,
        state=SandboxState.COMPLETE,
        payment_state="unpaid" if declined else "paid",
        failure_code=CARD_DECLINED if declined else "",
        amount_minor=request.amount_minor,
        currency=request.currency,
        metadata=dict(request.metadata),
        description=request.description[:200],
        created_at=now,
        expires_at=now,
    )
    told = EventType.PAYMENT_FAILED if declined else EventType.PAYMENT_SUCCEEDED
    record_events([told], made, now=now)
    if not declined:
        record_charge(made, now=now)
    return made
