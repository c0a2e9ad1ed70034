"""The sandbox behind the PaymentProvider interface, spoken to as if it were remote."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from marketplace.billing.models import (
    DisputeState,
    MovementKind,
    RefundState,
    SandboxCard,
    SandboxDispute,
    SandboxEvent,
    SandboxMovement,
    SandboxRefund,
    SandboxSession,
)
from marketplace.billing.money_back import (
    MoneyBack,
    ProviderDispute,
    ProviderRefund,
    RefundOrder,
)
from marketplace.billing.money_moved import ProviderMovement
from marketplace.billing.payment_provider import (
    EventRefused,
    PaymentEvent,
    PaymentSession,
    PaymentState,
    SessionRequest,
    SessionState,
)
from marketplace.billing.sandbox import cards, processor, reversing, signature
from marketplace.billing.saved_cards import CardFacts, CardRequest, CardVisit, ChargeRequest
from portal.kernel.clock import utc_now


class SandboxProvider:
    """See PaymentProvider. A remote processor has its own clock, so none is passed in."""

    name = "sandbox"
    livemode = False
    shows_account = True

    def create_session(self, request: SessionRequest, *, idempotency_key: str) -> PaymentSession:
        return _as_session(
            processor.create_session(
                request=request, idempotency_key=idempotency_key, now=utc_now()
            )
        )

    def find_session(self, *, order_id: str) -> PaymentSession | None:
        session = processor.find_session(order_id=order_id, now=utc_now())
        return _as_session(session) if session else None

    def retrieve_session(self, object_id: str) -> PaymentSession:
        return _as_session(processor.get_session(object_id, now=utc_now()))

    def expire_session(self, session_id: str) -> PaymentSession:
        processor.expire(session_id=session_id, now=utc_now())
        return self.retrieve_session(session_id)

    def send_refund(self, refund: RefundOrder) -> ProviderRefund:
        session = processor.get_session(refund.payment_id, now=utc_now())
        made = reversing.refund(
            session_id=session.session_id,
            amount_minor=refund.amount_minor,
            request_id=refund.request_id,
            now=utc_now(),
        )
        return _as_refund(made, session)

    def retrieve_money_back(self, payment_id: str) -> MoneyBack:
        session = processor.get_session(payment_id, now=utc_now())
        disputes = SandboxDispute.objects.filter(session=session)
        return MoneyBack(
            refunds=[_as_refund(made, session) for made in session.refunds.order_by("id")],
            disputes=[
                ProviderDispute(
                    dispute_id=one.dispute_id,
                    amount_minor=one.amount_minor,
                    currency=session.currency,
                    state=DisputeState(one.state),
                )
                for one in disputes
            ],
        )

    def find_payment(self, object_id: str) -> str:
        return processor.get_session(object_id, now=utc_now()).payment_id

    def list_movements(self, *, since: datetime) -> Sequence[ProviderMovement]:
        return [_as_movement(line) for line in processor.list_movements(since=since, now=utc_now())]

    def create_customer(self, *, organisation_id: str, name: str, email: str) -> str:
        return f"sbu_{organisation_id}"

    def begin_card_visit(self, request: CardRequest, *, idempotency_key: str) -> CardVisit:
        return _as_visit(
            cards.begin_visit(request=request, idempotency_key=idempotency_key, now=utc_now())
        )

    def retrieve_card_visit(self, visit_id: str) -> CardVisit:
        return _as_visit(cards.get_visit(visit_id))

    def charge_card(self, request: ChargeRequest, *, idempotency_key: str) -> PaymentSession:
        return _as_session(
            cards.charge(request=request, idempotency_key=idempotency_key, now=utc_now())
        )

    def forget_card(self, card_id: str) -> None:
        cards.forget(card_id=card_id)

    def list_events(self, *, since: datetime) -> Sequence[PaymentEvent]:
        return [_as_event(event) for event in processor.list_events(since=since, now=utc_now())]

    def parse_event(
        self, body: bytes, headers: Mapping[str, str], *, now: datetime
    ) -> PaymentEvent:
        event_id = signature.verify(body, headers, secret=signature.get_secret(), now=now)
        try:
            payload = json.loads(body.decode())
        except (UnicodeDecodeError, ValueError, RecursionError) as error:
            raise EventRefused(code="body_malformed") from error
        return _read_payload(payload, event_id)


def encode_event(event: SandboxEvent) -> bytes:
    """The body of a delivery: thin, it names the object and says nothing about money."""
    payload = {
        "id": event.event_id,
        "type": event.event_type,
        "created": int(event.created_at.timestamp()),
        "livemode": SandboxProvider.livemode,
        "object": {"id": event.session.session_id},
    }
    return json.dumps(payload).encode()


def _read_payload(payload: Any, event_id: str) -> PaymentEvent:
    match payload:
        case {
            "id": str(signed_id),
            "type": str(event_type),
            "created": int(created),
            "livemode": bool(livemode),
            "object": {"id": str(object_id)},
        } if (
            signed_id == event_id
            and _fits(event_id, 120)
            and _fits(event_type, 80)
            and _fits(object_id, 120)
        ):
            try:
                created_at = datetime.fromtimestamp(created, UTC)
            except (ValueError, OverflowError, OSError) as error:
                raise EventRefused(code="body_malformed") from error
            return PaymentEvent(
                event_id=event_id,
                type=event_type,
                object_id=object_id,
                livemode=livemode,
                created_at=created_at,
            )
    raise EventRefused(code="body_malformed")


def _fits(text: str, length: int) -> bool:
    """Fits its column; NUL and other control characters don't fit anywhere."""
    return 0 < len(text) <= length and text.isprintable()


def _as_session(session: SandboxSession) -> PaymentSession:
    return PaymentSession(
        session_id=session.session_id,
        payment_id=session.payment_id,
        state=SessionState(session.state),
        payment_state=PaymentState(session.payment_state),
        amount_minor=session.amount_minor,
        currency=session.currency,
        livemode=SandboxProvider.livemode,
        metadata=session.metadata,
        pay_url=processor.get_pay_url(session),
        failure_code=session.failure_code,
    )


def _as_visit(visit: SandboxCard) -> CardVisit:
    last4 = cards.LAST4_BY_STATE.get(visit.state)
    facts = CardFacts(
        card_id=visit.card_id,
        brand="Visa",
        last4=last4 or "",
        expires_year=visit.created_at.year + 3,
        expires_month=12,
    )
    return CardVisit(
        visit_id=visit.visit_id,
        page_url=cards.get_page_url(visit),
        card=facts if last4 else None,
        is_over=visit.state != "open",
    )


def _as_refund(refund: SandboxRefund, session: SandboxSession) -> ProviderRefund:
    return ProviderRefund(
        refund_id=refund.refund_id,
        amount_minor=refund.amount_minor,
        currency=session.currency,
        state=RefundState(refund.state),
        request_id=refund.request_id,
    )


def _as_event(event: SandboxEvent) -> PaymentEvent:
    return PaymentEvent(
        event_id=event.event_id,
        type=event.event_type,
        object_id=event.session.session_id,
        livemode=SandboxProvider.livemode,
        created_at=event.created_at,
    )


def _as_movement(line: SandboxMovement) -> ProviderMovement:
    return ProviderMovement(
        movement_id=line.movement_id,
        kind=MovementKind(line.kind),
        payment_id=line.session.payment_id,
        source_id=line.source_id,
        amount_minor=line.amount_minor,
        currency=line.session.currency,
        gross_minor=line.amount_minor,
        fee_minor=0,
        account_currency=line.session.currency,
        created_at=line.created_at,
    )
