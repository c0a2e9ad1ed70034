"""The README's five pictures: a company with a month behind it, and books that balance."""

from pathlib import Path

import pytest
from django.conf import LazySettings
from django.core.management import call_command
from playwright.sync_api import Page, expect

from accounts.models import Organisation, User
from marketplace.catalog.models import Service
from marketplace.metering.models import Call
from marketplace.reconciliation import services as reconciliation
from portal.kernel.clock import utc_now
from tests.browser import save_readme_image
from tests.flows.history import DAYS, make_history
from tests.server import LiveSite
from tests.visits import enter

VIEW = {"width": 1280, "height": 800}
TALL_VIEW = {"width": 1280, "height": 1100}  # down to the chart's days


@pytest.fixture
def month(live_site: LiveSite, settings: LazySettings, tmp_path: Path) -> Organisation:
    """The demo's company after DAYS days of calls of the services that were live all the time."""
    settings.VAR_DIR = tmp_path
    call_command("load_demo")
    company = Organisation.objects.get(slug="acme-tools")
    now = utc_now()
    services = [
        service
        for service in Service.objects.filter(status="live", test=False).exclude(endpoint_url="")
        if (now - service.price_versions.order_by("effective_at")[0].effective_at).days > DAYS + 1
    ]
    assert len(services) > 3
    people = [membership.user for membership in company.memberships.order_by("pk")]
    assert make_history(company, people, services, now=now) > 100
    return company


def test_the_pictures_show_what_they_say(
    live_site: LiveSite, page: Page, month: Organisation, sam: User
) -> None:
    page.set_viewport_size(VIEW)  # type: ignore[arg-type]
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    page.goto(live_site.url)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    save_readme_image(page, "landing")
    page.goto(f"{live_site.url}/services/")
    expect(page.locator("#results-title")).to_contain_text("services")
    save_readme_image(page, "services")

    owner = month.memberships.get(role="owner").user
    enter(page.context, live_site, owner)
    page.goto(f"{live_site.url}/o/{month.slug}/usage/")
    expect(page.locator("main svg").first).to_be_visible()
    page.set_viewport_size(TALL_VIEW)  # type: ignore[arg-type]
    save_readme_image(page, "usage")
    page.set_viewport_size(VIEW)  # type: ignore[arg-type]
    call = Call.objects.filter(
        organisation=month, status="succeeded", service__model__modality="chat"
    ).latest("started_at")
    page.goto(f"{live_site.url}/o/{month.slug}/requests/{call.public_id}/")
    expect(page.get_by_text(call.service.handle).first).to_be_visible()
    save_readme_image(page, "request")

    run = reconciliation.reconcile_balances(trigger="staff", now=utc_now())
    assert run.difference_count == 0
    page.context.clear_cookies()
    enter(page.context, live_site, sam)
    page.goto(f"{live_site.url}/ops/reconciliation/runs/{run.public_id}/")
    expect(page.locator("main table").last).to_be_visible()
    save_readme_image(page, "reconciliation")
