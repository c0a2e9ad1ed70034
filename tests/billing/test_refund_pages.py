"""The pages of refunds: the buyer's, the operator's, and the sandbox's back office."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEvent, Organisation, User
from marketplace.billing import services
from marketplace.billing.models import Order, Pack, Refund, RefundRequest
from portal.kernel.clock import utc_now
from tests.billing.money_back import ask, buy, everything, settle, spend
from tests.billing.processors import SandboxProcessor, deliver
from tests.billing.shop import MILLION, balance_of
from tests.cast import give_second_factor, make_person, signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def order(acme: Organisation, team_pack: Pack) -> Order:
    return buy(acme, team_pack, SandboxProcessor())


def path_of(order: Order, name: str = "order", organisation: str = "acme") -> str:
    return reverse(
        f"billing:{name}", kwargs={"organisation": organisation, "order": order.public_id}
    )


def read(client: Client, path: str) -> str:
    return client.get(path).content.decode()


def test_the_buyer_sees_the_arithmetic_before_asking(order: Order, bill: User) -> None:
    spend(order.organisation, 65 * MILLION)
    client = signed_in(bill)
    assert "Ask for a refund" in read(client, path_of(order))

    page = read(client, path_of(order, "refund"))

    for said in ("$95.00", "100,000,000", "40,000,000", "$38.00", "Ask for $38.00 back"):
        assert said in page, said
    assert RefundRequest.objects.count() == 0


def test_asking_decided_and_paid_as_the_pages_say(order: Order, bill: User, sam: User) -> None:
    buyer, staff = signed_in(bill), signed_in(sam)
    answer = buyer.post(path_of(order, "refund"), {"amount_minor": 9500, "reason": "Too many"})
    assert answer.status_code == 302
    request = RefundRequest.objects.get()
    assert "Waiting for our decision" in read(buyer, path_of(order))
    assert "Too many" in read(staff, f"/ops/refunds/{request.public_id}/")
    assert "$95.00" in read(staff, "/ops/refunds/")
    assert "Refunds to decide" in read(staff, "/ops/")

    decided = staff.post(f"/ops/refunds/{request.public_id}/", {"decision": "approve"})

    assert decided.status_code == 302
    services.send_due_refunds(now=utc_now())
    settle(order)
    page = read(buyer, path_of(order))
    assert "The payment has gone back" in page
    assert "Ask for a refund" not in page
    assert Refund.objects.get().request == request
    assert "Refunded" in read(buyer, "/o/acme/orders/")


def test_declining_needs_words_that_the_buyer_reads(order: Order, bill: User, sam: User) -> None:
    request = ask(order, expected=9500)
    staff = signed_in(sam)
    path = f"/ops/refunds/{request.public_id}/"
    before = everything()
    refused = staff.post(path, {"decision": "decline"})
    assert (refused.status_code, everything()) == (400, before)

    staff.post(path, {"decision": "decline", "note": "The month is over."})

    assert "The month is over." in read(signed_in(bill), path_of(order))
    assert balance_of(order.organisation) == 105 * MILLION


def test_the_buyer_withdraws_until_we_decide(order: Order, bill: User, sam: User) -> None:
    buyer = signed_in(bill)
    request = ask(order, expected=9500)
    assert "Withdraw the request" in read(buyer, path_of(order))
    assert "Withdraw the request" not in read(signed_in(sam), f"/ops/orders/{order.public_id}/")
    path = f"/o/acme/refunds/{request.public_id}/withdraw/"
    assert buyer.get(path).status_code == 405

    answer = buyer.post(path)

    assert answer.status_code == 302
    assert balance_of(order.organisation) == 105 * MILLION
    assert [event.action for event in AuditEvent.objects.filter(actor_id=bill.public_id)] == [
        "refund.withdrawn"
    ]
    page = read(buyer, path_of(order))
    assert "Withdrawn" in page
    assert "Ask for a refund" in page
    before = everything()
    again = buyer.post(path)
    assert (again.status_code, everything()) == (409, before)
    assert "decided already" in again.content.decode()


PAID = "Paid: your tokens are in the wallet"
UNDER_WAY = "A refund of this order is under way"


def test_an_order_says_that_its_refund_is_under_way(order: Order, bill: User, sam: User) -> None:
    buyer, staff = signed_in(bill), signed_in(sam)
    page = read(buyer, path_of(order))
    assert (PAID in page, UNDER_WAY in page) == (True, False)

    request = ask(order, expected=9500)
    for _step in ("asked", "approved"):
        page = read(buyer, path_of(order))
        assert (PAID in page, UNDER_WAY in page) == (False, True)
        staff.post(f"/ops/refunds/{request.public_id}/", {"decision": "approve"})

    services.send_due_refunds(now=utc_now())
    settle(order)
    page = read(buyer, path_of(order))
    assert (PAID in page, UNDER_WAY in page) == (False, False)


def test_a_refund_that_the_bank_has_not_done_has_not_gone_back(order: Order, bill: User) -> None:
    order.refunds.create(refund_id="re_slow", amount_minor=9500, state="pending")
    Order.objects.filter(pk=order.pk).update(status="reversed", reversed_minor=9500)
    page = read(signed_in(bill), path_of(order))
    assert UNDER_WAY in page
    assert "gone back" not in page

    order.refunds.update(state="succeeded")

    page = read(signed_in(bill), path_of(order))
    assert UNDER_WAY not in page
    assert "The payment has gone back" in page


def test_two_people_on_the_page(order: Order, sam: User, settings: Any) -> None:
    settings.REFUND_SECOND_PERSON_ABOVE = 10
    request = ask(order, expected=9500)
    path = f"/ops/refunds/{request.public_id}/"
    assert "takes two people" in read(signed_in(sam), path)
    signed_in(sam).post(path, {"decision": "approve"})
    before = everything()
    again = signed_in(sam).post(path, {"decision": "approve"})
    assert (again.status_code, everything()) == (400, before)
    tom = make_person("tom@market.example", is_staff=True)
    give_second_factor(tom)

    assert "has agreed" in read(signed_in(tom), path)
    signed_in(tom).post(path, {"decision": "approve"})

    request.refresh_from_db()
    assert request.state == "approved"


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"amount_minor": "x"},
        {"amount_minor": 9499},
        {"amount_minor": 9501},
        {"amount_minor": -9500},
        {"amount_minor": "9500.5"},
        {"amount_minor": 10**30},
        {"amount_minor": "9" * 5000},
        {"amount_minor": 9500, "reason": "x" * 501},
        {"amount_minor": 9500, "reason": "a\0b"},
    ],
)
def test_an_amount_that_was_not_shown_is_refused(
    order: Order, bill: User, said: dict[str, object]
) -> None:
    before = everything()
    answer = signed_in(bill).post(path_of(order, "refund"), said)
    assert answer.status_code in (400, 409)
    assert "Ask for $95.00 back" in answer.content.decode()
    assert everything() == before


def test_members_cannot_ask(order: Order, mia: User) -> None:
    client = signed_in(mia)
    before = everything()
    for answer in (
        client.get(path_of(order, "refund")),
        client.post(path_of(order, "refund"), {"amount_minor": 9500}),
    ):
        assert answer.status_code == 403
    assert everything() == before


def test_another_companys_order_is_not_there(order: Order, gus: User) -> None:
    client = signed_in(gus)
    before = everything()
    for organisation in ("acme", "globex"):
        path = path_of(order, "refund", organisation)
        assert client.get(path).status_code == 404
        assert client.post(path, {"amount_minor": 9500}).status_code == 404
    assert everything() == before


def test_the_console_is_for_staff(order: Order, ada: User) -> None:
    request = ask(order, expected=9500)
    client = signed_in(ada)
    before = everything()
    for path in ("/ops/refunds/", f"/ops/refunds/{request.public_id}/"):
        assert client.get(path).status_code == 404
    refused = client.post(f"/ops/refunds/{request.public_id}/", {"decision": "approve"})
    assert refused.status_code == 404
    assert everything() == before
    assert signed_in(make_person("x@y.example")).get("/ops/refunds/").status_code == 404


def test_an_unknown_request_is_404(sam: User) -> None:
    assert signed_in(sam).get("/ops/refunds/rfq_none/").status_code == 404


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"decision": "fly"},
        {"decision": ["approve", "fly"]},
        {"decision": "decline", "note": "   "},
        {"decision": "decline", "note": "x" * 501},
        {"decision": "approve", "note": "x" * 501},
    ],
)
def test_a_decision_that_is_none_changes_nothing(
    order: Order, sam: User, said: dict[str, object]
) -> None:
    request = ask(order, expected=9500)
    before = everything()
    answer = signed_in(sam).post(f"/ops/refunds/{request.public_id}/", said)
    assert (answer.status_code, everything()) == (400, before)
    assert "Store the decision" in answer.content.decode()


def test_a_form_that_is_sent_twice_counts_once(order: Order, bill: User, sam: User) -> None:
    buyer, staff = signed_in(bill), signed_in(sam)
    said: dict[str, object] = {"amount_minor": 9500}
    assert buyer.post(path_of(order, "refund"), said).status_code == 302
    request = RefundRequest.objects.get()
    before = everything()
    again = buyer.post(path_of(order, "refund"), said)
    assert (again.status_code, everything()) == (400, before)
    assert "A refund of this order is under way." in again.content.decode()

    path = f"/ops/refunds/{request.public_id}/"
    assert staff.post(path, {"decision": "approve"}).status_code == 302
    before = everything()
    for decision in ({"decision": "approve"}, {"decision": "decline", "note": "Too late."}):
        again = staff.post(path, decision)
        assert (again.status_code, everything()) == (400, before)
        assert "decided already" in again.content.decode()


def test_strangers_and_staff_without_a_second_factor_decide_nothing(
    order: Order, client: Client
) -> None:
    request = ask(order, expected=9500)
    path = f"/ops/refunds/{request.public_id}/"
    hasty = signed_in(make_person("hasty@market.example", is_staff=True))
    before = everything()
    for browser, door, places in (
        (client, "/login/", (path, path_of(order, "refund"))),
        (hasty, "/account/", (path,)),
    ):
        for place in places:
            for answer in (
                browser.get(place),
                browser.post(place, {"decision": "approve", "amount_minor": 9500}),
            ):
                assert answer.status_code == 302
                assert answer["Location"].startswith(door)
    assert everything() == before


def test_a_decision_is_no_link(order: Order, sam: User) -> None:
    request = ask(order, expected=9500)
    before = everything()
    staff = signed_in(sam)
    assert staff.get(f"/ops/refunds/{request.public_id}/?decision=approve").status_code == 200
    assert staff.delete(f"/ops/refunds/{request.public_id}/").status_code == 405
    assert staff.post("/ops/refunds/", {"decision": "approve"}).status_code == 405
    assert everything() == before


@pytest.mark.parametrize(("days", "said"), [(0, "are not refunded"), (14, "for 14 days after")])
def test_the_rule_that_pages_state_is_the_one_in_force(
    order: Order, bill: User, settings: Any, client: Client, days: int, said: str
) -> None:
    settings.REFUND_DAYS = days
    for page in (read(client, "/packs/"), read(signed_in(bill), path_of(order))):
        assert said in page
    offered = "Ask for a refund" in read(signed_in(bill), path_of(order))
    assert offered is (days != 0)
    if not days:
        assert "are not refunded" in read(signed_in(bill), path_of(order, "refund"))


def test_staff_play_in_the_sandbox(order: Order, sam: User, ada: User) -> None:
    path = f"/sandbox/payments/{order.provider_session_id}/"
    staff = signed_in(sam)
    assert path in read(staff, f"/ops/orders/{order.public_id}/")
    steps: list[tuple[dict[str, object], str, int]] = [
        ({"action": "refund", "amount_minor": 950}, "partially_reversed", 950),
        ({"action": "dispute"}, "reversed", 9500),
        ({"action": "send_again"}, "reversed", 9500),
        ({"action": "win"}, "partially_reversed", 950),
        ({"action": "refund"}, "reversed", 9500),
    ]
    for said, status, reversed_minor in steps:
        assert staff.post(path, said).status_code == 302
        order.refresh_from_db()
        assert (order.status, order.reversed_minor) == (status, reversed_minor), said
        assert staff.get(path).status_code == 200
    before = everything()
    assert staff.post(path, {"action": "refund"}).status_code == 400
    assert staff.post(path, {"action": "fly"}).status_code == 400
    assert signed_in(ada).post(path, {"action": "dispute"}).status_code == 404
    assert everything() == before


def test_the_back_office_closes_with_the_sandbox(order: Order, sam: User, settings: Any) -> None:
    settings.SANDBOX_PAYMENTS = False
    path = f"/sandbox/payments/{order.provider_session_id}/"
    assert signed_in(sam).get(path).status_code == 404


def test_a_debtor_reads_what_is_open_and_buys_nothing(order: Order, bill: User) -> None:
    spend(order.organisation, 105 * MILLION)
    deliver(SandboxProcessor(), *SandboxProcessor().dispute(order.provider_session_id or ""))
    client = signed_in(bill)

    page = read(client, path_of(order))

    assert "Payment disputed at the bank" in page
    assert "$95.00 are open" in page
