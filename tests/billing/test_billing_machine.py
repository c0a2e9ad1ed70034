"""Whatever order things happen in: at most one purchase per order, no more taken back than given,
and in the end our books say what the processor's account says."""

from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db.models import Sum
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from accounts.services import SYSTEM_ACTOR
from marketplace.billing import services
from marketplace.billing.models import (
    Document,
    EventCursor,
    Order,
    Pack,
    SandboxEvent,
    SandboxMovement,
    SandboxRefund,
    SandboxSession,
)
from marketplace.billing.sandbox import delivery, processor, reversing
from marketplace.ledger import selectors as ledger_selectors
from marketplace.ledger.models import Entry, Lot
from portal.kernel.clock import utc_now
from portal.kernel.errors import DomainError
from portal.kernel.public_ids import new_public_id
from tests.billing.money_back import spend
from tests.billing.shop import MILLION, make_pack, signed, start_order
from tests.cast import make_organisation
from tests.ledger.auditor import audit

pytestmark = pytest.mark.django_db


class BillingMachine(RuleBasedStateMachine):
    """A tenant, a processor and a network that delays, repeats and loses messages."""

    orders = Bundle("orders")

    def __init__(self) -> None:
        super().__init__()
        # Time begins anew with each example, so what an earlier one has read is unread.
        EventCursor.objects.all().delete()
        self.clock = time_machine.travel(utc_now(), tick=False)
        self.traveller = self.clock.start()
        self.tenant = make_organisation(new_public_id("co"))
        self.packs: list[Pack] = [
            make_pack(new_public_id("pck")),
            make_pack(new_public_id("pck"), bonus_millitokens=0, scope="modality:chat"),
        ]
        self.tampered: set[str] = set()
        self.spent = 0

    @rule(target=orders, key=st.integers(0, 4), pack=st.integers(0, 1), quantity=st.integers(1, 2))
    def start(self, key: int, pack: int, quantity: int) -> Any:
        try:
            order = start_order(
                self.tenant, self.packs[pack], key=f"k{key}", quantity=quantity, now=utc_now()
            )
        except services.IdempotencyKeyReused:
            return multiple()
        return order.public_id

    @rule(order=orders)
    def open(self, order: str) -> None:
        self._try(lambda found: services.open_payment(order=found, now=utc_now()), order)

    @rule(order=orders)
    def cancel(self, order: str) -> None:
        self._try(
            lambda found: services.cancel_order(order=found, actor=SYSTEM_ACTOR, now=utc_now()),
            order,
        )

    @rule(order=orders)
    def check(self, order: str) -> None:
        services.settle_order(order_public_id=order, now=utc_now())

    @initialize(target=orders)
    def a_first_order(self) -> Any:
        order = start_order(self.tenant, self.packs[0], key="k0", now=utc_now())
        services.open_payment(order=order, now=utc_now())
        return order.public_id

    @rule(order=orders)
    def buyer_pays(self, order: str) -> None:
        for session in self._open_sessions(order):
            processor.pay(session_id=session.session_id, now=utc_now())

    @rule(order=orders)
    def buyer_is_declined(self, order: str) -> None:
        for session in self._open_sessions(order):
            processor.decline(session_id=session.session_id, now=utc_now())

    @rule(order=orders)
    def buyer_pays_with_delay(self, order: str) -> None:
        for session in self._open_sessions(order):
            processor.pay_later(
                session_id=session.session_id, delay=timedelta(minutes=5), now=utc_now()
            )

    @rule(order=orders)
    def somebody_tampers(self, order: str) -> None:
        for session in self._open_sessions(order):
            self.tampered.add(order)
            SandboxSession.objects.filter(pk=session.pk).update(amount_minor=1)

    @rule(order=orders, percent=st.sampled_from([1, 33, 100]))
    def money_goes_back(self, order: str, percent: int) -> None:
        for session in self._paid_sessions(order):
            amount = max(1, session.amount_minor * percent // 100)
            self._play(reversing.refund, session_id=session.session_id, amount_minor=amount)

    @rule(order=orders)
    def the_bank_sends_it_back(self, order: str) -> None:
        for refund in SandboxRefund.objects.filter(
            session__in=self._paid_sessions(order), state="succeeded"
        )[:1]:
            reversing.fail_refund(refund_id=refund.refund_id, now=utc_now())

    @rule(order=orders)
    def the_bank_takes_it(self, order: str) -> None:
        for session in self._paid_sessions(order):
            self._play(reversing.dispute, session_id=session.session_id)

    @rule(order=orders, won=st.booleans())
    def the_bank_decides(self, order: str, won: bool) -> None:
        for session in self._paid_sessions(order):
            self._play(reversing.close_dispute, session_id=session.session_id, won=won)

    @rule(millions=st.sampled_from([1, 40, 100]))
    def tokens_are_used(self, millions: int) -> None:
        balance = ledger_selectors.get_balance(owner_key=self.tenant.public_id, unit="live")
        if balance.posted >= millions * MILLION and not balance.frozen:
            spend(self.tenant, millions * MILLION)
            self.spent += millions * MILLION

    @rule(pick=st.integers(0, 30), copies=st.integers(1, 3))
    def a_message_arrives(self, pick: int, copies: int) -> None:
        events = list(SandboxEvent.objects.filter(session__in=self._sessions()).order_by("id"))
        if not events:
            return
        body, headers = signed(events[pick % len(events)])
        for _ in range(copies):
            services.receive_event(provider="sandbox", body=body, headers=headers, now=utc_now())

    @rule()
    def the_sandbox_delivers(self) -> None:
        delivery.deliver_due_events()

    @rule()
    def a_worker_drives(self) -> None:
        services.drive_inbox(now=utc_now())

    @rule()
    def beat_sweeps(self) -> None:
        services.sweep_orders(now=utc_now())

    @rule(minutes=st.sampled_from([1, 4, 6, 61]))
    def time_passes(self, minutes: int) -> None:
        self.traveller.shift(timedelta(minutes=minutes))

    @invariant()
    def each_order_is_credited_at_most_once_and_only_when_paid(self) -> None:
        given = 0
        for order in self._orders():
            lots = Lot.objects.filter(reference=order.reference).order_by("kind")
            bonus = 1 if order.bonus_millitokens else 0
            assert [lot.kind for lot in lots] == (
                ["bonus", "paid"][1 - bonus :] if order.is_credited else []
            )
            entered = Entry.objects.filter(
                transaction__reference=order.reference, transaction__kind="purchase"
            ).aggregate(total=Sum("amount_millitokens"))["total"]
            assert (entered or 0) == (order.total_millitokens if order.is_credited else 0)
            if order.is_credited:
                given += order.total_millitokens
                assert order.public_id not in self.tampered or self._honestly_paid(order.public_id)
                assert self._sessions(order.public_id).filter(payment_state="paid").exists()
                assert order.invoice is not None
            assert 0 <= order.reversed_minor <= order.amount_minor
        lots = Lot.objects.filter(wallet__owner_key=self.tenant.public_id)
        left = lots.aggregate(total=Sum("remaining_millitokens"))["total"] or 0
        assert self._posted() == left
        taken_back = given - self.spent - left
        if not any(order.reversed_minor for order in self._orders()):
            assert taken_back == 0
        # What was spent and taken back besides is a debt, and none was taken twice.
        assert 0 <= taken_back <= given

    @invariant()
    def invoices_are_numbered_without_gaps(self) -> None:
        invoices = Document.objects.filter(kind="invoice")
        numbers = sorted(invoices.values_list("number", flat=True))
        assert numbers == list(range(1, len(numbers) + 1))

    def teardown(self) -> None:
        """When the dust has settled, whoever paid has their tokens and nobody waits in vain."""
        try:
            for _ in range(3):
                self.traveller.shift(timedelta(minutes=61))
                services.sweep_orders(now=utc_now())
            for order in self._orders():
                if self._honestly_paid(order.public_id):
                    assert order.is_credited
                elif not order.is_mismatched:
                    assert not order.is_open
                if order.is_credited:
                    lines = SandboxMovement.objects.filter(
                        session__payment_id=order.provider_payment_id
                    )
                    kept = order.amount_minor - order.reversed_minor
                    assert sum(lines.values_list("amount_minor", flat=True)) == kept
            audit()
            self.each_order_is_credited_at_most_once_and_only_when_paid()
        finally:
            self.clock.stop()

    def _posted(self) -> int:
        owner = self.tenant.public_id
        return ledger_selectors.get_balance(owner_key=owner, unit="live").posted

    def _paid_sessions(self, order: str):
        return self._sessions(order).filter(payment_state="paid")

    def _play(self, act, **asked) -> None:
        with suppress(DomainError):  # more than is left, or it is disputed
            act(now=utc_now(), **asked)

    def _try(self, act, order: str) -> None:
        found = Order.objects.get(public_id=order)
        before = (found.is_credited, Lot.objects.count())
        try:
            act(found)
        except services.OrderClosed:
            pass  # may have credited a payment that came first
        except DomainError:
            found.refresh_from_db()
            assert (found.is_credited, Lot.objects.count()) == before

    def _orders(self):
        return list(Order.objects.filter(organisation=self.tenant).prefetch_related("documents"))

    def _sessions(self, order: str = ""):
        ids = [order] if order else [found.public_id for found in self._orders()]
        return SandboxSession.objects.filter(metadata__order__in=ids).order_by("id")

    def _open_sessions(self, order: str):
        return list(self._sessions(order).filter(state="open"))

    def _honestly_paid(self, order: str) -> bool:
        paid = self._sessions(order).filter(payment_state="paid")
        return any(session.amount_minor != 1 for session in paid)


def test_billing_machine() -> None:
    run_state_machine_as_test(
        BillingMachine,
        settings=settings(
            max_examples=30,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
