"""Paying by bank transfer: what arrives waits until it has paid an order, and then only once."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from accounts.models import AuditEvent, Organisation, User
from marketplace.billing import services
from marketplace.billing.bank.references import print_reference
from marketplace.billing.models import BankTransfer, Order, Pack, TransferSlip
from marketplace.billing.services import settlement
from marketplace.ledger import services as ledger
from portal.kernel.clock import utc_now
from portal.kernel.errors import DomainError
from tests.billing.shop import MILLION, balance_of, credited_once, untouched
from tests.billing.transfers import (
    LIST,
    in_suspense,
    match,
    open_transfer,
    page_of,
    receive,
    said,
    strays,
    unmatch,
)
from tests.cast import signed_in


@pytest.fixture
def order(acme: Organisation, team_pack: Pack) -> Order:
    return open_transfer(acme, team_pack)


def test_from_the_review_to_the_tokens(
    acme: Organisation, team_pack: Pack, ada: User, sam: User
) -> None:
    buyer, staff = signed_in(ada), signed_in(sam)
    review = buyer.get("/o/acme/buy/?pack=team&currency=USD")
    form = dict(review.context["form"].initial)
    assert "Pay by bank transfer" in review.content.decode()
    for _click in range(2):
        answer = buyer.post("/o/acme/buy/", {**form, "way": "bank"})
    order = Order.objects.get()
    reference = order.provider_session_id or ""
    place = f"/o/acme/orders/{order.public_id}/"
    assert answer["Location"].endswith(place)
    assert (order.provider, order.status, order.is_by_transfer) == ("bank", "pending", True)
    assert order.expires_at - order.created_at == timedelta(days=14)
    shown = page_of(buyer, place)
    assert print_reference(reference) in shown
    assert "DE89 3704 0044 0532 0130 00" in shown
    paper = page_of(buyer, f"{place}proforma/")
    assert "This is not an invoice" in paper
    assert print_reference(reference) in paper
    pdf = buyer.get(f"{place}proforma/pdf/")
    assert pdf.content.startswith(b"%PDF")
    assert not order.documents.exists()

    text = f"invoice {print_reference(reference).lower()} thanks"
    recorded = staff.post(LIST, said(text=text))
    transfer = BankTransfer.objects.get()
    assert recorded["Location"] == f"{LIST}{transfer.public_id}/"
    assert strays() == [("unmatched", 9500, 95 * MILLION)]
    assert in_suspense() == 95 * MILLION
    named = page_of(staff, recorded["Location"])
    assert order.public_id in named
    assert f'value="{reference}"' in named
    for _click in range(2):
        matched = staff.post(recorded["Location"], {"reference": reference})
        assert matched.status_code == 302
    assert credited_once(order)
    assert (strays(), in_suspense()) == ([("placed", 9500, 95 * MILLION)], 0)
    assert balance_of(acme) == 105 * MILLION
    assert "Paid: your tokens are in the wallet" in page_of(buyer, place)
    assert page_of(buyer, f"{place}proforma/", 404)
    assert "Undo the match" not in page_of(staff, recorded["Location"])
    audited = AuditEvent.objects.filter(action__startswith="transfer").order_by("pk")
    assert [(event.action, event.actor_id) for event in audited] == [
        ("transfer.recorded", sam.public_id),
        ("transfer.matched", sam.public_id),
    ]


def test_parts_wait_until_they_are_the_whole(acme: Organisation, order: Order, sam: User) -> None:
    assert not match(receive(sam, amount_minor=4000), order, sam)
    assert untouched(order)
    assert (strays(), in_suspense()) == ([("part", 4000, 40 * MILLION)], 40 * MILLION)
    owner = order.ordered_by
    shown = page_of(signed_in(owner), f"/o/acme/orders/{order.public_id}/")
    assert "$40.00 have arrived. $55.00 are missing" in shown
    assert match(receive(sam, bank_id="B-2", amount_minor=5500), order, sam)
    assert credited_once(order)
    assert in_suspense() == 0
    assert [kind for kind, *_rest in strays()] == ["placed", "placed"]


def test_a_part_of_another_order_waits_on(
    acme: Organisation, order: Order, team_pack: Pack, sam: User
) -> None:
    other = open_transfer(acme, team_pack, key="other")
    match(receive(sam, amount_minor=4000), other, sam)
    assert match(receive(sam, bank_id="B-2"), order, sam)
    assert credited_once(order)
    assert untouched(other)
    assert strays() == [("part", 4000, 40 * MILLION), ("placed", 9500, 95 * MILLION)]
    assert in_suspense() == 40 * MILLION


def test_what_is_too_much_waits_on(acme: Organisation, order: Order, sam: User) -> None:
    match(receive(sam, amount_minor=9000), order, sam)
    assert match(receive(sam, bank_id="B-2", amount_minor=1500), order, sam)
    assert credited_once(order)
    assert balance_of(acme) == 105 * MILLION
    assert strays()[-1] == ("surplus", 1000, 10 * MILLION)
    assert in_suspense() == 10 * MILLION
    assert match(receive(sam, bank_id="B-3", amount_minor=9500), order, sam)
    assert strays()[-1] == ("surplus", 9500, 95 * MILLION)
    assert credited_once(order)
    assert in_suspense() == 105 * MILLION
    shown = page_of(signed_in(order.ordered_by), f"/o/acme/orders/{order.public_id}/")
    assert shown.count("more money for this order") == 2


def test_the_banks_id_is_recorded_once(sam: User, settings: Any) -> None:
    staff = signed_in(sam)
    assert staff.post(LIST, said()).status_code == 302
    for same_account in (settings.BANK_TRANSFER_ACCOUNT, " de89 3704 0044 0532 0130 00"):
        settings.BANK_TRANSFER_ACCOUNT = same_account
        again = staff.post(LIST, said())
        assert again["Location"] == f"{LIST}{BankTransfer.objects.get().public_id}/"
    assert staff.post(LIST, said(amount="96")).status_code == 409
    assert len(strays()) == 1
    assert AuditEvent.objects.filter(action="transfer.recorded").count() == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"bank_id": ""},
        {"bank_id": "x" * 81},
        {"amount": "0"},
        {"amount": "-1"},
        {"amount": "ten"},
        {"amount": "0.001"},
        {"amount": "9999999999999"},
        {"currency": "JPY", "amount": "10.5"},
        {"currency": "ZZZ"},
        {"value_date": "soon"},
        {"payer": "x" * 141},
        {"text": "x" * 501},
    ],
)
def test_wrong_input_records_nothing(sam: User, wrong: dict[str, str]) -> None:
    answer = signed_in(sam).post(LIST, said(**wrong))
    assert answer.status_code == 400
    assert not BankTransfer.objects.exists()
    assert strays() == []


def test_a_late_transfer_is_honoured_and_a_dead_process_made_up_for(
    order: Order, sam: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order is over, and whoever matched dies before the settlement: the sweep credits it."""
    Order.objects.update(expires_at=utc_now())
    services.sweep_orders(now=utc_now())
    order.refresh_from_db()
    assert order.status == "expired"
    assert not TransferSlip.objects.get().is_open
    transfer = receive(sam)

    def die(**_said: Any) -> bool:
        raise DomainError

    with monkeypatch.context() as killed:
        killed.setattr(settlement, "settle_order", die)
        with pytest.raises(DomainError):
            match(transfer, order, sam)
    assert untouched(order)
    with pytest.raises(services.TransferSettled):
        unmatch(transfer, sam)
    services.sweep_orders(now=utc_now())
    assert credited_once(order)
    assert in_suspense() == 0


