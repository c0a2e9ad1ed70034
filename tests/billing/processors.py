"""Both payment providers seen from the far side, so that the same journeys can run through each.

An order stands before its pay page by ``stand_before_pay_page``; what happens there is done by a
``Processor``: the buyer's hands, the account's books, and the voice that sends events.
"""

import json
from datetime import timedelta
from typing import Any, Protocol

from django.test import Client

from accounts.models import Organisation
from marketplace.billing import services
from marketplace.billing.models import Order, Pack, SandboxCard, SandboxEvent, SandboxSession
from marketplace.billing.sandbox import cards, reversing
from marketplace.billing.sandbox import processor as sandbox
from portal.kernel.clock import utc_now
from tests.billing import shop
from tests.fakes.stripe_server import FakeStripe

SECOND = timedelta(seconds=1)


def stand_before_pay_page(organisation: Organisation, pack: Pack, **more: Any) -> tuple[Order, str]:
    """An order and the id of its session."""
    order = shop.start_order(organisation, pack, **more)
    services.open_payment(order=order, now=utc_now())
    order.refresh_from_db()
    assert order.provider_session_id
    return order, order.provider_session_id


class Processor(Protocol):
    """What both can do; events are whatever ``signed`` takes."""

    name: str

    def pay(self, session_id: str) -> list[Any]:
        """The events; none where the page cannot be paid any more."""
        ...

    def pay_later(self, session_id: str) -> list[Any]: ...

    def receive_money(self, session_id: str) -> list[Any]:
        """What was paid later has come."""
        ...

    def signed(self, event: Any) -> tuple[bytes, dict[str, str]]: ...

    def tamper(self, session_id: str, /, **changes: Any) -> None:
        """Another amount_minor, currency or metadata than was ordered."""
        ...

    def state_of(self, session_id: str) -> str: ...

    def count_sessions(self) -> int: ...

    def refund(self, session_id: str, amount_minor: int, /) -> list[Any]:
        """By hand at the processor."""
        ...

    def dispute(self, session_id: str, /) -> list[Any]: ...

    def end_dispute(self, session_id: str, *, won: bool) -> list[Any]: ...

    def fail_refund(self, refund_id: str) -> list[Any]: ...

    def save_card(self, visit_id: str, behaviour: str) -> None:
        """On the hosted page: "good", "declines" or "asks_holder"."""
        ...

    def change_card(self, behaviour: str) -> None:
        """All saved cards behave so from now on."""
        ...

    def count_charged(self) -> int:
        """Minor units of all payments that succeeded."""
        ...

    def forget_events(self) -> None:
        """Neither sent nor listed."""
        ...

    def forget_session(self, session_id: str) -> None:
        """As if it were another account's."""
        ...


