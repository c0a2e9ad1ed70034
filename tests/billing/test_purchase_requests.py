"""Members ask, owners and billing decide: once, by an order or with a reason."""

import html
import re
from typing import Any

import pytest
from django.test import Client

from accounts.models import AuditEvent, Notice, Organisation, User
from accounts.services import SYSTEM_ACTOR
from marketplace.billing import services
from marketplace.billing.models import Order, Pack, PackPrice, PurchaseRequest
from portal.kernel.clock import utc_now
from tests.billing.purchases import ask_for
from tests.billing.shop import make_pack, start_order
from tests.billing.test_billing_concurrency import at_once
from tests.cast import make_member, make_organisation, signed_in
from tests.databases import CommittedDatabase

HOME = "/o/acme/purchase-requests/"
ASK = f"{HOME}ask/"


def fields_of(page: str) -> dict[str, str]:
    """The hidden fields of a page, first of each name."""
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page)
    return {name: html.unescape(value) for name, value in reversed(found)}


def read(client: Client, path: str, status: int = 200) -> str:
    answer = client.get(path)
    assert answer.status_code == status
    return str(answer.content.decode())


def review(client: Client, asked: PurchaseRequest) -> dict[str, str]:
    """What the review's form would send, as the request's page leads there."""
    page = read(client, f"{HOME}{asked.public_id}/")
    path = re.search(r'href="(/o/acme/buy/[^"]+)"', page)
    assert path is not None
    return fields_of(read(client, html.unescape(path[1]))) | {"purchase_reference": ""}


def told(person: User) -> list[tuple[str, Any]]:
    notices = Notice.objects.filter(person=person, kind__startswith="purchase").order_by("pk")
    return [(notice.kind, notice.params.get("outcome")) for notice in notices]


def audited() -> list[str]:
    events = AuditEvent.objects.filter(action__startswith="purchase.").order_by("pk")
    return list(events.values_list("action", flat=True))


@pytest.fixture
def asked(team_pack: Pack, acme: Organisation, ada: User, bill: User, mia: User) -> PurchaseRequest:
    return ask_for(team_pack, acme, mia)


def test_a_member_asks_on_the_page_of_packs_and_billing_buys(
    team_pack: Pack, acme: Organisation, ada: User, bill: User, mia: User
) -> None:
    member, buyer = signed_in(mia), signed_in(bill)
    shop = read(member, "/packs/")
    assert "Ask for Team" in shop
    assert "Ask for Team" not in read(buyer, "/packs/")
    form = fields_of(read(member, f"{ASK}?pack=team&currency=USD"))
    sent = {**form, "quantity": "3", "note": "For <the> demo"}
    for _click in range(2):
        answer = member.post(ASK, sent)
    request = PurchaseRequest.objects.get()
    assert answer["Location"] == f"{HOME}{request.public_id}/"
    assert (request.quantity, request.amount_minor, request.state) == (3, 28500, "requested")
    assert told(ada) == told(bill) == [("purchase_asked", None)]
    assert told(mia) == []
    assert "mia@acme.example asks for Team × 3" in read(buyer, "/o/acme/notifications/")
    assert "For &lt;the&gt; demo" in read(buyer, f"{HOME}{request.public_id}/")
    assert "Purchase requests (1)" in read(buyer, "/o/acme/orders/")

    assert buyer.post("/o/acme/buy/", review(buyer, request)).status_code == 302
    order = Order.objects.get()
    request.refresh_from_db()
    assert (order.quantity, order.ordered_by, order.amount_minor) == (3, bill, 28500)
    assert (request.state, request.order, request.decided_by) == ("ordered", order, bill)
    assert told(mia) == [("purchase_decided", "ordered")]
    assert "was approved" in read(member, "/o/acme/notifications/")
    assert audited() == ["purchase.requested", "purchase.ordered"]
    assert "mia@acme.example" in read(buyer, f"/o/acme/orders/{order.public_id}/")
    seen = read(member, f"{HOME}{request.public_id}/")
    assert "Waiting for payment" in seen
    assert "/o/acme/orders/" not in seen


def test_a_double_click_and_two_approvers_make_one_order(
    asked: PurchaseRequest, ada: User, bill: User
) -> None:
    first, second = signed_in(bill), signed_in(ada)
    forms = review(first, asked), review(second, asked)
    for _click in range(2):
        assert first.post("/o/acme/buy/", forms[0]).status_code == 302
    late = second.post("/o/acme/buy/", forms[1])
    assert late.status_code == 409
    assert "decided or withdrawn already" in late.content.decode()
    order = Order.objects.get()
    asked.refresh_from_db()
    assert (asked.order, asked.decided_by) == (order, bill)
    assert audited() == ["purchase.requested", "purchase.ordered"]


