"""People in a real browser: joining, keys, colleagues, passkeys; pages fit and are accessible."""

import re

from playwright.sync_api import Browser, Page, expect

from accounts.models import ApiKey, Membership, Organisation, User
from tests.browser import assert_accessible, assert_fits
from tests.cast import PASSWORD
from tests.server import LiveSite
from tests.visits import KEY_TEXT, last_link, sign_in


def test_from_joining_to_a_key_and_its_suspension(live_site: LiveSite, page: Page) -> None:
    page.goto(f"{live_site.url}/join/")
    assert_accessible(page)
    assert_fits(page)
    page.get_by_role("button", name="Create account").click()
    expect(page).to_have_title(re.compile("^Error:"))
    page.get_by_label("Work e-mail").fill("nora@initech.example")
    page.get_by_label("Company", exact=True).fill("Initech")
    page.get_by_label("Password").fill("a long enough one")
    page.get_by_label("I accept the terms").check()
    page.get_by_role("button", name="Create account").click()
    page.goto(last_link(live_site))
    assert page.url.endswith("/verify/confirm/"), "the token has left the address"
    assert_accessible(page)
    page.get_by_role("button", name="Verify this address").click()
    page.wait_for_url(f"{live_site.url}/o/initech/")

    page.get_by_role("link", name="Keys", exact=True).first.click()
    page.get_by_role("link", name="Create key").first.click()
    assert_accessible(page)
    assert_fits(page)
    page.get_by_label("Name").fill("Support bot")
    page.get_by_label("Cap, in tokens").fill("5000")
    page.get_by_role("button", name="Create key").click()
    expect(page.get_by_text("Copy this key now")).to_be_visible()
    assert KEY_TEXT.search(page.content())
    assert_accessible(page)
    assert_fits(page)
    page.reload()
    assert not KEY_TEXT.search(page.content()), "a reload neither shows nor makes a key"
    assert ApiKey.objects.count() == 1

    page.get_by_role("button", name="Suspend key Support bot").click()
    expect(page.get_by_text("Suspended", exact=True)).to_be_visible()
    assert ApiKey.objects.get().suspended_at is not None
    page.get_by_role("link", name="Support bot").click()
    assert_accessible(page)
    assert_fits(page)


def test_a_colleague_is_invited_and_joins(
    live_site: LiveSite, page: Page, browser: Browser, ada: User
) -> None:
    sign_in(page, live_site, ada.email)
    page.goto(f"{live_site.url}/o/acme/team/")
    page.get_by_label("E-mail").fill("lena@acme.example")
    page.get_by_label("Role", exact=True).select_option("billing")
    page.get_by_role("button", name="Send invitation").click()
    expect(page.get_by_role("rowheader", name="lena@acme.example")).to_be_visible()
    assert_accessible(page)
    assert_fits(page)

    context = browser.new_context(java_script_enabled=False)
    lena = context.new_page()
    lena.goto(last_link(live_site))
    assert lena.url.endswith("/invite/")
    lena.get_by_role("link", name="Create account").click()
    lena.get_by_label("Password").fill("a long enough one")
    lena.get_by_label("I accept the terms").check()
    lena.get_by_role("button", name="Create account").click()
    lena.wait_for_url(f"{live_site.url}/o/acme/")
    context.close()
    assert Membership.objects.get(user__email="lena@acme.example").role == "billing"


PAGES = (
    "/o/acme/keys/", "/o/acme/keys/?show=ended", "/o/acme/settings/", "/o/acme/audit/",
    "/o/acme/leave/", "/account/", "/account/organisations/new/", "/terms/",
)  # fmt: skip


def test_pages_are_accessible_and_narrow(
    live_site: LiveSite, page: Page, ada: User, acme: Organisation
) -> None:
    sign_in(page, live_site, ada.email)
    for path in PAGES:
        page.goto(f"{live_site.url}{path}")
        assert page.locator("h1").count() == 1, path
        assert_accessible(page)
        assert_fits(page)


def test_a_passkey_opens_the_door(live_site: LiveSite, page: Page, ada: User) -> None:
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    devtools.send(
        "WebAuthn.addVirtualAuthenticator",
        {
            "options": {
                "protocol": "ctap2",
                "transport": "internal",
                "hasResidentKey": True,
                "hasUserVerification": True,
                "isUserVerified": True,
                "automaticPresenceSimulation": True,
            }
        },
    )
    sign_in(page, live_site, ada.email)
    page.goto(f"{live_site.url}/account/two-factor/webauthn/add/")
    page.get_by_label("Password").fill(PASSWORD)
    page.locator("main form.form button").click()
    page.wait_for_url(re.compile("webauthn/add"))
    page.locator("[name=name]").fill("Laptop")
    page.locator("[name=passwordless]").check()
    page.locator("main form.form button").click()
    page.wait_for_url(re.compile("recovery-codes"))

    page.context.clear_cookies()
    page.goto(f"{live_site.url}/login/")
    page.get_by_role("button", name="Sign in with a passkey").click()
    page.wait_for_url(f"{live_site.url}/o/acme/")
