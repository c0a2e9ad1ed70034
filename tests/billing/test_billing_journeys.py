"""Buying in a real browser: with and without JavaScript, impatiently, and on paper."""

import re

import pytest
from playwright.sync_api import Page, expect

from accounts.models import Organisation, User
from marketplace.billing.models import Attempt, Order, SandboxSession
from tests.billing.shop import balance_of, credited_once, make_pack
from tests.browser import assert_accessible, assert_fits
from tests.cast import make_organisation, signed_in
from tests.server import LiveSite


@pytest.fixture
def tenant(live_site: LiveSite, page: Page) -> Organisation:
    """Acme with its owner signed in, and the standard pack on sale."""
    make_pack()
    acme = make_organisation("Acme Ltd", slug="acme")
    owner: User = acme.memberships.get().user
    cookie = signed_in(owner).cookies["sessionid"]
    page.context.add_cookies(
        [{"name": "sessionid", "value": cookie.value, "url": live_site.url, "httpOnly": True}]
    )
    return acme


def go_to_payment(page: Page, site: LiveSite) -> None:
    """Three clicks from anywhere: buy, choose, pay."""
    page.goto(f"{site.url}/o/acme/buy/")
    page.get_by_role("main").get_by_role("link", name="Team", exact=True).click()
    page.get_by_role("button", name="Pay $95.00").click()
    expect(page.get_by_text("Nothing you do here moves money")).to_be_visible()


def test_buying_with_every_page_checked(
    live_site: LiveSite, page: Page, tenant: Organisation
) -> None:
    def check() -> None:
        assert_accessible(page)
        assert_fits(page)
        expect(page.get_by_text("Test mode: no money moves", exact=True)).to_be_visible()

    page.goto(f"{live_site.url}/packs/")
    check()
    page.get_by_role("link", name="Buy Team").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Review: Team")
    check()
    page.goto(f"{live_site.url}/o/acme/buy/")
    check()
    go_to_payment(page, live_site)
    check()
    page.get_by_role("button", name="Leave without paying").click()
    expect(page.get_by_role("heading", name="Waiting for the payment")).to_be_visible()
    check()
    page.get_by_role("button", name="Pay $95.00").click()
    page.get_by_role("button", name="Decline the payment").click()
    expect(page.get_by_role("heading", name="The payment was declined")).to_be_visible()
    expect(page.get_by_text("Nothing was charged")).to_be_visible()
    check()
    page.get_by_role("button", name="Try again to pay $95.00").click()
    page.get_by_role("button", name="Pay $95.00").click()
    expect(page.get_by_role("heading", name="Paid: your tokens are in the wallet")).to_be_visible()
    check()
    order = Order.objects.get()
    assert credited_once(order)
    assert balance_of(tenant) == order.total_millitokens
    page.get_by_role("link", name="See the invoice").click()
    check()
    page.goto(f"{live_site.url}/o/acme/orders/")
    check()


def test_the_waiting_page_finds_a_late_payment_by_itself(
    live_site: LiveSite, page: Page, tenant: Organisation
) -> None:
    """The buyer is back before the money, and no webhook comes: the worker looks for itself."""
    live_site.start_worker()
    go_to_payment(page, live_site)
    page.get_by_label("Seconds until the payment succeeds").fill("3")
    page.get_by_role("button", name="Succeed later").click()
    expect(page.get_by_role("heading", name="The payment is on its way")).to_be_visible()
    heading = page.get_by_role("heading", name="Paid: your tokens are in the wallet")
    expect(heading).to_be_visible(timeout=20_000)
    expect(heading).to_be_focused()
    assert credited_once(Order.objects.get())


def test_impatience_makes_one_order_and_one_payment(
    live_site: LiveSite, page: Page, tenant: Organisation
) -> None:
    page.goto(f"{live_site.url}/o/acme/buy/?pack=team")
    page.get_by_role("button", name="Pay $95.00").dblclick()
    expect(page.get_by_text("Nothing you do here moves money")).to_be_visible()
    page.go_back()
    page.get_by_role("button", name="Pay $95.00").click()
    expect(page.get_by_text("Nothing you do here moves money")).to_be_visible()
    assert Order.objects.count() == Attempt.objects.count() == SandboxSession.objects.count() == 1
    # The same pay page in two tabs; the second comes too late.
    other = page.context.new_page()
    other.goto(page.url)
    page.get_by_role("button", name="Pay $95.00").dblclick()
    expect(page.get_by_role("heading", name="Paid: your tokens are in the wallet")).to_be_visible()
    other.get_by_role("button", name="Decline the payment").click()
    expect(other.get_by_role("heading", name="Paid: your tokens are in the wallet")).to_be_visible()
    # Back to the review and once more: the paid order again, not a second one.
    page.goto(f"{live_site.url}/o/acme/orders/")
    assert Order.objects.count() == 1
    assert credited_once(Order.objects.get())


@pytest.mark.browser_context_args(java_script_enabled=False)
def test_buying_without_javascript(live_site: LiveSite, page: Page, tenant: Organisation) -> None:
    live_site.start_worker()
    page.goto(f"{live_site.url}/packs/?currency=JPY")
    expect(page.get_by_text("¥14,500").first).to_be_visible()
    go_to_payment(page, live_site)
    page.get_by_label("Seconds until the payment succeeds").fill("2")
    page.get_by_role("button", name="Succeed later").click()
    expect(page.get_by_role("heading", name="The payment is on its way")).to_be_visible()
    # The page asks again by itself (meta refresh).
    expect(page.get_by_role("heading", name="Paid: your tokens are in the wallet")).to_be_visible(
        timeout=30_000
    )
    page.get_by_role("link", name="See the invoice").click()
    expect(page.get_by_text("This is not a tax document")).to_be_visible()
    assert credited_once(Order.objects.get())


def test_the_invoice_prints_on_one_page(
    live_site: LiveSite, page: Page, tenant: Organisation
) -> None:
    Organisation.objects.update(
        legal_name="Acme Gesellschaft für Werkzeuge und Maschinen mbH & Co. KG", tax_id="DE123"
    )
    go_to_payment(page, live_site)
    page.get_by_role("button", name="Pay $95.00").click()
    page.get_by_role("link", name="See the invoice").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(
        re.compile(r"Invoice TEST-\d{4}-000001")
    )
    paper = page.pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page\b", paper)) == 1
    assert re.search(rb"/MediaBox\s*\[0 0 59[45]\S* 84[12]", paper), "A4"
