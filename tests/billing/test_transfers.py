"""Paying by bank transfer: what arrives waits until it has paid an order, and then only once."""

from datetime import date, timedelta
from typing import Any

import pytest
from django.test import Client

from accounts.models import AuditEvent, Membership, Organisation, Role, User
from marketplace.billing import services
from marketplace.billing.bank.references import find_references, make_reference, print_reference
from marketplace.billing.models import (
    BankPayback,
    BankTransfer,
    Order,
    Pack,
    RefundRequest,
    StrayPayment,
    TransferSlip,
)
from marketplace.billing.payment_provider import PaymentsUnavailable
from marketplace.billing.services import settlement, transfers
from marketplace.ledger.models import Entry
from portal.kernel.clock import utc_now
from portal.kernel.errors import DomainError
from tests.billing.money_back import approve, ask, send
from tests.billing.shop import MILLION, balance_of, credited_once, untouched
from tests.billing.transfers import actor_of, match, open_transfer, receive, unmatch
from tests.cast import make_member, make_person, signed_in
from tests.flows.world import read_everything

LIST = "/ops/transfers/"


@pytest.fixture
def order(acme: Organisation, team_pack: Pack) -> Order:
    return open_transfer(acme, team_pack)


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


def test_another_currency_and_an_unknown_reference_match_nothing(order: Order, sam: User) -> None:
    euros = receive(sam, currency="EUR", amount_minor=9500)
    dollars = receive(sam, bank_id="B-2")
    before = read_everything()
    with pytest.raises(services.TransferNotMatched):
        match(euros, order, sam)
    reference = order.provider_session_id or ""
    wrong = reference[:-1] + ("2" if reference[-1] != "2" else "3")
    for name in (wrong, "ord_none", make_reference(), ""):
        with pytest.raises(services.TransferNotMatched):
            services.match_transfer(
                transfer=dollars, reference=name, user=sam, actor=actor_of(sam), now=utc_now()
            )
    assert read_everything() == before
    assert strays() == [("unmatched", 9500, 0), ("unmatched", 9500, 95 * MILLION)]


def test_a_wrong_match_is_undone_until_the_money_is_whole(
    acme: Organisation, team_pack: Pack, order: Order, sam: User
) -> None:
    other = open_transfer(acme, team_pack, key="form-2")
    transfer = receive(sam, amount_minor=4000)
    match(transfer, order, sam)
    with pytest.raises(services.TransferSettled):
        match(transfer, other, sam)
    for _click in range(2):
        unmatch(transfer, sam)
    assert (strays(), in_suspense()) == ([("unmatched", 4000, 40 * MILLION)], 40 * MILLION)
    assert not match(transfer, other, sam)
    assert match(receive(sam, bank_id="B-2", amount_minor=5500), other, sam)
    before = read_everything()
    with pytest.raises(services.TransferSettled):
        unmatch(transfer, sam)
    assert read_everything() == before
    assert credited_once(other)
    assert untouched(order)
    undone = AuditEvent.objects.filter(action="transfer.unmatched")
    assert undone.count() == 1


