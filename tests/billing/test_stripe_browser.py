"""Buying through Stripe in a real browser: out to a page of another address, and back."""

import json
import urllib.request

import pytest
from playwright.sync_api import Page, expect

from accounts.models import Organisation, User
from marketplace.billing.models import Attempt, Order
from tests.billing.processors import StripeProcessor
from tests.billing.shop import credited_once, make_pack, untouched
from tests.cast import make_organisation, signed_in
from tests.fakes.stripe_server import WEBHOOK_SECRET, FakeStripe
from tests.fakes.stripe_server_api import SECRET_KEY
from tests.server import LiveSite

PAID = "Paid: your tokens are in the wallet"


@pytest.fixture
def settings_of_site(fake_stripe: FakeStripe) -> dict[str, str]:
    fake_stripe.account.pay_page_origin = fake_stripe.url
    return {
        "SANDBOX_PAYMENTS": "false",
        "STRIPE_SECRET_KEY": SECRET_KEY,
        "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
        "STRIPE_API_URL": fake_stripe.url,
        "STRIPE_PAY_PAGE_ORIGIN": fake_stripe.url,
    }


@pytest.fixture
def tenant(live_site: LiveSite, settings_of_site: dict[str, str], page: Page) -> Organisation:
    """Acme with its owner signed in, the standard pack on sale, and Stripe to pay it with."""
    live_site.stop()
    live_site.start(**settings_of_site)
    make_pack()
    acme = make_organisation("Acme Ltd", slug="acme")
    owner: User = acme.memberships.get().user
    cookie = signed_in(owner).cookies["sessionid"]
    page.context.add_cookies(
        [{"name": "sessionid", "value": cookie.value, "url": live_site.url, "httpOnly": True}]
    )
    return acme


def go_to_payment(page: Page, site: LiveSite) -> None:
    page.goto(f"{site.url}/o/acme/buy/?pack=team")
    expect(page.get_by_text("Test mode: no money moves", exact=True)).to_be_visible()
    page.get_by_role("button", name="Pay $95.00").click()
    expect(page.get_by_role("button", name="Pay by card")).to_be_visible()


def send(site: LiveSite, fake: FakeStripe) -> None:
    """What Stripe has to tell, to the running site's own door."""
    for event in fake.account.events:
        body, headers = StripeProcessor(fake).signed(event)
        request = urllib.request.Request(
            f"{site.url}/webhooks/payments/stripe/",
            data=body,
            headers={**headers, "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            assert json.load(answer)["received"] is True


def test_back_before_the_webhook(
    live_site: LiveSite, fake_stripe: FakeStripe, page: Page, tenant: Organisation
) -> None:
    go_to_payment(page, live_site)
    page.get_by_role("link", name="Back to the shop").click()
    expect(page.get_by_role("heading", name="Waiting for the payment")).to_be_visible()
    page.get_by_role("button", name="Pay $95.00").click()
    page.get_by_role("button", name="Use an empty card").click()
    page.get_by_role("button", name="Pay by card").click()
    expect(page.get_by_role("heading", name="Waiting for the payment")).to_be_visible()
    assert untouched(Order.objects.get())
    page.get_by_role("button", name="Check again").click()
    expect(page.get_by_role("heading", name=PAID)).to_be_visible()
    send(live_site, fake_stripe)
    page.reload()
    expect(page.get_by_role("heading", name=PAID)).to_be_visible()
    assert credited_once(Order.objects.get())
    assert Attempt.objects.count() == len(fake_stripe.account.sessions) == 1


def test_the_webhook_turns_the_waiting_page(
    live_site: LiveSite,
    fake_stripe: FakeStripe,
    settings_of_site: dict[str, str],
    page: Page,
    tenant: Organisation,
) -> None:
    live_site.start_worker(beat=False, **settings_of_site)
    go_to_payment(page, live_site)
    page.get_by_role("button", name="Pay by bank").click()
    expect(page.get_by_role("heading", name="The payment is on its way")).to_be_visible(
        timeout=20_000
    )
    [session_id] = fake_stripe.account.sessions
    fake_stripe.account.receive_money(session_id)
    send(live_site, fake_stripe)
    expect(page.get_by_role("heading", name=PAID)).to_be_visible(timeout=20_000)
    assert credited_once(Order.objects.get())


def test_impatience_makes_one_order_and_one_session(
    live_site: LiveSite, fake_stripe: FakeStripe, page: Page, tenant: Organisation
) -> None:
    page.goto(f"{live_site.url}/o/acme/buy/?pack=team")
    page.get_by_role("button", name="Pay $95.00").dblclick()
    expect(page.get_by_role("button", name="Pay by card")).to_be_visible()
    page.go_back()
    page.get_by_role("button", name="Pay $95.00").click()
    page.get_by_role("button", name="Pay by card").dblclick()
    expect(page.get_by_role("heading", name="Waiting for the payment")).to_be_visible()
    page.get_by_role("button", name="Check again").click()
    expect(page.get_by_role("heading", name=PAID)).to_be_visible()
    assert credited_once(Order.objects.get())
    assert Attempt.objects.count() == len(fake_stripe.account.sessions) == 1


def test_a_chinese_buyer_is_sent_to_a_chinese_page(
    live_site: LiveSite, fake_stripe: FakeStripe, page: Page, tenant: Organisation
) -> None:
    User.objects.update(language="zh-hans")
    page.context.add_cookies(
        [{"name": "django_language", "value": "zh-hans", "url": live_site.url}]
    )
    page.goto(f"{live_site.url}/o/acme/buy/?pack=team")
    page.get_by_role("button", name="支付").click()
    expect(page.get_by_role("button", name="Pay by card")).to_be_visible()
    assert page.locator("html").get_attribute("lang") == "zh"
    page.get_by_role("button", name="Pay by card").click()
    assert "/o/acme/orders/" in page.url
    assert page.locator("html").get_attribute("lang") == "zh-hans"
