"""Orders: one per key, only under the terms that were seen, at the provider only once."""

import json
from typing import Any

import pytest
from django.urls import reverse

from accounts.models import AuditEvent, Organisation, User
from marketplace.billing import services
from marketplace.billing.models import Attempt, Order, Pack, PackPrice, SandboxSession
from marketplace.billing.offers import PackUnavailable, QuantityRejected, make_offer
from marketplace.billing.payment_provider import PaymentsUnavailable
from marketplace.billing.services.checkout import (
    IdempotencyKeyRejected,
    PurchaseReferenceRejected,
)
from portal.kernel.clock import utc_now
from tests.billing.shop import MILLION, make_pack, open_order, pay, start_order, untouched
from tests.cast import signed_in


def buy_page(client, **query) -> dict[str, str]:
    """The review page's hidden fields, as a browser would send them."""
    answer = client.get("/o/acme/buy/", query)
    assert answer.status_code == 200
    return dict(answer.context["form"].initial)


def test_an_order_keeps_what_was_offered(acme: Organisation, ada: User, team_pack: Pack) -> None:
    order = start_order(acme, team_pack, quantity=2, purchase_reference="PO 7")
    Pack.objects.update(paid_millitokens=200 * MILLION, name_en="Renamed")
    PackPrice.objects.update(amount_minor=1)
    order.refresh_from_db()
    assert (order.status, order.livemode, order.provider) == ("draft", False, "sandbox")
    assert (order.amount_minor, order.currency, order.tax_minor) == (19_000, "USD", 0)
    assert order.paid_millitokens == 200 * MILLION
    assert order.tariff_millitokens == 190 * MILLION
    assert (order.pack_name, order.purchase_reference) == ("Team", "PO 7")
    [event] = AuditEvent.objects.filter(action="order.started")
    assert (event.organisation, event.actor_id) == (acme, ada.public_id)
    assert event.target_id == order.public_id


def test_the_same_key_is_the_same_order_even_after_the_pack_has_changed(
    acme: Organisation, team_pack: Pack
) -> None:
    first = start_order(acme, team_pack, key="k")
    Pack.objects.update(on_sale=False)
    assert start_order(acme, team_pack, key="k") == first
    assert Order.objects.count() == 1
    assert AuditEvent.objects.filter(action="order.started").count() == 1


def test_keys_are_each_organisations_own(
    acme: Organisation, globex: Organisation, team_pack: Pack
) -> None:
    assert start_order(acme, team_pack, key="k") != start_order(globex, team_pack, key="k")


@pytest.mark.parametrize(
    "other", [{"quantity": 2}, {"currency": "EUR"}, {"purchase_reference": "other"}]
)
def test_the_same_key_with_other_content_is_a_conflict(
    acme: Organisation, team_pack: Pack, other: dict
) -> None:
    order = start_order(acme, team_pack, key="k")
    with pytest.raises(services.IdempotencyKeyReused):
        start_order(acme, team_pack, key="k", **other)
    with pytest.raises(services.IdempotencyKeyReused):
        start_order(acme, make_pack("other"), key="k")
    assert list(Order.objects.all()) == [order]


def test_an_order_is_made_only_under_the_terms_that_were_seen(
    acme: Organisation, team_pack: Pack
) -> None:
    seen = make_offer(pack=team_pack, currency="USD").terms
    PackPrice.objects.filter(currency="USD").update(amount_minor=9900)
    team_pack.refresh_from_db()
    with pytest.raises(services.OfferChanged):
        start_order(acme, team_pack, terms=seen)
    assert not Order.objects.exists()
    now_seen = make_offer(pack=team_pack, currency="USD").terms
    assert start_order(acme, team_pack, terms=now_seen).amount_minor == 9900


@pytest.mark.parametrize(
    ("wrong", "refusal"),
    [
        ({"key": ""}, IdempotencyKeyRejected),
        ({"key": "x" * 201}, IdempotencyKeyRejected),
        ({"key": "a\x00b"}, IdempotencyKeyRejected),
        ({"purchase_reference": "x" * 81}, PurchaseReferenceRejected),
        ({"purchase_reference": "a\nb"}, PurchaseReferenceRejected),
        ({"currency": "GBP"}, PackUnavailable),
        ({"currency": "usd"}, PackUnavailable),
        ({"quantity": 0}, QuantityRejected),
        ({"quantity": 101}, QuantityRejected),
    ],
)
def test_refusals_leave_nothing_behind(
    acme: Organisation, team_pack: Pack, wrong: dict, refusal: type[Exception]
) -> None:
    with pytest.raises(refusal):
        start_order(acme, team_pack, **wrong)
    assert not Order.objects.exists()
    assert not AuditEvent.objects.filter(action="order.started").exists()


