"""Pages of packs and orders, and the sandbox's pay page: what they show in each state."""

from datetime import timedelta

import pytest
import time_machine
from django.test import Client
from django.urls import reverse

from accounts.models import Organisation, User
from marketplace.billing import services
from marketplace.billing.models import Document, Order, Pack, SandboxSession
from marketplace.billing.sandbox import delivery, processor
from marketplace.billing.services.packs import find_pack_warnings
from portal.kernel.clock import utc_now
from tests.billing.shop import (
    credited_once,
    make_pack,
    open_order,
    pay,
    start_order,
    untouched,
)
from tests.cast import signed_in

pytestmark = pytest.mark.django_db


def path_of(order: Order, name: str = "order") -> str:
    slug = order.organisation.slug
    return reverse(f"billing:{name}", kwargs={"organisation": slug, "order": order.public_id})


def act(session: SandboxSession, **said):
    """What the buyer's browser posts on the pay page; no sign-in is asked for."""
    return Client().post(f"/sandbox/pay/{session.session_id}/", said)


# --- Packs ------------------------------------------------------------------------------------


def test_visitors_see_prices_expiry_and_refund_rule(team_pack: Pack, client: Client) -> None:
    page = client.get("/packs/").content.decode()
    for said in ("Team", "$95.00", "100M", "5M bonus", "365 days", "refunded until they expire"):
        assert said in page, said
    assert "Join to buy Team" in page


def test_prices_in_another_currency_by_url(team_pack: Pack, client: Client) -> None:
    page = client.get("/packs/", {"currency": "JPY"}).content.decode()
    assert "¥14,500" in page
    assert "$95.00" not in page
    assert "$95.00" in client.get("/packs/", {"currency": "ZZZ"}).content.decode()


def test_an_empty_shelf_says_so(client: Client, db: None) -> None:
    assert "No packs are on sale" in client.get("/packs/").content.decode()


def test_the_number_of_queries_does_not_grow_with_the_shelf(
    team_pack: Pack, client: Client, django_assert_max_num_queries
) -> None:
    for number in range(8):
        make_pack(f"pack{number}")
    with django_assert_max_num_queries(10):
        assert client.get("/packs/").status_code == 200


# --- An order in each state -------------------------------------------------------------------


def test_a_waiting_order_is_safe_to_leave_and_refreshes_itself(
    acme: Organisation, ada: User, team_pack: Pack
) -> None:
    order, _session = open_order(acme, team_pack)
    page = signed_in(ada).get(path_of(order)).content.decode()
    for said in ("safely leave this page", "Pay $95.00", "Check again", "Cancel the order"):
        assert said in page, said
    assert 'http-equiv="refresh"' in page
    assert "hx-trigger" in page


def test_looking_at_an_order_changes_nothing(
    acme: Organisation, ada: User, team_pack: Pack
) -> None:
    order, session = open_order(acme, team_pack)
    pay(session)
    assert signed_in(ada).get(path_of(order)).status_code == 200
    assert untouched(order)


def test_check_again_credits_without_webhook_or_worker(
    acme: Organisation, bill: User, team_pack: Pack
) -> None:
    order, session = open_order(acme, team_pack)
    pay(session)
    browser = signed_in(bill)
    answer = browser.post(path_of(order, "check"), follow=True)
    page = answer.content.decode()
    assert credited_once(order)
    assert "Paid: your tokens are in the wallet" in page
    assert "105M tokens were added for $95.00" in page
    assert 'http-equiv="refresh"' not in page
    assert Document.objects.get(order=order).public_id in page


def test_a_declined_payment_says_that_nothing_was_charged(
    acme: Organisation, ada: User, team_pack: Pack
) -> None:
    order, session = open_order(acme, team_pack)
    assert act(session, action="decline")["Location"].endswith(path_of(order))
    browser = signed_in(ada)
    page = browser.get(path_of(order)).content.decode()
    assert "The payment was declined" in page
    assert "Nothing was charged" in page
    again = browser.post(path_of(order, "pay"))
    second = SandboxSession.objects.latest("id")
    assert second.session_id in again["Location"]
    act(second, action="pay")
    assert credited_once(order)


def test_a_delayed_payment_waits_and_arrives(
    acme: Organisation, ada: User, team_pack: Pack
) -> None:
    with time_machine.travel(utc_now(), tick=False) as clock:
        order, session = open_order(acme, team_pack)
        act(session, action="delay", seconds=30)
        browser = signed_in(ada)
        page = browser.get(path_of(order)).content.decode()
        assert "The payment is on its way" in page
        assert "Cancel the order" not in page
        assert untouched(order)
        clock.shift(30)
        assert delivery.deliver_due_events() == 1
        assert "Paid: your tokens" in browser.get(path_of(order)).content.decode()
    assert credited_once(order)


