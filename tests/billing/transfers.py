"""Orders that are paid by bank transfer, and what arrives at the bank."""

from datetime import date
from typing import Any

from django.test import Client

from accounts.models import Organisation, User
from accounts.services import Actor
from marketplace.billing import services
from marketplace.billing.models import BankTransfer, Order, Pack, StrayPayment
from marketplace.ledger.models import Entry
from portal.kernel.clock import utc_now
from tests.billing.shop import start_order

LIST = "/ops/transfers/"


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


def strays() -> list[tuple[str, int, int]]:
    """(kind, minor units, millitokens) of all that waits or waited."""
    rows = StrayPayment.objects.order_by("pk")
    return list(rows.values_list("kind", "amount_minor", "suspense_millitokens"))


def in_suspense() -> int:
    """Millitokens that wait there for what came by bank; what clearing says is beside it."""
    total = 0
    for entry in Entry.objects.filter(transaction__idempotency_scope="stray_payment"):
        assert {"clearing:bank", "suspense:operator"} == {
            f"{account.kind}:{account.owner_key}"
            for account in (entry.debit_account, entry.credit_account)
        }
        sign = 1 if entry.credit_account.kind == "suspense" else -1
        total += sign * entry.amount_millitokens
    return total


def said(**changes: str) -> dict[str, str]:
    return {
        "bank_id": "B-1",
        "currency": "USD",
        "amount": "95",
        "value_date": "2026-05-03",
        "payer": "Acme Ltd",
        "text": "",
        **changes,
    }


def page_of(client: Client, path: str, status: int = 200) -> str:
    answer = client.get(path)
    assert answer.status_code == status
    return str(answer.content.decode())
