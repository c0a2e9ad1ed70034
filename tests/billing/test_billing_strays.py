"""Money that pays for nothing: a second payment of an order, or one that no order knows."""

from datetime import timedelta

import pytest

from accounts.models import AuditEvent, Organisation
from marketplace.billing import services
from marketplace.billing.models import (
    Attempt,
    InboxEvent,
    Order,
    Pack,
    SandboxSession,
    StrayPayment,
)
from marketplace.billing.sandbox import processor
from marketplace.ledger.models import Entry
from portal.kernel.clock import utc_now
from tests.billing.shop import (
    MILLION,
    balance_of,
    credited_once,
    deliver,
    open_order,
    pay,
    payload,
    post,
    sign,
    untouched,
)
from tests.cast import signed_in

pytestmark = pytest.mark.django_db


def open_twice(acme: Organisation, pack: Pack) -> tuple[Order, SandboxSession, SandboxSession]:
    """An order whose first pay page was given up here and stayed open over there."""
    order, first = open_order(acme, pack)
    Attempt.objects.update(state="closed")
    Order.objects.update(status="failed")
    order.refresh_from_db()
    services.open_payment(order=order, now=utc_now())
    return order, first, SandboxSession.objects.latest("id")


def in_suspense() -> list[tuple[str, str, int]]:
    """(debit, credit, amount) of what the books could not place, in the order it was posted."""
    entries = Entry.objects.filter(transaction__idempotency_scope="stray_payment")
    return [
        (entry.debit_account.kind, entry.credit_account.kind, entry.amount_millitokens)
        for entry in entries.select_related("debit_account", "credit_account").order_by("id")
    ]


@pytest.mark.parametrize("together", [True, False])
def test_a_second_payment_is_remembered_and_credits_nothing(
    acme: Organisation, team_pack: Pack, together: bool
) -> None:
    order, first, second = open_twice(acme, team_pack)
    if together:
        deliver(*pay(second), *pay(first))
    else:
        deliver(*pay(second))
        assert credited_once(order)
        # Closed when the order was credited; a processor that is too late to close it is not.
        SandboxSession.objects.filter(pk=first.pk).update(state="open")
        deliver(*pay(first))
    assert credited_once(order)
    assert balance_of(acme) == 105 * MILLION
    [stray] = StrayPayment.objects.all()
    credited = {order.provider_payment_id}
    assert {stray.payment_id} == {first.payment_id, second.payment_id} - credited
    assert (stray.order, stray.kind, stray.provider) == (order, "surplus", "sandbox")
    assert (stray.amount_minor, stray.currency) == (9500, "USD")
    assert in_suspense() == [("clearing", "suspense", 95 * MILLION)]
    [event] = AuditEvent.objects.filter(action="order.paid_again")
    assert (event.organisation, event.target_id) == (acme, order.public_id)
    assert event.after["amount_minor"] == 9500
    assert set(InboxEvent.objects.values_list("state", flat=True)) == {"done"}


def test_a_second_payment_is_remembered_once(acme: Organisation, team_pack: Pack) -> None:
    order, first, second = open_twice(acme, team_pack)
    events = [*pay(second), *pay(first)]
    deliver(*events)
    InboxEvent.objects.update(state="received", leased_until=None)
    services.drive_inbox(now=utc_now())
    body = payload("sbe_by_payment", first.payment_id, type="session.payment_succeeded")
    post(body, sign(body, "sbe_by_payment"))
    services.drive_inbox(now=utc_now())
    assert credited_once(order)
    assert StrayPayment.objects.count() == 1
    assert len(in_suspense()) == 1
    assert AuditEvent.objects.filter(action="order.paid_again").count() == 1


def test_two_payments_found_by_one_look(acme: Organisation, team_pack: Pack) -> None:
    """No webhook at all: the order's own session and the one an event names are both paid."""
    order, first, second = open_twice(acme, team_pack)
    pay(first)
    pay(second)
    services.settle_order(
        order_public_id=order.public_id, object_id=first.session_id, now=utc_now()
    )
    assert credited_once(order)
    assert StrayPayment.objects.count() == 1


def test_the_payment_that_fits_is_credited_whichever_comes_first(
    acme: Organisation, team_pack: Pack
) -> None:
    order, first, second = open_twice(acme, team_pack)
    SandboxSession.objects.filter(pk=first.pk).update(amount_minor=100)
    pay(first)
    pay(second)
    services.settle_order(
        order_public_id=order.public_id, object_id=first.session_id, now=utc_now()
    )
    assert credited_once(order)
    assert order.provider_session_id == second.session_id
    [stray] = StrayPayment.objects.all()
    assert (stray.payment_id, stray.amount_minor) == (first.payment_id, 100)
    # A dollar in the tariff currency is a million tokens, whatever the pack would have cost.
    assert in_suspense() == [("clearing", "suspense", MILLION)]


