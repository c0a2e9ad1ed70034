"""Pages in Chinese: nothing that has a translation is shown in English."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.test import Client
from django.utils import translation

from accounts import services as accounts
from accounts.models import Organisation, User
from marketplace.catalog import services as catalog
from marketplace.catalog.models import Provider, Service, ServiceReview
from marketplace.metering import services as metering
from marketplace.reconciliation import services as reconciliation
from portal.kernel.clock import utc_now
from tests.cast import make_key, signed_in
from tests.market import give_tokens, make_call
from tests.untranslated import find_english

pytest_plugins = ["tests.partners.fixtures"]

VISITOR = [
    "/", "/services/", "/packs/", "/terms/", "/docs/", "/docs/quickstart/", "/docs/errors/",
    "/docs/tokens/", "/docs/providers/", "/join/", "/login/", "/reset/", "/no/such/page/",
]  # fmt: skip
TENANT = [
    "", "start/", "keys/", "keys/new/", "usage/", "requests/", "wallet/", "buy/", "orders/",
    "team/", "settings/", "audit/",
]  # fmt: skip
PERSON = ["/account/", "/account/email/", "/account/password/", "/account/sessions/"]
PROVIDER = ["", "services/", "services/new/", "earnings/", "integration/"]
STAFF = ["/ops/", "/ops/reviews/", "/ops/reconciliation/", "/ops/reconciliation/runs/"]


def read(browser: Client, address: str, *, status: int = 200) -> str:
    """The page in Chinese; fails when something of it stayed English."""
    browser.cookies[settings.LANGUAGE_COOKIE_NAME] = "zh-hans"
    answer = browser.get(address)
    page = answer.content.decode()
    assert answer.status_code == status, address
    assert 'lang="zh-hans"' in page, address
    assert find_english(page) == [], address
    return page


def test_what_stayed_english_is_found() -> None:
    page = '<p>Buy tokens</p><img alt="Wallet"><code>Keys</code><b lang="en">Team</b><i>Rhine</i>'
    assert find_english(page) == ["Buy tokens", "Wallet"]


@pytest.mark.parametrize("address", VISITOR)
def test_visitors(client: Client, rhine_service: Service, address: str) -> None:
    read(client, address, status=404 if "such" in address else 200)


def test_a_service_its_model_and_its_provider(client: Client, rhine_service: Service) -> None:
    read(client, f"/services/{rhine_service.slug}/")
    read(client, f"/models/{rhine_service.model.slug}/")
    read(client, f"/providers/{rhine_service.provider.slug}/")


def test_tenants(acme: Organisation, ada: User, rhine_service: Service) -> None:
    give_tokens(acme)
    key = make_key(acme, created_by=ada, name="Ada's key")[1]
    call = make_call(key, rhine_service, prompt_tokens=100, completion_tokens=10, now=utc_now())
    make_call(key, rhine_service, status="failed", now=utc_now())
    metering.roll_up_usage(now=utc_now())
    browser = signed_in(ada)
    for page in TENANT:
        read(browser, f"/o/acme/{page}")
    read(browser, f"/o/acme/requests/{call.public_id}/")
    read(browser, f"/o/acme/keys/{acme.api_keys.get().public_id}/")
    for address in PERSON:
        read(browser, address)


def test_providers(rhine: Provider, rhine_service: Service) -> None:
    owner = rhine.organisation.memberships.get().user
    browser = signed_in(owner)
    for page in PROVIDER:
        read(browser, f"/p/{rhine.slug}/{page}")
    for page in ("", "edit/", "prices/", "retire/"):
        read(browser, f"/p/{rhine.slug}/services/{rhine_service.public_id}/{page}")
    read(browser, f"/o/{rhine.organisation.slug}/audit/")


def test_staff(sam: User, rhine_service: Service) -> None:
    now = utc_now()
    review: ServiceReview | None = catalog.update_service(
        service=rhine_service,
        changes={"retains_prompts_days": 30, "trains_on_data": True},
        submitted_by_label="rosa",
        now=now,
    )
    assert review is not None
    run = reconciliation.reconcile_balances(trigger="staff", now=now + timedelta(seconds=1))
    browser = signed_in(sam)
    for address in [*STAFF, f"/ops/reviews/{review.public_id}/"]:
        read(browser, address)
    assert "运营人员" in read(browser, "/ops/reconciliation/runs/")
    read(browser, f"/ops/reconciliation/runs/{run.public_id}/")


def test_the_audit_log_says_codes_in_words(acme: Organisation, ada: User) -> None:
    accounts.record_audit(
        organisation=acme,
        actor=accounts.SYSTEM_ACTOR,
        action="order.paid",
        target_id="ord_1",
        target_label="小包",
        before={"status": "pending"},
        after={"status": "paid", "scopes": ["inference", "read"], "kind": "live"},
        now=utc_now(),
    )
    page = read(signed_in(ada), "/o/acme/audit/")
    for words in ("系统", "订单已付款", "待付款 → 已付款", "调用模型", "正式"):
        assert words in page
    for code in ("pending", "inference", ">system<"):
        assert code not in page


def test_every_language_of_the_portal_has_its_catalogue() -> None:
    for code, _name in settings.LANGUAGES[1:]:
        with translation.override(code):
            assert translation.gettext("Buy tokens") != "Buy tokens"
