"""Refunds, documents and statements by REST: what the pages offer, and no more."""

import csv
import io
from typing import Any

import pytest

from accounts.models import AuditEvent, Organisation, User
from marketplace.billing.models import Order, RefundRequest
from portal.kernel.clock import utc_now
from tests.api.client import ApiClient, codes
from tests.billing.money_back import approve, ask, buy, everything, send, spend
from tests.billing.processors import SandboxProcessor
from tests.billing.shop import MILLION, make_pack
from tests.cast import make_key
from tests.partners.money import balance_of

REFUNDS = "/api/v1/refunds"


@pytest.fixture
def order(acme: Organisation) -> Order:
    """Paid, 60M of its 100M tokens used: $38.00 come back."""
    order = buy(acme, make_pack("team"), SandboxProcessor())
    spend(acme, 65 * MILLION)
    return order


def path_of(order: Order, step: str) -> str:
    return f"/api/v1/orders/{order.public_id}/{step}"


def test_a_refund_is_quoted_asked_for_once_and_withdrawn(
    acme: Organisation, order: Order, bill: User, bill_api: ApiClient
) -> None:
    assert bill_api.get(path_of(order, "refund-quote")).json() == {
        "currency": "USD",
        "amount_minor": "3800",
        "paid_tokens": "40000000",
        "bonus_tokens": "0",
        "unused_tokens": "40000000",
        "refusal": "",
    }
    wish = {"amount_minor": "3800", "reason": "Too many"}
    first, again = (
        bill_api.post(path_of(order, "refunds"), wish, idempotency_key="once") for _ in range(2)
    )
    assert (first.status_code, again.status_code) == (201, 201)
    refund = first.json()
    assert again.json() == refund
    assert (refund["status"], refund["order"]) == ("requested", order.public_id)
    assert RefundRequest.objects.get().requested_by == bill
    assert balance_of(acme) == (0, 0)
    assert bill_api.get(path_of(order, "refund-quote")).json()["refusal"] == "under_way"

    withdrawn = bill_api.post(f"{REFUNDS}/{refund['id']}/withdraw")

    assert (withdrawn.status_code, withdrawn.json()["status"]) == (200, "withdrawn")
    assert balance_of(acme)[0] == 40 * MILLION
    assert AuditEvent.objects.filter(action__startswith="refund.").count() == 2
    before = everything()
    assert bill_api.post(f"{REFUNDS}/{refund['id']}/withdraw").json()["code"] == "refund_decided"
    assert everything() == before


def test_refunds_are_listed_by_what_became_of_them(
    order: Order, sam: User, bill_api: ApiClient
) -> None:
    request = ask(order, expected=3800)
    approve(request, sam)
    assert send(request).state == "done"

    [listed] = bill_api.get(REFUNDS, status="done").json()["data"]

    assert listed == bill_api.get(f"{REFUNDS}/{request.public_id}").json()
    assert bill_api.get(REFUNDS, status="requested").json()["data"] == []
    known = bill_api.get(f"/api/v1/orders/{order.public_id}").json()
    assert (known["status"], known["refunded_minor"]) == ("partially_reversed", "3800")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"amount_minor": "3801"}, 409, "refund_changed"),
        ({"amount_minor": 3800}, 400, "invalid_input"),
        ({"amount_minor": "-3800"}, 400, "invalid_input"),
        ({"amount_minor": "3" * 19}, 400, "invalid_input"),
        ({}, 400, "invalid_input"),
        ({"amount_minor": "3800", "reason": "x" * 501}, 400, "invalid_input"),
        ({"amount_minor": "3800", "tokens": "1"}, 400, "invalid_input"),
    ],
)
def test_what_cannot_be_asked_for_changes_nothing(
    order: Order, bill_api: ApiClient, body: dict[str, Any], status: int, code: str
) -> None:
    before = everything()
    refused = bill_api.post(path_of(order, "refunds"), body)
    assert (refused.status_code, refused.json()["code"]) == (status, code)
    assert everything() == before


def test_members_and_test_keys_move_no_money(
    acme: Organisation, order: Order, ada: User, mia_api: ApiClient
) -> None:
    request = ask(order, expected=3800)
    test_key = ApiClient(make_key(acme, created_by=ada, kind="test")[1])
    moves = [path_of(order, step) for step in ("refunds", "pay", "check", "cancel")]
    before = everything()
    for path in (*moves, f"{REFUNDS}/{request.public_id}/withdraw"):
        for client, code in ((mia_api, "role_missing"), (test_key, "test_key")):
            refused = client.post(path, {"amount_minor": "3800"})
            assert (refused.status_code, refused.json()["code"]) == (403, code), path
    for path in (path_of(order, "refund-quote"), f"/api/v1/statements/{utc_now():%Y-%m}"):
        assert test_key.get(path).json()["code"] == "test_key"
    assert everything() == before


def test_an_order_is_opened_again_and_cancelled(bill_api: ApiClient) -> None:
    make_pack("team")
    made = bill_api.post("/api/v1/orders", {"pack": "team", "currency": "USD"}).json()
    path = f"/api/v1/orders/{made['id']}"

    assert bill_api.post(f"{path}/pay").json()["pay_url"] == made["pay_url"]
    assert bill_api.post(f"{path}/check").json()["status"] == "pending"
    assert bill_api.post(f"{path}/cancel").json()["status"] == "cancelled"
    for step in ("pay", "cancel"):
        refused = bill_api.post(f"{path}/{step}")
        assert (refused.status_code, refused.json()["code"]) == (409, "order_closed")


def test_documents_and_statements_are_the_pages_own(
    order: Order, sam: User, bill_api: ApiClient
) -> None:
    request = ask(order, expected=3800)
    approve(request, sam)
    send(request)
    note, invoice = bill_api.get("/api/v1/documents").json()["data"]

    assert (invoice["kind"], invoice["amount_minor"], invoice["corrects"]) == (
        "invoice", "9500", None,
    )  # fmt: skip
    assert (note["kind"], note["amount_minor"], note["corrects"]) == (
        "credit_note", "3800", invoice["id"],
    )  # fmt: skip
    assert [one["id"] for one in bill_api.get("/api/v1/documents", kind="invoice").json()["data"]]
    wrong = bill_api.get("/api/v1/documents", kind="fapiao")
    assert codes(wrong) == {"kind": "invalid_choice"}
    assert bill_api.get(f"/api/v1/documents/{note['id']}").json() == note

    month = f"/api/v1/statements/{utc_now():%Y-%m}"
    statement = bill_api.get(month).json()
    lines = {line["kind"]: int(line["tokens"]) for line in statement["lines"]}
    assert lines["bought"] == 100_000_000
    assert lines["refunded"] == -40_000_000
    total = int(statement["opening_tokens"]) + sum(lines.values())
    assert total == int(statement["closing_tokens"])
    assert set(statement["documents"]) == {invoice["id"], note["id"]}
    assert bill_api.get("/api/v1/statements").json()["data"][0] == {"month": statement["month"]}
    assert bill_api.get("/api/v1/statements/2020-01").status_code == 404
    assert bill_api.get("/api/v1/statements/2026-13").status_code == 404
    for path in (f"/api/v1/documents/{invoice['id']}/pdf", f"{month}/pdf"):
        pdf = bill_api.get(path)
        assert pdf["Content-Type"] == "application/pdf"
        assert pdf["Cache-Control"] == "no-store"
        assert pdf.content.startswith(b"%PDF-")
    rows = list(csv.reader(io.StringIO(bill_api.get(f"{month}/csv").content.decode("utf-8-sig"))))
    assert len(rows) > 5