def test_another_currency_that_fits_no_order_has_no_worth_in_tokens(
    acme: Organisation, team_pack: Pack
) -> None:
    _order, first, second = open_twice(acme, team_pack)
    SandboxSession.objects.filter(pk=first.pk).update(amount_minor=700, currency="EUR")
    deliver(*pay(second))
    SandboxSession.objects.filter(pk=first.pk).update(state="open")
    deliver(*pay(first))
    [stray] = StrayPayment.objects.all()
    assert (stray.amount_minor, stray.currency, stray.suspense_millitokens) == (700, "EUR", 0)
    assert in_suspense() == []


def test_a_credited_order_closes_what_could_still_be_paid(
    acme: Organisation, team_pack: Pack
) -> None:
    order, first, second = open_twice(acme, team_pack)
    deliver(*pay(first))
    assert credited_once(order)
    second.refresh_from_db()
    assert second.state == "expired"
    assert not processor.pay(session_id=second.session_id, now=utc_now())
    assert not StrayPayment.objects.exists()


def test_asking_again_about_a_credited_order_finds_nothing_stray(
    acme: Organisation, team_pack: Pack
) -> None:
    order, session = open_order(acme, team_pack)
    deliver(*pay(session))
    for object_id in ("", session.session_id, session.payment_id, "sbx_unknown"):
        assert services.settle_order(
            order_public_id=order.public_id, object_id=object_id, now=utc_now()
        )
    assert credited_once(order)
    assert not StrayPayment.objects.exists()


def orphan(acme: Organisation, team_pack: Pack) -> tuple[Order, SandboxSession]:
    """A paid session that names an order which does not exist here."""
    order, session = open_order(acme, team_pack)
    pay(session)
    Order.objects.update(public_id="ord_later", provider_session_id=None, provider_payment_id=None)
    Attempt.objects.update(session_id="")
    return order, session


def test_a_payment_without_an_order_is_found_and_remembered(
    acme: Organisation, team_pack: Pack
) -> None:
    order, session = orphan(acme, team_pack)
    assert list(services.find_unknown_payments(now=utc_now())) == []  # left to its webhook
    soon = utc_now() + timedelta(minutes=3)
    [found] = services.find_unknown_payments(now=soon)
    assert (found.provider, found.payment_id) == ("sandbox", session.payment_id)
    assert (found.amount_minor, found.currency) == (9500, "USD")
    for _ in range(2):
        assert services.place_payment(
            provider=found.provider, object_id=found.object_id, final=True, now=soon
        )
    [stray] = StrayPayment.objects.all()
    assert (stray.order, stray.kind) == (None, "unmatched")
    assert in_suspense() == [("clearing", "suspense", 95 * MILLION)]
    assert list(services.find_unknown_payments(now=soon)) == []
    # Its events have come to their end too.
    deliver(*session.events.order_by("id"))
    assert set(InboxEvent.objects.values_list("state", flat=True)) == {"done"}
    assert untouched(order)


def test_an_order_that_turns_up_takes_its_payment_out_of_suspense(
    acme: Organisation, team_pack: Pack
) -> None:
    order, session = orphan(acme, team_pack)
    services.place_payment(
        provider="sandbox", object_id=session.session_id, final=True, now=utc_now()
    )
    Order.objects.update(public_id=order.public_id)
    assert services.place_payment(provider="sandbox", object_id=session.session_id, now=utc_now())
    assert credited_once(order)
    [stray] = StrayPayment.objects.all()
    assert (stray.kind, stray.order) == ("placed", order)
    assert in_suspense() == [
        ("clearing", "suspense", 95 * MILLION),
        ("suspense", "clearing", 95 * MILLION),
    ]


def test_the_order_says_that_a_second_payment_came(acme: Organisation, team_pack: Pack) -> None:
    order, first, second = open_twice(acme, team_pack)
    owner = acme.memberships.get(role="owner").user
    page = f"/o/{acme.slug}/orders/{order.public_id}/"
    deliver(*pay(second))
    assert "more money for this order" not in signed_in(owner).get(page).content.decode()
    SandboxSession.objects.filter(pk=first.pk).update(state="open")
    deliver(*pay(first))
    text = signed_in(owner).get(page).content.decode()
    assert "more money for this order" in text
    assert "$95.00" in text
