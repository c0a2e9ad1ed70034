"""Whatever fails in whatever order: one top-up in flight, no month beyond its cap, and the balance
is what paid orders brought less what was spent."""

from collections import defaultdict
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from accounts.services import SYSTEM_ACTOR
from marketplace.billing import services, top_up_state
from marketplace.billing.models import Order, SandboxCard, SandboxSession, TopUpRule
from marketplace.billing.payment_provider import PaymentOutcomeUnknown
from marketplace.billing.sandbox import delivery, processor
from marketplace.billing.sandbox.adapter import SandboxProvider
from portal.kernel.clock import utc_now
from portal.kernel.errors import DomainError
from portal.kernel.public_ids import new_public_id
from tests.billing.money_back import spend
from tests.billing.processors import SandboxProcessor
from tests.billing.shop import balance_of, make_pack
from tests.billing.top_ups import agree, run
from tests.cast import make_organisation

pytestmark = pytest.mark.django_db

CAP, PRICE = 20_000, 9_500
CHARGE = SandboxProvider.charge_card


class Unreachable:
    """The provider, when it does not hear us ("before") or we do not hear it ("after")."""

    def __init__(self, when: str) -> None:
        self.when = when

    def __call__(self, provider: SandboxProvider, request: Any, *, idempotency_key: str) -> Any:
        if self.when == "after":
            CHARGE(provider, request, idempotency_key=idempotency_key)
        raise PaymentOutcomeUnknown


class TopUpMachine(RuleBasedStateMachine):
    """A tenant who spends, a card that changes its mind, a provider that comes and goes."""

    def __init__(self) -> None:
        super().__init__()
        # Near the end of a month, so that months change under way.
        self.clock = time_machine.travel("2026-11-30 20:00:00+00:00", tick=False)
        self.traveller = self.clock.start()
        self.tenant = make_organisation(new_public_id("co"), timezone="Asia/Shanghai")
        self.pack = make_pack(new_public_id("pck"))
        self.spent = 0

    @initialize()
    def begin(self) -> None:
        agree(self.tenant, self.pack, SandboxProcessor(), cap_minor=CAP)

    @rule(minutes=st.sampled_from([1, 16, 125, 23 * 60, 9 * 24 * 60]))
    def time_passes(self, minutes: int) -> None:
        self.traveller.shift(timedelta(minutes=minutes))

    @rule(provider=st.sampled_from(["there", "there", "before", "after"]))
    def worker_looks(self, provider: str) -> None:
        if provider == "there":
            run()
            return
        with pytest.MonkeyPatch.context() as patch:
            # A function, so that it is bound to the provider like the one it stands for.
            broken = Unreachable(provider)
            patch.setattr(
                SandboxProvider, "charge_card", lambda *args, **more: broken(*args, **more)
            )
            run()

    @rule()
    def worker_dies_in_its_turn(self) -> None:
        TopUpRule.objects.filter(ended_at=None).update(
            leased_until=utc_now() + timedelta(minutes=3)
        )

    @rule()
    def a_busy_hour(self) -> None:
        """All is used as fast as it comes."""
        for _minute in range(4):
            self.all_is_spent()
            self.traveller.shift(timedelta(minutes=1))
            run()

    @rule()
    def all_is_spent(self) -> None:
        if left := balance_of(self.tenant):
            spend(self.tenant, left)
            self.spent += left

    @rule(state=st.sampled_from(["good", "declines", "asks_holder"]))
    def card_changes(self, state: str) -> None:
        SandboxCard.objects.exclude(state__in=["open", "forgotten"]).update(state=state)

    @rule()
    def holder_pays(self) -> None:
        order = top_up_state.find_open_order(self.tenant)
        if order is None:
            return
        try:
            services.open_payment(order=order, now=utc_now())
        except DomainError:
            return
        order.refresh_from_db()
        processor.pay(session_id=order.provider_session_id or "", now=utc_now())

    @rule()
    def order_is_called_off(self) -> None:
        order = top_up_state.find_open_order(self.tenant)
        try:
            if order is not None:
                services.cancel_order(order=order, actor=SYSTEM_ACTOR, now=utc_now())
        except DomainError:
            pass

    @rule()
    def sweep(self) -> None:
        services.sweep_orders(now=utc_now())

    @rule()
    def events_arrive(self) -> None:
        delivery.deliver_due_events(now=utc_now())

    @rule()
    def switched_off(self) -> None:
        services.switch_off_top_up(organisation=self.tenant, actor=SYSTEM_ACTOR, now=utc_now())

    @rule()
    def agreed_anew(self) -> None:
        agree(self.tenant, self.pack, SandboxProcessor(), cap_minor=CAP)

    @invariant()
    def one_is_in_flight(self) -> None:
        assert self._orders().open().count() <= 1

    @invariant()
    def no_month_is_beyond_its_cap(self) -> None:
        charged: dict[Any, int] = defaultdict(int)
        for order in self._orders():
            if order.paid_at is not None:
                month = top_up_state.begin_of_month(self.tenant.timezone, now=order.paid_at)
                charged[month] += order.amount_minor
        assert all(total <= CAP for total in charged.values())

    @invariant()
    def the_balance_is_what_was_paid_less_what_was_spent(self) -> None:
        credited = [order for order in self._orders() if order.is_credited]
        bought = sum(order.total_millitokens for order in credited)
        assert balance_of(self.tenant) == bought - self.spent

    def teardown(self) -> None:
        """When the dust has settled, all that was charged is credited, once."""
        try:
            for _ in range(3):
                self.traveller.shift(timedelta(hours=25))
                services.sweep_orders(now=utc_now())
            assert not self._orders().open().exists()
            paid = SandboxSession.objects.filter(payment_state="paid")
            for order in self._orders():
                payments = paid.filter(metadata__order=order.public_id).count()
                assert payments == (1 if order.is_credited else 0)
            self.the_balance_is_what_was_paid_less_what_was_spent()
        finally:
            self.clock.stop()

    def _orders(self) -> Any:
        return Order.objects.filter(organisation=self.tenant, top_up__isnull=False)


def test_top_up_machine() -> None:
    run_state_machine_as_test(
        TopUpMachine,
        settings=settings(
            max_examples=25,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
