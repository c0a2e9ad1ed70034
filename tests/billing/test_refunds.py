"""What of an order can be asked back, and for which amount."""

from datetime import timedelta
from typing import Any

import pytest

from accounts.models import Organisation, User
from marketplace.billing import services
from marketplace.billing.models import Order, Pack, Refund
from marketplace.billing.refund_rule import quote_refund
from portal.kernel.clock import utc_now
from tests.billing.money_back import (
    approve,
    ask,
    buy,
    everything,
    send,
    settle,
    spend,
)
from tests.billing.processors import Processor, SandboxProcessor, deliver
from tests.billing.shop import MILLION, balance_of, make_pack
from tests.ledger.auditor import audit
from tests.ledger.cast import hold as place_hold

pytestmark = pytest.mark.django_db


@pytest.fixture
def order(acme: Organisation, team_pack: Pack) -> Order:
    """Paid through the sandbox."""
    return buy(acme, team_pack, SandboxProcessor())


def quote(order: Order) -> Any:
    order.refresh_from_db()
    return quote_refund(order=order, now=utc_now())


def test_unused_tokens_go_back_for_what_was_paid(
    acme: Organisation, team_pack: Pack, processor: Processor, sam: User
) -> None:
    """60M of 100M used: 40M unused, $38.00, and of the bonus nothing is left."""
    order = buy(acme, team_pack, processor)
    spend(acme, 65 * MILLION)
    offered = quote(order)
    assert (offered.amount_minor, offered.paid_millitokens) == (3800, 40 * MILLION)
    assert offered.bonus_millitokens == 0

    request = ask(order, expected=3800)
    assert balance_of(acme) == 0  # set aside at once
    order.refresh_from_db()
    assert (order.status, order.reversed_minor) == ("paid", 0)

    assert approve(request, sam)
    assert send(request).state == "done"

    order.refresh_from_db()
    assert (order.status, order.reversed_minor) == ("partially_reversed", 3800)
    refund = Refund.objects.get(request=request)
    assert (refund.amount_minor, refund.state) == (3800, "succeeded")
    audit()
    before = everything()[0]
    settle(order)
    services.drive_inbox(now=utc_now())
    assert everything()[0] == before


def test_an_untouched_pack_goes_back_whole_with_its_bonus(
    acme: Organisation, order: Order, sam: User
) -> None:
    assert quote(order).bonus_millitokens == 5 * MILLION
    request = ask(order, expected=9500)
    approve(request, sam)
    send(request)

    assert settle(order).status == "reversed"
    assert balance_of(acme) == 0
    assert quote(order).refusal == "not_paid"


def test_a_price_that_does_not_divide_rounds_down_and_leaves_crumbs(acme: Organisation) -> None:
    """$0.95 for 1,000 tokens and a third of them used: what is less than a cent stays."""
    pack = make_pack("small", paid_millitokens=MILLION, bonus_millitokens=0, prices={"USD": 95})
    order = buy(acme, pack, SandboxProcessor())
    spend(acme, MILLION // 3)

    offered = quote(order)

    assert offered.amount_minor == 95 * (MILLION - MILLION // 3) // MILLION == 63
    assert offered.paid_millitokens == MILLION * 63 // 95
    ask(order, expected=63)
    assert balance_of(acme) == MILLION - MILLION // 3 - MILLION * 63 // 95
    assert balance_of(acme) * 95 < MILLION


def test_what_a_hold_needs_is_not_offered(acme: Organisation, order: Order) -> None:
    place_hold(60 * MILLION, owner_key=acme.public_id, now=utc_now(),
               expires_at=utc_now() + timedelta(minutes=1))  # fmt: skip

    assert quote(order).paid_millitokens <= 45 * MILLION


def _use_all(order: Order, settings: Any) -> None:
    spend(order.organisation, 105 * MILLION)


def _ask(order: Order, settings: Any) -> None:
    ask(order, expected=9500)


def _dispute(order: Order, settings: Any) -> None:
    deliver(SandboxProcessor(), *SandboxProcessor().dispute(order.provider_session_id or ""))
    order.refresh_from_db()
    # Paid in the eyes of whoever looks only at the money: won, the next one only begins.
    Order.objects.filter(pk=order.pk).update(status="paid")


def _switch_off(order: Order, settings: Any) -> None:
    settings.REFUND_DAYS = 0


def _wait(order: Order, settings: Any) -> None:
    settings.REFUND_DAYS = 14
    Order.objects.filter(pk=order.pk).update(paid_at=utc_now() - timedelta(days=15))


def _expire(order: Order, settings: Any) -> None:
    Order.objects.filter(pk=order.pk).update(paid_at=utc_now() - timedelta(days=365))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_use_all, "used_up"),
        (_ask, "under_way"),
        (_dispute, "disputed"),
        (_switch_off, "off"),
        (_wait, "too_late"),
        (_expire, "expired"),
    ],
)
def test_what_cannot_be_refunded(order: Order, settings: Any, spoil: Any, reason: str) -> None:
    spoil(order, settings)
    before = everything()

    with pytest.raises(services.RefundNotPossible) as refusal:
        ask(order, expected=9500)

    assert refusal.value.data == {"reason": reason}
    assert quote(order).refusal == reason
    assert everything() == before


def test_an_order_that_is_not_paid(acme: Organisation, team_pack: Pack) -> None:
    from tests.billing.shop import start_order

    unpaid = start_order(acme, team_pack)
    before = everything()
    with pytest.raises(services.RefundNotPossible):
        ask(unpaid, expected=9500)
    assert everything() == before


def test_another_amount_than_was_shown(acme: Organisation, order: Order) -> None:
    spend(acme, 65 * MILLION)  # since the page was opened
    before = everything()

    with pytest.raises(services.RefundChanged):
        ask(order, expected=9500)

    assert everything() == before


def test_the_window_is_kept_to_the_second(order: Order, settings: Any) -> None:
    settings.REFUND_DAYS = 14
    assert order.paid_at
    end = order.paid_at + timedelta(days=14)
    assert not quote_refund(order=order, now=end).refusal
    assert quote_refund(order=order, now=end + timedelta(seconds=1)).refusal == "too_late"


def test_two_parts_of_one_order(acme: Organisation, order: Order, sam: User) -> None:
    """By hand first, the rest by request: never more than was paid or granted."""
    deliver(SandboxProcessor(), *SandboxProcessor().refund(order.provider_session_id or "", 1234))
    left = quote(order).amount_minor
    assert left == 9500 - 1234

    request = ask(order, expected=left)
    approve(request, sam)
    send(request)

    assert settle(order).status == "reversed"
    assert balance_of(acme) == 0
    audit()
