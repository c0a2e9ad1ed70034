"""The running site and its tools: what every journey stands on."""

import urllib.request

import pytest
from playwright.sync_api import Page

from tests.browser import assert_accessible, assert_fits
from tests.server import LiveSite


def fetch(url: str) -> tuple[int, str]:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.status, answer.read().decode()


def test_site_answers_and_survives_a_kill_at_the_same_address(live_site: LiveSite) -> None:
    assert fetch(f"{live_site.url}/healthz/live")[0] == 200

    live_site.kill()
    live_site.start()

    assert fetch(f"{live_site.url}/healthz/live")[0] == 200


def test_log_has_no_query_string(live_site: LiveSite) -> None:
    fetch(f"{live_site.url}/healthz/live?token=s3cret")

    assert "s3cret" not in live_site.wait_for_log('"path": "/healthz/live"')


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_landing_page_is_quiet_accessible_and_narrow(
    live_site: LiveSite, page: Page, language: str
) -> None:
    page.set_extra_http_headers({"Accept-Language": language})
    page.goto(live_site.url)

    assert page.locator("h1").count() == 1
    assert_accessible(page)
    assert_fits(page)
