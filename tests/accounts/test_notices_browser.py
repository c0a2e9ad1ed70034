"""The inbox and its choices in a real browser: a phone, both themes, no JavaScript."""

from playwright.sync_api import Browser, Page, expect

from accounts.models import NoticeKind, NoticePreference, Organisation, User
from tests.accounts.test_notices import EVERYTHING, follow, low, tell
from tests.browser import assert_accessible, assert_fits
from tests.server import LiveSite
from tests.visits import sign_in

PHONE = {"width": 360, "height": 780}


def tell_everything(acme: Organisation) -> None:
    for kind in NoticeKind:
        tell(acme, kind=kind, params=EVERYTHING[kind])
    follow(acme, low())
    follow(acme, [])


def test_the_inbox_fits_a_phone_in_both_themes(
    live_site: LiveSite, page: Page, acme: Organisation, ada: User
) -> None:
    tell_everything(acme)
    sign_in(page, live_site, ada.email)
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    page.get_by_role("link", name=f"Notifications, {len(NoticeKind) + 1} unread").click()
    for address in ("", "settings/"):
        page.goto(f"{live_site.url}/o/acme/notifications/{address}")
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme)
            assert_accessible(page)
            assert_fits(page)


def test_reading_and_choosing_need_no_javascript(
    live_site: LiveSite, page: Page, browser: Browser, acme: Organisation, ada: User
) -> None:
    tell(acme)
    tell(acme, "order:2", kind=NoticeKind.ORDER_FAILED)
    sign_in(page, live_site, ada.email)
    expect(page.get_by_role("link", name="Notifications, 2 unread")).to_be_visible()
    plain = browser.new_context(java_script_enabled=False).new_page()
    sign_in(plain, live_site, ada.email)
    plain.goto(f"{live_site.url}/o/acme/notifications/")
    plain.get_by_role("button", name="Mark as read: Team is paid").click()
    expect(plain.get_by_role("link", name="Notifications, 1 unread")).to_be_visible()
    plain.get_by_role("button", name="Mark all as read").click()
    expect(plain.get_by_role("link", name="Notifications", exact=True).first).to_be_visible()
    expect(plain.get_by_role("button", name="Mark all as read")).to_have_count(0)

    plain.get_by_role("link", name="Choose notifications").click()
    assert plain.get_by_label("Few tokens left: in the portal").is_disabled()
    plain.get_by_label("Few tokens left: by e-mail").uncheck()
    plain.get_by_role("button", name="Save choices").click()
    expect(plain.get_by_text("Settings saved.")).to_be_visible()
    choice = NoticePreference.objects.get(kind=NoticeKind.BALANCE_LOW)
    assert (choice.in_portal, choice.by_mail) == (True, False)
    plain.context.close()
    page.reload()
    expect(page.get_by_role("link", name="Notifications", exact=True)).to_be_visible()
