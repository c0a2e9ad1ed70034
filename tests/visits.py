"""What people do in a browser again and again: sign in, follow a mail, read their new key."""

import email
import re
import time

from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from playwright.sync_api import BrowserContext, Page, expect

from accounts.models import User
from tests.cast import PASSWORD, signed_in
from tests.server import LiveSite

KEY_TEXT = re.compile(r"tw_live_[0-9A-Za-z]{43}")
TOTP_SECONDS = 30


def sign_in(page: Page, site: LiveSite, address: str, *, totp_secret: str = "") -> None:
    """By the form, with the code of the second factor where there is one."""
    page.goto(f"{site.url}/login/")
    page.get_by_label("E-mail").fill(address)
    page.get_by_label("Password").fill(PASSWORD)
    page.locator("main").get_by_role("button", name="Sign in", exact=True).click()
    if totp_secret:
        page.wait_for_url(re.compile("two-factor/authenticate"))
        page.get_by_label("Code").first.fill(make_code(totp_secret))
        page.locator("main form button").first.click()
    page.wait_for_url(re.compile(r"/(o|ops)/"))


def enter(context: BrowserContext, site: LiveSite, person: User) -> None:
    """Signed in just now, without the form."""
    cookie = signed_in(person).cookies["sessionid"]
    context.add_cookies(
        [{"name": "sessionid", "value": cookie.value, "url": site.url, "httpOnly": True}]
    )


def make_code(secret: str) -> str:
    """What an authenticator app shows now."""
    return format_hotp_value(hotp_value(secret, int(time.time()) // TOTP_SECONDS))


def last_link(site: LiveSite) -> str:
    """What the newest mail asks its reader to open."""
    message = email.message_from_bytes(site.list_mails()[-1].read_bytes())
    body = message.get_payload(decode=True)
    assert isinstance(body, bytes)
    found = re.search(r"https?://\S+", body.decode())
    assert found
    return found[0]


def read_new_key(page: Page) -> str:
    """From the page that shows it this once."""
    secret = page.locator(".secret")
    expect(secret).to_contain_text("Copy this key now")
    found = KEY_TEXT.search(secret.inner_text())
    assert found
    return found[0]
