"""The pages of fapiao, of the buyer and of staff."""

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEvent, Organisation, User
from marketplace.billing.models import Fapiao, Order, Pack
from tests.billing.fapiao import PRICE, PROCESSOR, USCC, ask_for, give_back, issue, number, stands
from tests.billing.money_back import ask, buy
from tests.billing.shop import make_pack
from tests.cast import make_person, signed_in
from tests.flows.world import read_everything

pytestmark = pytest.mark.django_db


@pytest.fixture
def pack(db: None) -> Pack:
    return make_pack(prices={"USD": 9500, "CNY": PRICE})


@pytest.fixture
def order(acme: Organisation, pack: Pack) -> Order:
    return buy(acme, pack, PROCESSOR, currency="CNY")


def path_of(name: str, organisation: str = "acme", **more: str) -> str:
    return reverse(f"billing:{name}", kwargs={"organisation": organisation, **more})


def read(client: Client, path: str) -> str:
    return client.get(path).content.decode()


def test_the_pages_from_the_order_to_the_red_letter(order: Order, bill: User, sam: User) -> None:
    buyer, staff = signed_in(bill), signed_in(sam)
    order_page = path_of("order", order=order.public_id)
    assert "Ask for a fapiao" in read(buyer, order_page)
    form = read(buyer, f"{path_of('ask_fapiao')}?order={order.public_id}")
    assert f'value="{order.public_id}"' in form
    assert "checked" in form
    said = {
        "orders": order.public_id, "kind": "ordinary", "title": "某某公司",
        "tax_id": USCC.lower(), "email": "cw@acme.example",
    }  # fmt: skip
    assert buyer.post(path_of("ask_fapiao"), said).status_code == 302
    fapiao = Fapiao.objects.get()
    assert fapiao.tax_id == USCC
    before = read_everything()
    again = buyer.post(path_of("ask_fapiao"), said)
    assert (again.status_code, read_everything()) == (400, before)
    for page in (path_of("fapiao"), order_page):
        assert "Asked for" in read(buyer, page)

    ops = f"/ops/fapiao/{fapiao.public_id}/"
    assert "某某公司" in read(staff, "/ops/fapiao/")
    for text in (USCC, "680.00", "Issue nothing"):
        assert text in read(staff, ops)
    before = read_everything()
    for wrong in (
        {},
        {"decision": "issue"},
        {"decision": "decline"},
        {"decision": "issue", "number": "x", "issued_on": "2026-01-05"},
        {"decision": "issue", "number": number(1), "issued_on": "soon"},
        {"decision": "fly", "number": number(1), "issued_on": "2026-01-05"},
    ):
        answer = staff.post(ops, {"amount_minor": PRICE, **wrong})
        assert (answer.status_code, read_everything()) == (400, before), wrong
    done = {"amount_minor": PRICE, "number": number(1), "issued_on": "2026-01-05"}
    assert staff.post(ops, {"decision": "issue", **done}).status_code == 302
    assert number(1) in read(buyer, path_of("fapiao"))
    assert number(1) in read(buyer, order_page)
    before = read_everything()
    assert staff.post(ops, {"decision": "issue", **done}).status_code == 400
    assert read_everything() == before

    give_back(order, 8000)
    assert "red-letter fapiao over it" in read(staff, ops)
    red = {"amount_minor": 8000, "number": number(2), "issued_on": "2026-01-06"}
    assert staff.post(ops, red).status_code == 302
    assert number(2) in read(buyer, path_of("fapiao"))
    actions = AuditEvent.objects.filter(action__startswith="fapiao.").order_by("pk")
    assert [one.action.removeprefix("fapiao.") for one in actions] == [
        "requested", "issued", "red_lettered",
    ]  # fmt: skip


def test_staff_are_warned_of_a_refund_under_way(order: Order, sam: User) -> None:
    fapiao = ask_for(order)
    path = f"/ops/fapiao/{fapiao.public_id}/"
    assert "is under way" not in read(signed_in(sam), path)
    ask(order, expected=PRICE)
    assert "is under way" in read(signed_in(sam), path)
    assert "Fapiao to issue" in read(signed_in(sam), "/ops/")


def test_a_form_from_before_another_persons_decision_is_no_red_letter(
    order: Order, sam: User
) -> None:
    """Not even when a red letter over the same amount is due by then."""
    fapiao = ask_for(order)
    issue(fapiao, sam)
    give_back(order, PRICE)
    staff = signed_in(sam)
    stale = {"amount_minor": PRICE, "number": number(2), "issued_on": "2026-01-05"}
    before = read_everything()
    for decision in ("issue", "decline"):
        said = {"decision": decision, "note": "Wrong title", **stale}
        answer = staff.post(f"/ops/fapiao/{fapiao.public_id}/", said)
        assert answer.status_code == 400
        assert "decided or withdrawn already" in answer.content.decode()
    assert read_everything() == before


def test_the_buyer_withdraws_until_we_decide(order: Order, bill: User, sam: User) -> None:
    buyer = signed_in(bill)
    fapiao = ask_for(order)
    path = path_of("withdraw_fapiao", fapiao=fapiao.public_id)
    assert buyer.post(path).status_code == 302
    assert stands(fapiao) == ("withdrawn", 0)
    before = read_everything()
    assert buyer.post(path).status_code == 409
    assert read_everything() == before


def test_it_is_nobody_elses(order: Order, mia: User, gus: User) -> None:
    fapiao = ask_for(order)
    withdrawal = {"fapiao": fapiao.public_id}
    clients = {403: signed_in(mia), 404: signed_in(gus)}
    stranger = signed_in(make_person("x@y.example"))
    before = read_everything()
    for status, client in clients.items():
        for path in (path_of("fapiao"), path_of("ask_fapiao")):
            assert client.get(path).status_code == status
        assert client.post(path_of("withdraw_fapiao", **withdrawal)).status_code == status
        assert client.post(path_of("ask_fapiao"), {"orders": order.public_id}).status_code == status
    own = path_of("withdraw_fapiao", "globex", **withdrawal)
    assert clients[404].post(own).status_code == 404
    assert "¥" not in read(clients[404], path_of("ask_fapiao", "globex"))
    for path in ("/ops/fapiao/", f"/ops/fapiao/{fapiao.public_id}/"):
        assert stranger.get(path).status_code == 404
    assert read_everything() == before