def test_an_abandoned_payment_can_be_taken_up_again(
    acme: Organisation, ada: User, team_pack: Pack
) -> None:
    order, session = open_order(acme, team_pack)
    assert act(session, action="abandon").status_code == 302
    assert untouched(order)
    assert order.status == "pending"
    again = signed_in(ada).post(path_of(order, "pay"))
    assert session.session_id in again["Location"]
    assert SandboxSession.objects.count() == 1


def test_a_cancelled_order_offers_to_order_again(
    acme: Organisation, ada: User, team_pack: Pack
) -> None:
    order, session = open_order(acme, team_pack, quantity=2)
    browser = signed_in(ada)
    page = browser.post(path_of(order, "cancel"), follow=True).content.decode()
    assert "This order was cancelled" in page
    assert "?pack=team&amp;currency=USD&amp;quantity=2" in page
    session.refresh_from_db()
    assert session.state == "expired"
    assert browser.post(path_of(order, "cancel")).status_code == 409
    assert browser.post(path_of(order, "pay"))["Location"] == path_of(order)


def test_a_refusal_is_told_in_the_readers_language(
    acme: Organisation, ada: User, team_pack: Pack
) -> None:
    order = start_order(acme, team_pack)
    browser = signed_in(ada)
    browser.cookies["django_language"] = "zh-hans"
    assert browser.post(path_of(order, "cancel")).status_code == 302
    again = browser.post(path_of(order, "cancel"))
    assert again.status_code == 409
    assert "此订单已不能付款或取消。" in again.content.decode()


def test_a_mismatch_asks_not_to_pay_again(acme: Organisation, ada: User, team_pack: Pack) -> None:
    order, session = open_order(acme, team_pack)
    SandboxSession.objects.update(amount_minor=1)
    act(session, action="pay")
    page = signed_in(ada).get(path_of(order)).content.decode()
    assert "Please do not pay again" in page
    assert "Pay $95.00" not in page
    assert untouched(order)


def test_expired_and_draft_orders_say_what_was_charged(
    acme: Organisation, ada: User, team_pack: Pack
) -> None:
    draft = start_order(acme, team_pack, key="draft")
    browser = signed_in(ada)
    assert "Nothing was charged" in browser.get(path_of(draft)).content.decode()
    Order.objects.filter(pk=draft.pk).update(status="expired")
    page = browser.get(path_of(draft)).content.decode()
    assert "ran out of time" in page
    assert "Nothing was charged" in page


def test_the_list_shows_only_own_orders(
    acme: Organisation, globex: Organisation, ada: User, gus: User, team_pack: Pack
) -> None:
    browser = signed_in(ada)
    assert "Nothing has been bought yet" in browser.get("/o/acme/orders/").content.decode()
    order, session = open_order(acme, team_pack)
    act(session, action="pay")
    page = browser.get("/o/acme/orders/").content.decode()
    assert path_of(order) in page
    assert Document.objects.get(order=order).public_id in page
    assert order.public_id not in signed_in(gus).get("/o/globex/orders/").content.decode()


def test_the_number_of_queries_does_not_grow_with_the_orders(
    acme: Organisation, ada: User, team_pack: Pack, django_assert_max_num_queries
) -> None:
    for number in range(30):
        start_order(acme, team_pack, key=f"k{number}")
    browser = signed_in(ada)
    with django_assert_max_num_queries(15):
        page = browser.get("/o/acme/orders/")
    assert page.content.decode().count("<tr>") == 1 + 25


# --- The sandbox's pay page -------------------------------------------------------------------


def test_the_pay_page_shows_amount_and_banner_and_asks_for_no_sign_in(
    acme: Organisation, team_pack: Pack
) -> None:
    order, session = open_order(acme, team_pack, currency="JPY")
    page = Client().get(f"/sandbox/pay/{session.session_id}/")
    text = page.content.decode()
    for said in ("Test mode: no money moves", "Pay ¥14,500", "Decline", order.public_id):
        assert said in text, said
    assert "no-store" in page["Cache-Control"]


