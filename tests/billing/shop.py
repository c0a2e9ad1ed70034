"""What the tests of billing buy, and the far side of it: the processor's hands and voice."""

import json
from collections.abc import Mapping
from datetime import datetime

from django.test import Client

from accounts.models import Organisation, User
from accounts.services import SYSTEM_ACTOR
from marketplace.billing import services
from marketplace.billing.models import Order, Pack, SandboxEvent, SandboxSession
from marketplace.billing.sandbox import processor, signature
from marketplace.billing.sandbox.adapter import encode_event
from marketplace.ledger import selectors as ledger_selectors
from marketplace.ledger.models import Entry, Lot
from portal.kernel.clock import utc_now

MILLION = 1_000_000_000  # a million tokens in millitokens
INBOX = "/webhooks/payments/sandbox/"


def make_pack(slug: str = "team", **changes) -> Pack:
    """The pack of ledger.md: 100M for $95 with 5M bonus, also sold in euros and yen."""
    wanted = {
        "name_en": "Team",
        "paid_millitokens": 100 * MILLION,
        "bonus_millitokens": 5 * MILLION,
        "prices": {"USD": 9500, "EUR": 8900, "JPY": 14500},
        "expires_after_days": 365,
        **changes,
    }
    return services.create_pack(slug=slug, actor=SYSTEM_ACTOR, now=utc_now(), **wanted)


def start_order(
    organisation: Organisation,
    pack: Pack,
    *,
    key: str = "form-1",
    now: datetime | None = None,
    **more,
) -> Order:
    """An order of the organisation's first owner, not yet at the provider."""
    user: User = organisation.memberships.order_by("pk")[0].user
    return services.start_checkout(
        organisation=organisation,
        user=user,
        pack=pack,
        currency=more.pop("currency", "USD"),
        quantity=more.pop("quantity", 1),
        idempotency_key=key,
        now=now or utc_now(),
        **more,
    )


def open_order(organisation: Organisation, pack: Pack, **more) -> tuple[Order, SandboxSession]:
    """An order whose buyer stands before the pay page."""
    order = start_order(organisation, pack, **more)
    services.open_payment(order=order, now=utc_now())
    order.refresh_from_db()
    return order, SandboxSession.objects.get(session_id=order.provider_session_id)


def pay(session: SandboxSession) -> list[SandboxEvent]:
    """The buyer pays; the events are not delivered yet."""
    assert processor.pay(session_id=session.session_id, now=utc_now())
    return list(session.events.order_by("id"))


def signed(event: SandboxEvent, *, now: datetime | None = None) -> tuple[bytes, dict[str, str]]:
    """What the processor would post for this event."""
    body = encode_event(event)
    return body, sign(body, event.event_id, now=now)


def sign(body: bytes, event_id: str, *, now: datetime | None = None) -> dict[str, str]:
    return signature.sign(
        body, event_id=event_id, secret=signature.get_secret(), now=now or utc_now()
    )


def payload(event_id: str, object_id: str, **changes) -> bytes:
    said = {
        "id": event_id,
        "type": "session.completed",
        "created": int(utc_now().timestamp()),
        "livemode": False,
        "object": {"id": object_id},
        **changes,
    }
    return json.dumps(said).encode()


def post(body: bytes, headers: Mapping[str, str], client: Client | None = None):
    """To the inbox over HTTP."""
    return (client or Client(enforce_csrf_checks=True)).post(
        INBOX, data=body, content_type="application/json", headers=dict(headers)
    )


def deliver(*events: SandboxEvent) -> None:
    """Over HTTP, in this order, and driven as the worker would."""
    for event in events:
        assert post(*signed(event)).status_code == 200
    services.drive_inbox(now=utc_now())


def balance_of(organisation: Organisation) -> int:
    balance = ledger_selectors.get_balance(owner_key=organisation.public_id, unit="live")
    assert balance.held == 0
    return balance.posted


def purchases_of(order: Order) -> list[tuple[str, str, int]]:
    """(debit, credit, amount) of every entry that the order caused."""
    entries = Entry.objects.filter(transaction__reference=order.reference).select_related(
        "debit_account", "credit_account"
    )
    return sorted(
        (entry.debit_account.kind, entry.credit_account.kind, entry.amount_millitokens)
        for entry in entries
    )


def lots_of(order: Order) -> dict[str, Lot]:
    return {lot.kind: lot for lot in Lot.objects.filter(reference=order.reference)}


def credited_once(order: Order) -> bool:
    """Every trace of exactly one purchase of the standard pack."""
    order.refresh_from_db()
    return (
        order.status == "paid"
        and sorted(lots_of(order)) == ["bonus", "paid"]
        and purchases_of(order)
        == [
            ("clearing", "wallet", 95 * MILLION),
            ("discount", "wallet", 5 * MILLION),
            ("promotion", "wallet", 5 * MILLION),
        ]
        and Order.objects.get(pk=order.pk).invoice is not None
    )


def untouched(order: Order) -> bool:
    """No trace of a purchase at all."""
    order.refresh_from_db()
    return (
        not order.is_credited
        and order.paid_at is None
        and not lots_of(order)
        and not purchases_of(order)
        and Order.objects.get(pk=order.pk).invoice is None
    )