class SandboxProcessor:
    """The one in our own database."""

    name = "sandbox"

    def pay(self, session_id: str) -> list[SandboxEvent]:
        return self._act(session_id, sandbox.pay(session_id=session_id, now=utc_now()))

    def pay_later(self, session_id: str) -> list[SandboxEvent]:
        late = timedelta(minutes=10)
        return self._act(
            session_id, sandbox.pay_later(session_id=session_id, delay=late, now=utc_now())
        )

    def receive_money(self, session_id: str) -> list[SandboxEvent]:
        sessions = SandboxSession.objects.filter(session_id=session_id)
        assert sessions.update(succeeds_at=utc_now() - SECOND)
        sandbox.let_time_pass(now=utc_now())
        return list(sessions.get().events.order_by("id"))[1:]

    def signed(self, event: SandboxEvent) -> tuple[bytes, dict[str, str]]:
        return shop.signed(event)

    def tamper(self, session_id: str, /, **changes: Any) -> None:
        assert SandboxSession.objects.filter(session_id=session_id).update(**changes)

    def state_of(self, session_id: str) -> str:
        return SandboxSession.objects.get(session_id=session_id).state

    def count_sessions(self) -> int:
        return SandboxSession.objects.count()

    def refund(self, session_id: str, amount_minor: int, /) -> list[SandboxEvent]:
        reversing.refund(session_id=session_id, amount_minor=amount_minor, now=utc_now())
        return self._newest()

    def dispute(self, session_id: str, /) -> list[SandboxEvent]:
        reversing.dispute(session_id=session_id, now=utc_now())
        return self._newest()

    def end_dispute(self, session_id: str, *, won: bool) -> list[SandboxEvent]:
        assert reversing.close_dispute(session_id=session_id, won=won, now=utc_now())
        return self._newest()

    def fail_refund(self, refund_id: str) -> list[SandboxEvent]:
        reversing.fail_refund(refund_id=refund_id, now=utc_now())
        return self._newest()

    def save_card(self, visit_id: str, behaviour: str) -> None:
        assert cards.choose(visit_id=visit_id, state=behaviour)

    def change_card(self, behaviour: str) -> None:
        assert SandboxCard.objects.update(state=behaviour)

    def count_charged(self) -> int:
        paid = SandboxSession.objects.filter(payment_state="paid")
        return sum(paid.values_list("amount_minor", flat=True))

    def forget_events(self) -> None:
        SandboxEvent.objects.all().delete()

    def forget_session(self, session_id: str) -> None:
        self.tamper(session_id, session_id="sbx_elsewhere", payment_id="sbp_elsewhere")

    def _newest(self) -> list[SandboxEvent]:
        return list(SandboxEvent.objects.order_by("-id")[:1])

    def _act(self, session_id: str, done: bool) -> list[SandboxEvent]:
        events = SandboxEvent.objects.filter(session__session_id=session_id).order_by("id")
        return list(events) if done else []


class StripeProcessor:
    """The fake of Stripe, over HTTP and through its own SDK."""

    name = "stripe"

    def __init__(self, fake: FakeStripe) -> None:
        self.fake = fake
        self.pay = fake.account.pay
        self.pay_later = fake.account.pay_later
        self.receive_money = fake.account.receive_money
        self.refund = fake.account.money_back.refund
        self.dispute = fake.account.money_back.dispute

    def end_dispute(self, session_id: str, *, won: bool) -> list[dict[str, Any]]:
        return self.fake.account.money_back.end_dispute(session_id, "won" if won else "lost")

    def fail_refund(self, refund_id: str) -> list[dict[str, Any]]:
        return self.fake.account.money_back.end_refund(refund_id, "failed")

    def signed(self, event: dict[str, Any]) -> tuple[bytes, dict[str, str]]:
        body = json.dumps(event).encode()
        return body, {"stripe-signature": self.fake.sign(body)}

    def tamper(self, session_id: str, /, **changes: Any) -> None:
        names = {"amount_minor": "amount_total"}
        session = self.fake.account.sessions[session_id]
        for name, value in changes.items():
            session[names.get(name, name)] = value.lower() if name == "currency" else value

    def state_of(self, session_id: str) -> str:
        return str(self.fake.account.sessions[session_id]["status"])

    def count_sessions(self) -> int:
        return len(self.fake.account.sessions)

    def save_card(self, visit_id: str, behaviour: str) -> None:
        assert self.fake.account.cards.save(visit_id, behaviour)

    def change_card(self, behaviour: str) -> None:
        for card in self.fake.account.cards.behaviour:
            self.fake.account.cards.behaviour[card] = behaviour

    def count_charged(self) -> int:
        return sum(one["amount_received"] for one in self.fake.account.payments.values())

    def forget_events(self) -> None:
        self.fake.account.events.clear()

    def forget_session(self, session_id: str) -> None:
        del self.fake.account.sessions[session_id]


def post_event(processor: Processor, event: Any) -> int:
    """To the inbox over HTTP; the status of the answer."""
    body, headers = processor.signed(event)
    answer = Client(enforce_csrf_checks=True).post(
        f"/webhooks/payments/{processor.name}/",
        data=body,
        content_type="application/json",
        headers=headers,
    )
    return answer.status_code


def deliver(processor: Processor, *events: Any) -> None:
    """Posted in this order, and driven as the worker would."""
    for event in events:
        assert post_event(processor, event) == 200
    services.drive_inbox(now=utc_now())