def test_without_a_payment_provider_nothing_is_ordered(
    acme: Organisation, team_pack: Pack, settings
) -> None:
    settings.SANDBOX_PAYMENTS = False
    with pytest.raises(PaymentsUnavailable):
        start_order(acme, team_pack)
    assert not Order.objects.exists()


def test_open_orders_are_limited(acme: Organisation, team_pack: Pack, monkeypatch) -> None:
    monkeypatch.setattr("marketplace.billing.services.checkout.MAX_OPEN_ORDERS", 2)
    orders = [start_order(acme, team_pack, key=f"k{n}") for n in range(2)]
    with pytest.raises(services.TooManyOpenOrders):
        start_order(acme, team_pack, key="k2")
    assert start_order(acme, team_pack, key="k1") == orders[1]
    assert Order.objects.count() == 2


def test_opening_twice_makes_one_session(acme: Organisation, team_pack: Pack) -> None:
    order = start_order(acme, team_pack)
    first = services.open_payment(order=order, now=utc_now())
    assert services.open_payment(order=order, now=utc_now()) == first
    session = SandboxSession.objects.get()
    order.refresh_from_db()
    assert (order.status, order.provider_session_id) == ("pending", session.session_id)
    assert order.provider_payment_id == session.payment_id
    assert (session.amount_minor, session.currency) == (9500, "USD")
    assert session.metadata == {"order": order.public_id, "organisation": acme.public_id}
    attempt = Attempt.objects.get()
    assert attempt.idempotency_key == f"{order.public_id}-1"
    assert attempt.parameters["amount_minor"] == 9500


def test_the_pay_page_is_at_the_sites_address_whatever_the_host(
    bill: User, team_pack: Pack, settings: Any
) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    settings.SITE_URL = "http://market.example"
    client = signed_in(bill)
    form = buy_page(client, pack="team", currency="USD", quantity=2)
    answer = client.post("/o/acme/buy/", form, headers={"host": "evil.example"})
    assert answer["Location"].startswith("http://market.example/sandbox/pay/sbx_")


def test_the_review_sells_what_it_shows_and_sends_to_the_pay_page(
    acme: Organisation, bill: User, team_pack: Pack
) -> None:
    client = signed_in(bill)
    page = client.get("/o/acme/buy/?pack=team&currency=USD&quantity=2")
    text = page.content.decode()
    for said in ("Pay $190.00", "Tax", "$0.00", "365 days", "200M", "10M", "refunded"):
        assert said in text, said
    assert "no-store" in page["Cache-Control"]
    form = buy_page(client, pack="team", currency="USD", quantity=2)
    answer = client.post("/o/acme/buy/", form)
    order = Order.objects.get()
    assert answer.status_code == 302
    assert answer["Location"] == order.attempts.get().pay_url
    assert (order.ordered_by, order.quantity, order.status) == (bill, 2, "pending")


def test_double_click_and_back_button_make_one_order(
    acme: Organisation, ada: User, team_pack: Pack
) -> None:
    client = signed_in(ada)
    form = buy_page(client, pack="team", currency="USD")
    first, second = client.post("/o/acme/buy/", form), client.post("/o/acme/buy/", form)
    assert first["Location"] == second["Location"]
    order = Order.objects.get()
    assert Attempt.objects.count() == 1
    # Back after paying: the same form leads to the paid order, not to a second one.
    pay(SandboxSession.objects.get())
    services.settle_order(order_public_id=order.public_id, now=utc_now())
    back = client.post("/o/acme/buy/", form)
    assert back["Location"] == f"/o/acme/orders/{order.public_id}/"
    assert Order.objects.count() == 1


def test_an_unpaid_order_is_taken_up_again_and_a_paid_one_is_not(
    acme: Organisation, ada: User, bill: User, team_pack: Pack
) -> None:
    """Tenant pages are never cached, so Back asks for the review again."""
    client = signed_in(ada)
    said = {"purchase_reference": "PO 1"}
    client.post("/o/acme/buy/", {**buy_page(client, pack="team", currency="USD"), **said})
    [order] = Order.objects.all()
    again = buy_page(client, pack="team", currency="USD")
    assert (again["key"], again["purchase_reference"]) == (order.idempotency_key, "PO 1")
    client.post("/o/acme/buy/", again)
    assert Order.objects.count() == 1
    # Somebody else, something else, another price: an order of its own.
    for other, query in (
        (signed_in(bill), {"currency": "USD"}),
        (client, {"currency": "EUR"}),
        (client, {"currency": "USD", "quantity": 2}),
    ):
        assert buy_page(other, pack="team", **query)["key"] != order.idempotency_key
    pay(SandboxSession.objects.get())
    services.settle_order(order_public_id=order.public_id, now=utc_now())
    assert buy_page(client, pack="team", currency="USD")["key"] != order.idempotency_key


