"""Money of a bank transfer that goes back: staff send it and say how that went."""

import pytest

from accounts.models import AuditEvent, Organisation, User
from marketplace.billing.bank.adapter import BankProvider
from marketplace.billing.models import BankPayback, Order, Pack, RefundRequest
from marketplace.billing.money_back import ProviderRefund, RefundOrder
from marketplace.billing.payment_provider import PaymentRefused
from tests.billing.money_back import approve, ask, send
from tests.billing.shop import MILLION, balance_of
from tests.billing.transfers import LIST, match, open_transfer, page_of, receive
from tests.cast import signed_in


@pytest.fixture
def order(acme: Organisation, team_pack: Pack) -> Order:
    return open_transfer(acme, team_pack)


def test_a_refund_is_sent_by_bank_and_recorded(acme: Organisation, order: Order, sam: User) -> None:
    match(receive(sam), order, sam)
    order.refresh_from_db()
    request = ask(order, expected=9500)
    approve(request, sam)
    assert send(request).state == "sent"
    payback, staff = BankPayback.objects.get(), signed_in(sam)
    path = f"/ops/paybacks/{payback.public_id}/"
    assert "Refunds to send by bank" in page_of(staff, LIST)
    staff.post(path, {"went": "sent", "bank_id": ""})
    payback.refresh_from_db()
    assert payback.state == "pending"
    for _click in range(2):
        assert staff.post(path, {"went": "sent", "bank_id": "OUT-1"}).status_code == 302
    for other in ({"went": "failed"}, {"went": "sent", "bank_id": "OUT-2"}):
        assert "recorded already" in str(staff.post(path, other, follow=True).content)
    payback.refresh_from_db()
    order.refresh_from_db()
    request.refresh_from_db()
    assert (payback.state, payback.bank_id, payback.recorded_by) == ("succeeded", "OUT-1", sam)
    assert (order.status, request.state, balance_of(acme)) == ("reversed", "done", 0)
    assert order.documents.count() == 2
    assert AuditEvent.objects.filter(action="payback.sent").count() == 1


def test_a_refund_that_cannot_be_sent_gives_the_tokens_back(
    acme: Organisation, order: Order, sam: User
) -> None:
    match(receive(sam), order, sam)
    order.refresh_from_db()
    request = ask(order, expected=9500)
    approve(request, sam)
    send(request)
    send(request)
    payback = BankPayback.objects.get()
    signed_in(sam).post(f"/ops/paybacks/{payback.public_id}/", {"went": "failed"})
    order.refresh_from_db()
    assert RefundRequest.objects.get().state == "failed"
    assert (order.status, balance_of(acme)) == ("paid", 105 * MILLION)
    again = ask(order, expected=9500)
    approve(again, sam)
    assert send(again).state == "sent"


def test_no_more_goes_back_than_came(order: Order, sam: User) -> None:
    """What could not be sent is still there; the same request again is the same payback."""
    match(receive(sam), order, sam)
    bank = BankProvider()

    def ask_bank(request_id: str, amount_minor: int) -> ProviderRefund:
        return bank.send_refund(
            RefundOrder(
                request_id=request_id,
                payment_id=order.provider_session_id or "",
                amount_minor=amount_minor,
                currency=order.currency,
                order_id=order.public_id,
            )
        )

    first = ask_bank("rfr_1", 9000)
    assert ask_bank("rfr_1", 9000) == first
    with pytest.raises(PaymentRefused):
        ask_bank("rfr_2", 501)
    assert BankPayback.objects.count() == 1
    ask_bank("rfr_2", 500)
    BankPayback.objects.filter(request_id="rfr_1").update(state="failed", recorded_by=sam)
    ask_bank("rfr_3", 9000)
    assert BankPayback.objects.count() == 3


def test_one_line_of_the_bank_sends_several_refunds(
    acme: Organisation, team_pack: Pack, order: Order, sam: User
) -> None:
    """A batch is booked as one line, so its id stands for each refund in it."""
    other, staff = open_transfer(acme, team_pack, key="form-2"), signed_in(sam)
    for number, one in enumerate((order, other)):
        match(receive(sam, bank_id=f"B-{number}"), one, sam)
        one.refresh_from_db()
        request = ask(one, expected=9500)
        approve(request, sam)
        send(request)
    for payback in BankPayback.objects.all():
        path = f"/ops/paybacks/{payback.public_id}/"
        staff.post(path, {"went": "sent", "bank_id": "BATCH-1"})
    sent = BankPayback.objects.values_list("state", "bank_id")
    assert list(sent) == [("succeeded", "BATCH-1")] * 2
    assert set(Order.objects.values_list("status", flat=True)) == {"reversed"}
