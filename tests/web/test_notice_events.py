"""What payments and refunds tell of: written with what settles them, in its commit, once."""

from typing import Any

import pytest
from django.core import mail

from accounts import services as accounts
from accounts.models import Notice, Organisation, User
from marketplace.billing import services as billing
from marketplace.billing.models import Order, SandboxSession
from marketplace.billing.sandbox import processor, reversing
from portal.kernel.clock import utc_now
from tests.billing.money_back import approve, ask, decline, send, settle
from tests.billing.shop import deliver, make_pack, open_order, pay
from tests.cast import signed_in

INBOX = "/o/acme/notifications/"


@pytest.fixture
def waiting(acme: Organisation, ada: User) -> tuple[Order, SandboxSession]:
    """Its buyer stands before the pay page."""
    return open_order(acme, make_pack())


def test_a_paid_order_is_told_once_however_often_it_is_settled(
    waiting: tuple[Order, SandboxSession], ada: User, bill: User, mia: User
) -> None:
    order, session = waiting
    assert not Notice.objects.exists()
    events = pay(session)
    deliver(*events, *events)
    billing.settle_order(order_public_id=order.public_id, now=utc_now())
    assert [notice.person for notice in Notice.objects.order_by("pk")] == [ada, bill]
    page = signed_in(bill).get(INBOX).content.decode()
    assert "Team is paid: 105M tokens are in the wallet" in page
    assert "$95.00 were paid." in page
    assert f'href="/o/acme/orders/{order.public_id}/"' in page


def test_each_declined_payment_is_told_once_and_mailed(
    waiting: tuple[Order, SandboxSession], ada: User
) -> None:
    order, session = waiting
    for tries in (1, 2):
        processor.decline(session_id=session.session_id, now=utc_now())
        for _time in range(2):
            billing.settle_order(order_public_id=order.public_id, now=utc_now())
        assert Notice.objects.filter(kind="order_failed").count() == tries
        billing.open_payment(order=Order.objects.get(), now=utc_now())
        order.refresh_from_db()
        session = SandboxSession.objects.get(session_id=order.provider_session_id)
    accounts.mail_due_notices(now=utc_now())
    assert {message.subject for message in mail.outbox} == {
        "The payment for Team failed · Acme Ltd"
    }


def test_a_settlement_that_is_undone_tells_nothing(
    waiting: tuple[Order, SandboxSession], monkeypatch: pytest.MonkeyPatch
) -> None:
    order, session = waiting

    def fail(**_facts: Any) -> None:
        raise RuntimeError

    pay(session)
    monkeypatch.setattr(accounts, "record_audit", fail)
    with pytest.raises(RuntimeError):
        billing.settle_order(order_public_id=order.public_id, now=utc_now())
    assert not Notice.objects.exists()
    order.refresh_from_db()
    assert order.status == "pending"


def outcomes() -> list[str]:
    """What ada was told of her refunds."""
    notices = Notice.objects.filter(kind="refund_decided", person__email="ada@acme.example")
    return [notice.params["outcome"] for notice in notices.order_by("pk")]


@pytest.fixture
def paid(waiting: tuple[Order, SandboxSession]) -> Order:
    order, session = waiting
    deliver(*pay(session))
    order.refresh_from_db()
    return order


def test_a_refund_is_told_when_it_is_decided_and_when_it_fails_after_all(
    paid: Order, ada: User, sam: User
) -> None:
    request = ask(paid, expected=9500)
    assert outcomes() == []
    approve(request, sam)
    send(request)
    settle(paid)
    assert outcomes() == ["approved"]
    assert "Refund approved: $95.00 for Team" in signed_in(ada).get(INBOX).content.decode()
    reversing.fail_refund(refund_id=request.refund.refund_id, now=utc_now())
    for _time in range(2):
        settle(paid)
    assert outcomes() == ["approved", "failed"]


def test_a_declined_refund_is_told_once_a_request(paid: Order, sam: User) -> None:
    for tries in (1, 2):
        decline(ask(paid, expected=9500), sam)
        assert outcomes() == ["declined"] * tries


def test_a_refund_that_the_provider_refuses_is_told(paid: Order, sam: User) -> None:
    request = ask(paid, expected=9500)
    approve(request, sam)
    assert paid.provider_session_id
    reversing.dispute(session_id=paid.provider_session_id, now=utc_now())
    assert send(request).state == "failed"
    assert outcomes() == ["approved", "failed"]


def test_the_first_of_two_who_must_agree_tells_nothing(
    paid: Order, sam: User, settings: Any
) -> None:
    settings.REFUND_SECOND_PERSON_ABOVE = 1
    assert not approve(ask(paid, expected=9500), sam)
    assert outcomes() == []
