"""Packs and orders by REST: a person pays, a program only orders."""

from typing import Any

import pytest

from accounts.models import Organisation, User
from marketplace.billing import services as billing
from marketplace.billing.models import Order, SandboxSession
from portal.kernel.clock import utc_now
from tests.api.client import ApiClient, codes
from tests.billing.shop import make_pack, pay
from tests.cast import make_key
from tests.partners.money import balance_of

ORDERS = "/api/v1/orders"


@pytest.fixture(autouse=True)
def team(db: None) -> Any:
    return make_pack("team")


def test_packs_are_listed_in_a_currency(ada_api: ApiClient) -> None:
    dollars = ada_api.get("/api/v1/packs").json()["data"]
    yen = ada_api.get("/api/v1/packs", currency="JPY").json()["data"]

    assert [(p["slug"], p["currency"], p["amount_minor"]) for p in dollars] == [
        ("team", "USD", "9500")
    ]
    assert yen[0]["amount_minor"] == "14500"
    assert (yen[0]["paid_tokens"], yen[0]["bonus_tokens"]) == ("100000000", "5000000")
    assert codes(ada_api.get("/api/v1/packs", currency="ZZZ")) == {"currency": "invalid_choice"}


def test_an_order_is_made_paid_by_a_person_and_credited(
    acme: Organisation, bill_api: ApiClient
) -> None:
    wish = {"pack": "team", "currency": "USD", "quantity": 2, "purchase_reference": "PO-7"}

    made = bill_api.post(ORDERS, wish)

    assert made.status_code == 201
    order = made.json()
    assert (order["status"], order["amount_minor"], order["quantity"]) == ("pending", "19000", 2)
    assert order["paid_tokens"] == "200000000"
    assert "/sandbox/pay/" in order["pay_url"]
    assert balance_of(acme) == (0, 0)
    session = SandboxSession.objects.get()
    assert pay(session)
    billing.settle_order(order_public_id=order["id"], now=utc_now())

    paid = bill_api.get(f"{ORDERS}/{order['id']}").json()
    assert (paid["status"], paid["pay_url"]) == ("paid", None)
    assert paid["receipt"]
    assert paid["paid_at"]
    assert [o["id"] for o in bill_api.get(ORDERS, status="paid").json()["data"]] == [order["id"]]
    assert bill_api.get(ORDERS, status="expired").json()["data"] == []
    assert bill_api.get("/api/v1/wallet").json()["balances"][0]["posted_tokens"] == "210000000"


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"pack": "none"}, {"/pack": "invalid"}),
        ({"pack": None}, {"/pack": "null"}),
        ({"currency": "usd"}, {"/currency": "invalid_choice"}),
        ({"quantity": 0}, {"/quantity": "min_value"}),
        ({"quantity": 101}, {"/quantity": "max_value"}),
        ({"quantity": "2"}, {"/quantity": "invalid"}),
        ({"purchase_reference": "x" * 81}, {"/purchase_reference": "max_length"}),
        ({"price": "1"}, {"/price": "unknown_member"}),
    ],
)
def test_what_cannot_be_ordered_is_named_and_nothing_is_written(
    ada_api: ApiClient, change: dict[str, Any], wrong: dict[str, str]
) -> None:
    response = ada_api.post(ORDERS, {"pack": "team", "currency": "USD"} | change)

    assert (response.status_code, codes(response)) == (400, wrong)
    assert not Order.objects.exists()


def test_ordering_needs_the_role_the_right_and_a_live_key(
    acme: Organisation, ada: User, mia_api: ApiClient
) -> None:
    wish = {"pack": "team", "currency": "USD"}
    reader = ApiClient(make_key(acme, created_by=ada, scopes=["read"])[1])
    test_key = ApiClient(make_key(acme, created_by=ada, kind="test")[1])

    refusals = [client.post(ORDERS, wish) for client in (mia_api, reader, test_key)]

    assert [refusal.status_code for refusal in refusals] == [403, 403, 403]
    assert [refusal.json()["code"] for refusal in refusals] == [
        "role_missing",
        "scope_missing",
        "test_key",
    ]
    assert not Order.objects.exists()


def test_another_tenants_order_does_not_exist(ada_api: ApiClient, gus_api: ApiClient) -> None:
    order = ada_api.post(ORDERS, {"pack": "team", "currency": "USD"}).json()

    assert gus_api.get(f"{ORDERS}/{order['id']}").status_code == 404
    assert gus_api.get(ORDERS).json()["data"] == []
