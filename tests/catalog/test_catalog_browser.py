"""The shop window in a real browser: with and without JavaScript, for every reader."""

import re

import pytest
from django.core.management import call_command
from playwright.sync_api import Browser, Page, expect

from tests.browser import assert_accessible, assert_fits, save_screenshot
from tests.server import LiveSite

CHAT = "huggingface-smollm2-135m-instruct"
PAGES = (
    "/services/",
    "/services/?q=客服&task=customer_service&sort=cost",
    "/services/?region=atlantis",
    f"/services/{CHAT}-rhein-compute/",
    "/services/qwen-qwen3-235b-a22b-instruct-2507-rhein-compute/",
    "/services/intfloat-multilingual-e5-small-rhein-compute/",
    f"/models/{CHAT}/",
    "/providers/huangpu-cloud/",
)


@pytest.fixture
def market(live_site: LiveSite, settings, tmp_path) -> LiveSite:
    """The running site with the demo's catalogue."""
    settings.VAR_DIR = tmp_path
    call_command("load_demo")
    return live_site


def go_back(page: Page) -> None:
    """Asked of the page itself: the reload that follows would look like a broken navigation."""
    with page.expect_event("load"):
        page.evaluate("history.back()")


def test_everybody_can_read_the_catalogue(market, page: Page):
    for path in PAGES:
        page.goto(market.url + path)
        assert_accessible(page)
        assert_fits(page)
    page.context.add_cookies([{"name": "django_language", "value": "zh-hans", "url": market.url}])
    for path in PAGES[:2]:
        page.goto(market.url + path)
        assert_accessible(page, themes=("dark",))
        assert_fits(page)


def test_filters_and_search_work_while_the_reader_stays_where_they_are(market, page: Page):
    page.goto(f"{market.url}/services/")
    heading = page.locator("#results-title")
    expect(heading).to_have_text(re.compile(r"26\s+services"))

    coding = page.get_by_role("checkbox", name=re.compile("^Programming"))
    coding.focus()
    page.keyboard.press("Space")
    expect(heading).to_have_text(re.compile(r"^\s*8\s+services"))
    expect(page).to_have_url(re.compile(r"/services/\?task=coding$"))
    expect(coding).to_be_checked()
    expect(coding).to_be_focused()
    expect(page.locator("#announcer")).to_have_text(re.compile("8 services"))
    expect(page.get_by_role("link", name="Remove filter: Task: Programming")).to_be_visible()

    page.locator("#q").type("deepseek", delay=20)
    expect(heading).to_have_text(re.compile(r"^\s*3\s+services"))
    expect(page).to_have_url(re.compile(r"\?q=deepseek&task=coding$"))
    expect(page.locator("#q")).to_be_focused()

    page.get_by_role("link", name="Your cost").click()
    expect(page).to_have_url(re.compile(r"\?q=deepseek&task=coding&sort=cost$"))
    expect(heading).to_be_focused()

    page.locator("#calls").fill("1000000")
    page.locator("#calls").blur()
    expect(page).to_have_url(re.compile(r"sort=cost&calls=1000000"))
    expect(page.locator(".offer-price").first).to_contain_text("$328.00")

    # Back restores the views, fields and all.
    go_back(page)
    expect(page).to_have_url(re.compile(r"sort=cost$"))
    expect(page.locator("#calls")).to_have_value("10000")
    go_back(page)
    expect(page).to_have_url(re.compile(r"\?q=deepseek&task=coding$"))
    expect(page.locator("#q")).to_have_value("deepseek")
    go_back(page)
    expect(page).to_have_url(re.compile(r"\?task=coding$"))
    expect(page.get_by_role("checkbox", name=re.compile("^Programming"))).to_be_checked()
    expect(page.locator("#q")).to_have_value("")


def test_two_answers_in_a_row_leave_the_focus_on_the_results(market, page: Page):
    """A number is changed and a link clicked: the second answer comes before the first settled."""
    page.goto(f"{market.url}/services/?q=deepseek")
    page.evaluate("htmx.config.defaultSettleDelay = 300")
    page.locator("#calls").fill("1000000")
    page.get_by_role("link", name="Your cost").click()
    expect(page).to_have_url(re.compile(r"sort=cost&calls=1000000"))
    expect(page.locator("#results-title")).to_be_focused()


def test_a_folded_facet_stays_open_while_its_counts_change(market, page: Page):
    page.goto(f"{market.url}/services/")
    page.locator("summary", has_text="Quantisation").click()
    page.get_by_role("checkbox", name=re.compile("^FP8")).check()
    expect(page.locator("#results-title")).to_have_text(re.compile(r"^\s*10\s+services"))
    expect(page.get_by_role("checkbox", name=re.compile("^BF16"))).to_be_visible()


def test_pages_turn_in_place(market, page: Page):
    page.goto(f"{market.url}/services/?sort=name")
    page.get_by_role("link", name="Next").click()
    expect(page).to_have_url(re.compile(r"\?sort=name&page=2$"))
    expect(page.locator("#results-title")).to_be_focused()
    expect(page.locator(".offer")).to_have_count(2)
    save_screenshot(page, "services")


def test_everything_works_without_javascript(market, browser: Browser, page: Page):
    context = browser.new_context(java_script_enabled=False)
    plain = context.new_page()
    plain.goto(f"{market.url}/services/")
    plain.get_by_role("checkbox", name=re.compile("^Programming")).check()
    plain.locator("#q").fill("deepseek")
    plain.get_by_role("button", name="Search").click()
    expect(plain.locator("#results-title")).to_have_text(re.compile(r"^\s*3\s+services"))
    plain.get_by_role("link", name="Price", exact=True).click()
    expect(plain.locator("#results-title")).to_have_text(re.compile(r"^\s*3\s+services"))
    plain.get_by_role("link", name="Remove filter: Search: deepseek").click()
    expect(plain.locator("#results-title")).to_have_text(re.compile(r"^\s*8\s+services"))
    plain.locator(".offer h3 a").first.click()
    expect(plain.get_by_role("heading", level=1)).to_contain_text(" by ")
    # All code is there, one language below the other.
    expect(plain.locator(".code")).to_have_count(3)
    context.close()


def test_the_cheapest_service_that_fits_is_three_clicks_away(market, page: Page):
    """A provider in Germany that keeps nothing, for the buyer's own work."""
    page.goto(f"{market.url}/services/?modality=chat")
    page.get_by_role("checkbox", name=re.compile("^Central Europe")).check()  # 1
    expect(page.locator("#results-title")).to_have_text(re.compile(r"^\s*3\s+services"))
    page.get_by_role("link", name="Your cost").click()  # 2
    expect(page).to_have_url(re.compile("sort=cost"))
    page.locator(".offer h3 a").first.click()  # 3
    expect(page.get_by_role("heading", level=1)).to_have_text(
        re.compile("SmolLM2 135M Instruct by Rhein Compute")
    )
    save_screenshot(page, "service")