def test_a_price_that_changed_is_seen_before_anything_is_decided(
    asked: PurchaseRequest, bill: User
) -> None:
    client = signed_in(bill)
    form = review(client, asked)
    PackPrice.objects.filter(pack=asked.pack, currency="USD").update(amount_minor=9900)
    answer = client.post("/o/acme/buy/", form)
    assert answer.status_code == 409
    assert "$198.00" in answer.content.decode()
    asked.refresh_from_db()
    assert asked.waits
    assert not Order.objects.exists()
    assert client.post("/o/acme/buy/", review(client, asked)).status_code == 302
    assert Order.objects.get().amount_minor == 19800


def test_an_order_of_ones_own_is_not_taken_for_the_one_that_approves(
    asked: PurchaseRequest, acme: Organisation, bill: User
) -> None:
    client = signed_in(bill)
    plain = fields_of(read(client, "/o/acme/buy/?pack=team&currency=USD&quantity=2"))
    assert client.post("/o/acme/buy/", plain).status_code == 302
    assert client.post("/o/acme/buy/", review(client, asked)).status_code == 302
    asked.refresh_from_db()
    assert Order.objects.count() == 2
    assert asked.order == Order.objects.last()


def test_declined_with_a_reason_that_who_asked_reads(
    asked: PurchaseRequest, bill: User, mia: User
) -> None:
    client, path = signed_in(bill), f"{HOME}{asked.public_id}/"
    silent = client.post(f"{path}decline/", {"answer": " "})
    assert silent.status_code == 400
    assert "Say why" in silent.content.decode()
    long = client.post(f"{path}decline/", {"answer": "x" * 501})
    assert long.status_code == 400
    asked.refresh_from_db()
    assert asked.waits
    form = review(client, asked)
    assert client.post(f"{path}decline/", {"answer": "Next quarter"}).status_code == 302
    asked.refresh_from_db()
    assert (asked.state, asked.decided_by) == ("declined", bill)
    assert told(mia) == [("purchase_decided", "declined")]
    assert "Next quarter" in read(signed_in(mia), path)
    again = client.post(f"{path}decline/", {"answer": "Never"})
    assert again.status_code == 409
    assert client.post("/o/acme/buy/", form).status_code == 409
    assert signed_in(mia).post(f"{path}withdraw/").status_code == 409
    asked.refresh_from_db()
    assert asked.answer == "Next quarter"
    assert not Order.objects.exists()
    assert audited() == ["purchase.requested", "purchase.declined"]


def test_withdrawn_by_who_asked_and_nobody_else(
    asked: PurchaseRequest, acme: Organisation, ada: User, mia: User
) -> None:
    path = f"{HOME}{asked.public_id}/withdraw/"
    other = signed_in(make_member(acme, "max@acme.example"))
    assert other.post(path).status_code == 404
    assert other.get(f"{HOME}{asked.public_id}/").status_code == 404
    assert asked.public_id not in read(other, HOME)
    assert signed_in(ada).post(path).status_code == 404
    asked.refresh_from_db()
    assert asked.waits
    assert signed_in(mia).post(path).status_code == 302
    asked.refresh_from_db()
    assert (asked.state, asked.decided_by) == ("withdrawn", None)
    assert "Review and approve" not in read(signed_in(ada), f"{HOME}{asked.public_id}/")


def test_another_companys_request_cannot_be_approved(
    asked: PurchaseRequest, globex: Organisation, gus: User
) -> None:
    client = signed_in(gus)
    assert client.get(f"/o/globex/buy/?pack=team&asked={asked.public_id}").status_code == 404
    form = fields_of(read(client, "/o/globex/buy/?pack=team&currency=USD"))
    assert client.post("/o/globex/buy/", {**form, "asked": asked.public_id}).status_code == 404
    asked.refresh_from_db()
    assert asked.waits
    assert not Order.objects.exists()


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"quantity": "0"}, 400),
        ({"quantity": "101"}, 400),
        ({"quantity": "many"}, 400),
        ({"note": "x" * 501}, 400),
        ({"key": ""}, 400),
        ({"pack": "none"}, 404),
        ({"currency": "ZZZ"}, 302),
    ],
)
def test_wrong_input_asks_for_nothing(
    team_pack: Pack, mia: User, wrong: dict[str, str], status: int
) -> None:
    """A currency that it is not sold in is one that it is sold in, as on the review."""
    client = signed_in(mia)
    form = fields_of(read(client, f"{ASK}?pack=team"))
    answer = client.post(ASK, {**form, "quantity": "1", "note": "", **wrong})
    assert answer.status_code == status
    assert PurchaseRequest.objects.count() == (1 if status == 302 else 0)