def test_undoing_leaves_a_match_that_was_made_meanwhile(
    acme: Organisation, team_pack: Pack, order: Order, sam: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = open_transfer(acme, team_pack, key="form-2")
    slip = TransferSlip.objects.get(reference=other.provider_session_id)
    transfer = receive(sam, amount_minor=4000)
    match(transfer, order, sam)
    lock = transfers._lock_order_of

    def match_and_lock(of: TransferSlip) -> Order:
        BankTransfer.objects.update(slip=slip)
        StrayPayment.objects.update(order=other)
        return lock(of)

    monkeypatch.setattr(transfers, "_lock_order_of", match_and_lock)
    with pytest.raises(services.TransferSettled):
        unmatch(transfer, sam)
    assert strays() == [("part", 4000, 40 * MILLION)]
    assert not AuditEvent.objects.filter(action="transfer.unmatched").exists()


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
        {"currency": "XXX"},
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


def test_nobody_matches_for_a_company_of_theirs(
    acme: Organisation, order: Order, sam: User
) -> None:
    insider = make_member(acme, "in@acme.example", Role.MEMBER)
    theirs, ours = receive(insider), receive(sam, bank_id="B-2")
    before = read_everything()
    for transfer, matcher in ((theirs, sam), (ours, insider)):
        with pytest.raises(services.TransferNeedsAnother):
            match(transfer, order, matcher)
    assert read_everything() == before
    Membership.objects.filter(user=insider).delete()
    assert match(theirs, order, sam)


def test_large_orders_take_two_people(order: Order, sam: User, settings: Any) -> None:
    settings.REFUND_SECOND_PERSON_ABOVE = 94
    transfer = receive(sam, amount_minor=1000)
    before = read_everything()
    with pytest.raises(services.TransferNeedsAnother):
        match(transfer, order, sam)
    assert read_everything() == before
    other = make_person("olga@market.example", is_staff=True)
    assert not match(transfer, order, other)
    settings.REFUND_SECOND_PERSON_ABOVE = 95
    assert match(receive(sam, bank_id="B-2", amount_minor=8500), order, sam)


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


def test_it_is_offered_only_where_there_is_an_account(
    acme: Organisation, team_pack: Pack, ada: User, settings: Any
) -> None:
    settings.BANK_TRANSFER_ACCOUNT = ""
    client = signed_in(ada)
    review = client.get("/o/acme/buy/?pack=team&currency=USD")
    assert "bank transfer" not in review.content.decode()
    form = dict(review.context["form"].initial)
    assert client.post("/o/acme/buy/", {**form, "way": "bank"}).status_code == 503
    assert client.post("/o/acme/buy/", {**form, "way": "cash"}).status_code == 400
    assert not Order.objects.exists()


def test_without_another_provider_it_is_the_way_to_pay(
    ada: User, acme: Organisation, team_pack: Pack, settings: Any
) -> None:
    review = f"/o/{acme.slug}/buy/?pack=team"
    page = signed_in(ada).get(review).content.decode()
    assert "Pay $95.00" in page
    assert "Pay by bank transfer" in page
    settings.SANDBOX_PAYMENTS = False
    page = signed_in(ada).get(review).content.decode()
    assert "Pay $95.00" not in page
    assert "card data never reaches us" not in page
    assert "Pay by bank transfer" in page


def test_it_is_not_offered_where_the_tax_comes_with_the_payment(
    acme: Organisation, team_pack: Pack, ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("marketplace.billing.providers.tax_is_computed_on_payment", lambda: True)
    review = signed_in(ada).get("/o/acme/buy/?pack=team&currency=USD")
    assert "bank transfer" not in review.content.decode()
    with pytest.raises(PaymentsUnavailable):
        open_transfer(acme, team_pack)
    assert not Order.objects.exists()


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


def test_references_find_every_typing_error() -> None:
    for _time in range(20):
        reference = make_reference()
        assert find_references(f"pay:{print_reference(reference).lower()}, ok") == [reference]
        for place in range(2, 16):
            for digit in set("0123456789O") - {reference[place]}:
                wrong = reference[:place] + digit + reference[place + 1 :]
                assert find_references(wrong) == []
        if reference[6] != reference[7]:
            swapped = reference[:6] + reference[7] + reference[6] + reference[8:]
            assert find_references(swapped) == []
    two = [make_reference(), make_reference()]
    assert find_references(" and ".join(two)) == two


def test_two_references_in_one_text_match_none(
    acme: Organisation, team_pack: Pack, order: Order, sam: User
) -> None:
    other = open_transfer(acme, team_pack, key="form-2")
    text = f"{order.provider_session_id} {other.provider_session_id}"
    transfer = receive(sam, text=text, value_date=date(2026, 5, 4))
    assert "names no order" in page_of(signed_in(sam), f"{LIST}{transfer.public_id}/")
    with pytest.raises(services.TransferNotMatched):
        services.match_transfer(
            transfer=transfer, reference=text, user=sam, actor=actor_of(sam), now=utc_now()
        )
    assert untouched(order)
    assert untouched(other)
    assert strays() == [("unmatched", 9500, 95 * MILLION)]
