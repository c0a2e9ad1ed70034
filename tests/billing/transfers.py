"""Orders that are paid by bank transfer, and what arrives at the bank."""

from datetime import date
from typing import Any

from accounts.models import Organisation, User
from accounts.services import Actor
from marketplace.billing import services
from marketplace.billing.models import BankTransfer, Order, Pack
from portal.kernel.clock import utc_now
from tests.billing.shop import start_order


def open_transfer(organisation: Organisation, pack: Pack, **more: Any) -> Order:
    """An order of the standard pack that waits for its transfer."""
    order = start_order(organisation, pack, by_transfer=True, **more)
    services.open_payment(order=order, now=utc_now())
    order.refresh_from_db()
    return order


def receive(staff: User, *, amount_minor: int = 9500, **more: Any) -> BankTransfer:
    """As the bank's statement has it, recorded by ``staff``."""
    said: dict[str, Any] = {
        "account": "DE89370400440532013000",
        "bank_id": "B-1",
        "currency": "USD",
        "value_date": date(2026, 5, 3),
        "payer": "Acme Ltd",
        "text": "",
        **more,
    }
    return services.record_transfer(
        amount_minor=amount_minor, user=staff, actor=actor_of(staff), now=utc_now(), **said
    )


def match(transfer: BankTransfer, order: Order, staff: User) -> bool:
    """By the order's reference; whether the order is credited."""
    return services.match_transfer(
        transfer=transfer,
        reference=order.provider_session_id or "",
        user=staff,
        actor=actor_of(staff),
        now=utc_now(),
    )


def unmatch(transfer: BankTransfer, staff: User) -> None:
    services.unmatch_transfer(transfer=transfer, actor=actor_of(staff), now=utc_now())


def actor_of(user: User) -> Actor:
    return Actor(id=user.public_id, label=user.email)
