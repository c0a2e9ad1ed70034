"""What tests of refunds and disputes do: buy, spend, ask, decide, send."""

from datetime import timedelta
from typing import Any

from accounts.models import AuditEvent, Organisation, User
from accounts.services import SYSTEM_ACTOR
from marketplace.billing import services
from marketplace.billing.models import Dispute, Order, Pack, Refund, RefundRequest
from marketplace.ledger import services as ledger
from marketplace.ledger.models import Entry
from portal.kernel.clock import utc_now
from tests.billing.processors import Processor, deliver, stand_before_pay_page
from tests.ledger.auditor import read_books


def buy(organisation: Organisation, pack: Pack, processor: Processor, **more: Any) -> Order:
    """A paid order."""
    order, session = stand_before_pay_page(organisation, pack, **more)
    deliver(processor, *processor.pay(session))
    order.refresh_from_db()
    assert order.status == "paid"
    return order


def spend(organisation: Organisation, millitokens: int) -> None:
    """A call that costs so much."""
    now = utc_now()
    request = ledger.HoldRequest(
        owner_key=organisation.public_id,
        unit="live",
        amount_millitokens=millitokens,
        idempotency_scope="test",
        idempotency_key=f"spend-{Entry.objects.count()}",
        request_hash="",
        expires_at=now + timedelta(minutes=5),
    )
    [held] = ledger.place_holds([request], now=now)
    assert held.outcome == "held"
    cost = ledger.CaptureRequest(held.hold_id, millitokens, "prv_x", 9000, "call:x")
    ledger.capture_holds([cost], now=now)


def ask(order: Order, *, expected: int, reason: str = "") -> RefundRequest:
    """By the person who ordered."""
    return services.request_refund(
        order=order,
        user=order.ordered_by,
        expected_minor=expected,
        reason=reason,
        actor=SYSTEM_ACTOR,
        now=utc_now(),
    )


def approve(request: RefundRequest, user: User) -> bool:
    return services.approve_refund(request=request, user=user, actor=SYSTEM_ACTOR, now=utc_now())


def decline(request: RefundRequest, user: User) -> None:
    services.decline_refund(
        request=request, user=user, note="Not now.", actor=SYSTEM_ACTOR, now=utc_now()
    )


def withdraw(request: RefundRequest) -> None:
    services.withdraw_refund(request=request, actor=SYSTEM_ACTOR, now=utc_now())


def send(request: RefundRequest, *, later: timedelta = timedelta()) -> RefundRequest:
    services.send_refund(request_public_id=request.public_id, now=utc_now() + later)
    request.refresh_from_db()
    return request


def settle(order: Order) -> Order:
    services.settle_reversals(order_public_id=order.public_id, now=utc_now())
    order.refresh_from_db()
    return order


def everything() -> Any:
    """What a refusal must leave as it was."""
    tables = (RefundRequest, Refund, Dispute, Order, AuditEvent)
    return read_books(), [list(table._default_manager.values()) for table in tables]