def test_a_cancelled_order_leaves_its_part_to_staff(order: Order, sam: User, ada: User) -> None:
    match(receive(sam, amount_minor=4000), order, sam)
    answer = signed_in(ada).post(f"/o/acme/orders/{order.public_id}/cancel/")
    assert answer.status_code == 302
    assert untouched(order)
    assert order.status == "cancelled"
    assert (strays(), in_suspense()) == ([("part", 4000, 40 * MILLION)], 40 * MILLION)


def test_real_money_is_live_where_nothing_is_played(
    acme: Organisation, team_pack: Pack, sam: User, settings: Any
) -> None:
    settings.SANDBOX_PAYMENTS = False
    order = open_transfer(acme, team_pack)
    match(receive(sam), order, sam)
    order.refresh_from_db()
    assert (order.status, order.livemode) == ("paid", True)
    assert not order.documents.get().label.startswith("TEST")


def test_nobody_posts_events_of_the_bank() -> None:
    assert Client().post("/webhooks/payments/bank/", b"{}", "application/json").status_code == 400


@pytest.mark.parametrize("currency", ["USD", "EUR"])
def test_while_the_ledger_is_unguarded_nothing_is_recorded(
    sam: User, monkeypatch: pytest.MonkeyPatch, currency: str
) -> None:
    """Money that no book converts, too: it would wait unseen by what is being mended."""

    def refuse() -> None:
        raise ledger.LedgerUnguarded

    monkeypatch.setattr(ledger, "refuse_when_unguarded", refuse)
    answer = signed_in(sam).post(LIST, said(currency=currency))
    assert answer.status_code == 409
    assert not BankTransfer.objects.exists()
    assert strays() == []
