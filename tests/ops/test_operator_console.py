"""Staff read and decide; everybody else finds nothing there."""

import re

import pytest
from django.test import Client

from accounts.models import AuditEvent, User
from marketplace.catalog import services as catalog
from marketplace.catalog.models import AIModel, Provider, ServiceReview, ServiceStatus
from marketplace.reconciliation.models import Run
from portal.kernel.clock import utc_now
from tests.cast import signed_in
from tests.partners.cast import PRICES

pytest_plugins = ["tests.partners.fixtures"]

PAGES = ["/ops/", "/ops/reviews/", "/ops/reconciliation/", "/ops/reconciliation/runs/"]


@pytest.fixture
def submitted(rhine: Provider, qwen: AIModel) -> ServiceReview:
    """A listing of rhine that waits for staff."""
    now = utc_now()
    service = catalog.create_service(
        provider=rhine,
        model=qwen,
        region="eu-central",
        country="DE",
        endpoint_url="https://inference.example.com/v1",
        now=now,
    )
    catalog.add_price_version(service=service, effective_at=now, created_by=None, now=now, **PRICES)
    return catalog.submit_for_review(service=service, submitted_by_label="rosa", now=now)


@pytest.mark.parametrize("address", PAGES)
def test_staff_only(client: Client, ada: User, sam: User, address: str) -> None:
    assert client.get(address).status_code == 302
    assert signed_in(ada).get(address).status_code == 404
    assert signed_in(sam).get(address).status_code == 200


def test_staff_approve_a_listing(sam: User, submitted: ServiceReview) -> None:
    browser = signed_in(sam)
    assert submitted.service.handle in browser.get("/ops/reviews/").content.decode()
    page = f"/ops/reviews/{submitted.public_id}/"
    assert "Central Europe" in browser.get(page).content.decode()
    answer = browser.post(page, {"decision": "approved", "note": ""})
    assert answer["Location"] == "/ops/reviews/"
    submitted.service.refresh_from_db()
    assert submitted.service.status == ServiceStatus.LIVE
    assert AuditEvent.objects.filter(actor_id=sam.public_id, action__contains="approved").exists()


def test_sending_back_needs_words(sam: User, submitted: ServiceReview) -> None:
    page = f"/ops/reviews/{submitted.public_id}/"
    answer = signed_in(sam).post(page, {"decision": "changes_requested", "note": ""})
    assert answer.status_code == 200
    assert "Say what has to change" in answer.content.decode()
    submitted.refresh_from_db()
    assert submitted.decision == ""
    assert submitted.service.status == ServiceStatus.IN_REVIEW


def test_a_decided_review_is_not_decided_again(sam: User, submitted: ServiceReview) -> None:
    page = f"/ops/reviews/{submitted.public_id}/"
    signed_in(sam).post(page, {"decision": "approved"})
    answer = signed_in(sam).post(page, {"decision": "rejected", "note": "Second thoughts"})
    assert "decided already" in answer.content.decode()
    submitted.refresh_from_db()
    assert submitted.decision == "approved"


@pytest.mark.parametrize(
    "path", ["reviews/rev_none", "reconciliation/runs/run_none", "reconciliation/findings/fnd_none"]
)
def test_what_does_not_exist_is_404(sam: User, path: str) -> None:
    assert signed_in(sam).get(f"/ops/{path}/").status_code == 404


def test_runs_are_shown_with_their_equation(sam: User, db: None) -> None:
    run = Run.objects.create(
        trigger="beat",
        started_at=utc_now(),
        finished_at=utc_now(),
        checks=[{"number": 1, "examined": 7, "differences": 0, "milliseconds": 3}],
        equation={
            "live": {
                "opening": "0",
                "purchase": "5000",
                "grant": "0",
                "capture": "-1200",
                "expiry": "0",
                "refund": "0",
                "closing": "3800",
                "held": "0",
                "movements": "3800",
                "gap": "0",
            }
        },
    )
    page = signed_in(sam).get(f"/ops/reconciliation/runs/{run.public_id}/").content.decode()
    assert "5,000" in page
    assert "3,800" in page
    assert "Expiries" not in page  # nothing happened under that
    assert "Reported usage" not in page


def test_a_gap_is_marked_and_what_became_of_usage_is_shown(sam: User, db: None) -> None:
    terms = {"opening": "0", "grant": "5000", "closing": "5007", "held": "0", "gap": "7"}
    run = Run.objects.create(
        trigger="beat",
        started_at=utc_now(),
        finished_at=utc_now(),
        equation={"live": terms},
        intake={"gateway": {"received": 812, "charged": 811, "rejected": 1}},
    )
    page = signed_in(sam).get(f"/ops/reconciliation/runs/{run.public_id}/").content.decode()
    assert "<mark>7</mark>" in page
    assert page.count("<mark>") == 1
    rows = re.findall(r'data-label="(Received|Charged|Rejected)">([^<]*)<', page)
    assert rows == [("Received", "812"), ("Charged", "811"), ("Rejected", "1")]
