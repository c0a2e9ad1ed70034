"""Every HTML page of the URL table in Chromium: both languages, both themes, 320 px, its weight."""

from pathlib import Path

import pytest
from django.conf import LazySettings
from django.core.management import call_command
from playwright.sync_api import Browser, Page

from accounts.models import User
from tests.flows.page_checks import Inspector
from tests.flows.show import Market, make_market
from tests.server import LiveSite
from tests.visits import enter

CHART_PAGES = {"web:usage", "partners:earnings"}
# Swagger's own page, with its own headings and colours; api:docs beside it says the same in ours.
FOREIGN_PAGES = {"api:try"}
# One document of many screens.
LONG_PAGES = {"api:docs"}


@pytest.fixture
def market(live_site: LiveSite, sam: User, settings: LazySettings, tmp_path: Path) -> Market:
    """Beside the demo's catalogue, so that lists are as long as they get."""
    settings.VAR_DIR = tmp_path
    call_command("load_demo")
    return make_market(sam)


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_every_page_keeps_the_rules(
    live_site: LiveSite, browser: Browser, page: Page, market: Market, language: str
) -> None:
    visits = market.list_visits()
    assert sum(map(len, visits.values())) > 75
    wrong = []
    for person, addresses in visits.items():
        context = browser.new_context()
        context.add_cookies([{"name": "django_language", "value": language, "url": live_site.url}])
        if person:
            enter(context, live_site, User.objects.get(email=person))
        inspector = Inspector(context, language)
        for name, path in addresses:
            inspector.visit(
                live_site.url + path,
                charts=name in CHART_PAGES,
                long=name in LONG_PAGES,
                foreign=name in FOREIGN_PAGES,
            )
        wrong += inspector.wrong
        context.close()
    assert not wrong, f"{len(wrong)} complaints:\n" + "\n".join(wrong)