def test_paying_twice_is_paying_once(acme: Organisation, team_pack: Pack) -> None:
    order, session = open_order(acme, team_pack)
    assert act(session, action="pay")["Location"] == f"http://localhost:8000{path_of(order)}"
    assert act(session, action="pay").status_code == 302
    assert act(session, action="decline").status_code == 302
    assert credited_once(order)
    page = Client().get(f"/sandbox/pay/{session.session_id}/").content.decode()
    assert "This payment is done" in page


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"action": "steal"},
        {"action": "delay", "seconds": ""},
        {"action": "delay", "seconds": "0"},
        {"action": "delay", "seconds": "601"},
        {"action": "delay", "seconds": "soon"},
    ],
)
def test_the_pay_page_refuses_what_it_does_not_know(
    acme: Organisation, team_pack: Pack, said: dict
) -> None:
    order, session = open_order(acme, team_pack)
    answer = act(session, **said)
    assert answer.status_code == 400
    assert "<title>Error:" in answer.content.decode()
    session.refresh_from_db()
    assert session.state == "open"
    assert untouched(order)


def test_an_expired_page_takes_no_payment(acme: Organisation, team_pack: Pack) -> None:
    order, session = open_order(acme, team_pack)
    with time_machine.travel(order.expires_at + timedelta(seconds=1), tick=False):
        page = Client().get(f"/sandbox/pay/{session.session_id}/").content.decode()
        assert "has expired" in page
        act(session, action="pay")
    assert untouched(order)


def test_unknown_sessions_and_switched_off_sandboxes_are_not_there(
    acme: Organisation, team_pack: Pack, settings
) -> None:
    _order, session = open_order(acme, team_pack)
    assert Client().get("/sandbox/pay/sbx_nothing/").status_code == 404
    assert Client().get(f"/sandbox/pay/{session.payment_id}/").status_code == 404
    settings.SERVED_OVER_HTTPS = True
    assert Client().get(f"/sandbox/pay/{session.session_id}/").status_code == 404
    assert act(session, action="pay").status_code == 404
    session.refresh_from_db()
    assert session.payment_state == "unpaid"


def test_the_pay_page_is_protected_against_foreign_forms(
    acme: Organisation, team_pack: Pack
) -> None:
    order, session = open_order(acme, team_pack)
    strict = Client(enforce_csrf_checks=True)
    answer = strict.post(f"/sandbox/pay/{session.session_id}/", {"action": "pay"})
    assert answer.status_code == 403
    assert untouched(order)


def test_where_buying_is_not_set_up_the_review_says_so(
    acme: Organisation, ada: User, team_pack: Pack, settings
) -> None:
    browser = signed_in(ada)
    form = browser.get("/o/acme/buy/", {"pack": "team"}).context["form"].initial
    settings.SANDBOX_PAYMENTS = False
    answer = browser.post("/o/acme/buy/", form)
    assert answer.status_code == 503
    assert "Buying is not set up" in answer.content.decode()
    assert not Order.objects.exists()


# --- Staff ------------------------------------------------------------------------------------


def test_staff_edit_packs_and_are_warned_and_only_look_at_orders(
    acme: Organisation, sam: User, team_pack: Pack
) -> None:
    order, session = open_order(acme, team_pack)
    processor.pay(session_id=session.session_id, now=utc_now())
    services.settle_order(order_public_id=order.public_id, now=utc_now())
    browser = signed_in(sam)
    address = reverse("admin:billing_pack_change", args=[team_pack.pk])
    form = browser.get(address).context["adminform"].form
    data = {name: "" if value is None else value for name, value in form.initial.items()}
    prices = list(team_pack.prices.order_by("pk"))
    data |= {
        "tariff_millitokens": 90_000_000_000,
        "prices-TOTAL_FORMS": len(prices),
        "prices-INITIAL_FORMS": len(prices),
    }
    for number, price in enumerate(prices):
        data |= {
            f"prices-{number}-id": price.pk,
            f"prices-{number}-pack": team_pack.pk,
            f"prices-{number}-currency": price.currency,
            f"prices-{number}-amount_minor": price.amount_minor,
        }
    answer = browser.post(address, {**data, "on_sale": "on"}, follow=True)
    page = answer.content.decode()
    assert answer.status_code == 200
    assert "below the providers" in page
    team_pack.refresh_from_db()
    assert team_pack.tariff_millitokens == 90_000_000_000
    assert find_pack_warnings(pack=team_pack)
    for model in ("order", "attempt", "inboxevent", "document", "sandboxsession"):
        listing = browser.get(reverse(f"admin:billing_{model}_changelist"))
        assert listing.status_code == 200
        assert browser.get(reverse(f"admin:billing_{model}_add")).status_code == 403
    change = reverse("admin:billing_order_change", args=[order.pk])
    assert browser.post(change, {"amount_minor": 1}).status_code == 403
    assert credited_once(order)