def test_another_reference_on_the_same_form_is_asked_about(
    acme: Organisation, ada: User, team_pack: Pack
) -> None:
    client = signed_in(ada)
    form = buy_page(client, pack="team", currency="USD")
    client.post("/o/acme/buy/", {**form, "purchase_reference": "PO 1"})
    answer = client.post("/o/acme/buy/", {**form, "purchase_reference": "PO 2"})
    assert answer.status_code == 409
    assert "Nothing new was ordered" in answer.content.decode()
    assert Order.objects.count() == 1
    data = answer.context["form"].data
    assert data["purchase_reference"] == "PO 2"
    client.post("/o/acme/buy/", {name: data[name] for name in form})
    assert sorted(Order.objects.values_list("purchase_reference", flat=True)) == ["PO 1", "PO 2"]


def test_a_price_that_rose_since_the_review_is_shown_before_anything_is_ordered(
    acme: Organisation, ada: User, team_pack: Pack
) -> None:
    client = signed_in(ada)
    form = {**buy_page(client, pack="team", currency="USD"), "purchase_reference": "PO 9"}
    PackPrice.objects.filter(currency="USD").update(amount_minor=9900)
    answer = client.post("/o/acme/buy/", form)
    text = answer.content.decode()
    assert answer.status_code == 409
    assert "Pay $99.00" in text
    assert "changed since you saw" in text
    assert "<title>Error:" in text
    assert 'value="PO 9"' in text
    assert not Order.objects.exists()
    again = {
        name: answer.context["form"].data[name]
        for name in ("pack", "currency", "quantity", "terms", "key", "purchase_reference")
    }
    assert again["key"] != form["key"]
    client.post("/o/acme/buy/", again)
    assert Order.objects.get().amount_minor == 9900


@pytest.mark.parametrize(
    "broken",
    [
        {"quantity": "0"},
        {"quantity": "1e9"},
        {"quantity": ""},
        {"terms": ""},
        {"key": ""},
        {"key": "x" * 65},
        {"purchase_reference": "x" * 81},
        {"currency": "GBP"},
        {"pack": "nothing"},
        {"pack": "'; --"},
    ],
)
def test_a_tampered_form_orders_nothing(
    acme: Organisation, ada: User, team_pack: Pack, broken: dict
) -> None:
    client = signed_in(ada)
    form = {**buy_page(client, pack="team", currency="USD"), **broken}
    assert client.post("/o/acme/buy/", form).status_code in (400, 404, 409)
    assert not Order.objects.exists()


def test_members_are_told_who_can_buy_and_strangers_nothing(
    acme: Organisation, ada: User, mia: User, gus: User, team_pack: Pack, client
) -> None:
    order, _ = open_order(acme, team_pack)
    before = json.dumps(list(Order.objects.values()), default=str)
    form = buy_page(signed_in(ada), pack="team", currency="USD")
    routes = {
        "/o/acme/buy/": form,
        "/o/acme/orders/": None,
        **{
            reverse(f"billing:{name}", kwargs={"organisation": "acme", "order": order.public_id}): (
                None if name in ("order", "receipt") else {}
            )
            for name in ("order", "receipt", "pay", "check", "cancel")
        },
    }
    data: dict | None
    for path, data in routes.items():
        for person, expected in ((mia, 403), (gus, 404)):
            visitor = signed_in(person)
            answer = visitor.get(path) if data is None else visitor.post(path, data)
            assert answer.status_code == expected, (path, person)
        assert client.get(path).status_code in (302, 405)
    refusal = signed_in(mia).get("/o/acme/buy/").content.decode()
    assert "Billing" in refusal
    assert str(ada) in refusal
    assert json.dumps(list(Order.objects.values()), default=str) == before
    assert untouched(order)


def test_another_tenants_order_does_not_exist_here(
    acme: Organisation, globex: Organisation, gus: User, team_pack: Pack
) -> None:
    order, session = open_order(acme, team_pack)
    pay(session)
    services.settle_order(order_public_id=order.public_id, now=utc_now())
    visitor = signed_in(gus)
    for name in ("order", "receipt"):
        path = reverse(
            f"billing:{name}", kwargs={"organisation": "globex", "order": order.public_id}
        )
        assert visitor.get(path).status_code == 404
    for name in ("pay", "check", "cancel"):
        path = reverse(
            f"billing:{name}", kwargs={"organisation": "globex", "order": order.public_id}
        )
        assert visitor.post(path).status_code == 404