def test_one_form_is_one_request_and_one_person_has_few_open(
    team_pack: Pack, acme: Organisation, mia: User
) -> None:
    ask_for(team_pack, acme, mia)
    with pytest.raises(services.FormAlreadySent):
        ask_for(team_pack, acme, mia, quantity=3)
    for number in range(2, 11):
        ask_for(team_pack, acme, mia, form_key=f"ask-{number}")
    with pytest.raises(services.TooManyPurchaseRequests):
        ask_for(team_pack, acme, mia, form_key="ask-11")
    assert ask_for(team_pack, acme, mia, form_key="ask-10").form_key == "ask-10"
    assert PurchaseRequest.objects.count() == 10
    assert len(told(acme.memberships.first().user)) == 10  # type: ignore[union-attr]


def test_an_order_that_is_refused_approves_nothing(
    asked: PurchaseRequest, acme: Organisation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("marketplace.billing.services.checkout.MAX_OPEN_ORDERS", 0)
    with pytest.raises(services.TooManyOpenOrders):
        start_order(acme, asked.pack, quantity=2, purchase_request=asked, now=utc_now())
    asked.refresh_from_db()
    assert asked.waits


def test_withdrawing_against_ordering_ends_one_way(committed_db: CommittedDatabase) -> None:
    acme = make_organisation("Acme Ltd", slug="acme")
    pack = make_pack()
    buyer = acme.memberships.get().user
    asked = ask_for(pack, acme, buyer)

    def decide(number: int) -> object:
        if number % 2:
            services.withdraw_purchase(request=asked, actor=SYSTEM_ACTOR, now=utc_now())
            return None
        return start_order(acme, pack, key=f"form-{number}", quantity=2, purchase_request=asked)

    answers = at_once(6, decide)

    assert sum(isinstance(answer, services.PurchaseDecided) for answer in answers) == 5
    asked.refresh_from_db()
    assert Order.objects.count() == (1 if asked.state == "ordered" else 0)


@pytest.mark.parametrize("other", [{"quantity": 3}, {"currency": "EUR"}, {"note": "Or not"}])
def test_a_form_that_was_sent_asks_for_nothing_else(
    asked: PurchaseRequest, acme: Organisation, mia: User, other: dict[str, Any]
) -> None:
    with pytest.raises(services.FormAlreadySent):
        ask_for(asked.pack, acme, mia, **other)
    assert PurchaseRequest.objects.get() == asked


def test_the_page_says_so_and_its_next_form_is_a_new_one(asked: PurchaseRequest, mia: User) -> None:
    client = signed_in(mia)
    form = fields_of(read(client, f"{ASK}?pack=team"))
    sent = {**form, "key": asked.form_key, "quantity": "5", "note": ""}
    answer = client.post(ASK, sent)
    assert answer.status_code == 409
    page = answer.content.decode()
    assert "Another request was already made from this form" in page
    assert PurchaseRequest.objects.get() == asked
    assert client.post(ASK, {**sent, "key": fields_of(page)["key"]}).status_code == 302
    assert PurchaseRequest.objects.count() == 2


def test_the_key_of_another_order_approves_nothing(
    asked: PurchaseRequest, acme: Organisation
) -> None:
    start_order(acme, asked.pack, quantity=2)
    with pytest.raises(services.IdempotencyKeyReused):
        start_order(acme, asked.pack, quantity=2, purchase_request=asked)
    asked.refresh_from_db()
    assert asked.waits
    assert Order.objects.count() == 1


def test_nobody_is_declined_without_a_word(asked: PurchaseRequest, bill: User) -> None:
    with pytest.raises(ValueError, match="told why"):
        services.decline_purchase(
            request=asked, user=bill, answer="", actor=SYSTEM_ACTOR, now=utc_now()
        )
    asked.refresh_from_db()
    assert asked.waits


def test_a_member_declines_nothing(asked: PurchaseRequest, mia: User) -> None:
    path = f"{HOME}{asked.public_id}/decline/"
    assert signed_in(mia).post(path, {"answer": "No"}).status_code == 403
    asked.refresh_from_db()
    assert asked.waits
