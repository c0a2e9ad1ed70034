"""How often each page asks the database: few times, and not more often as rows grow."""

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from marketplace.metering import services as metering
from portal.kernel.clock import utc_now
from tests.cast import make_key, make_member, signed_in
from tests.flows.show import Market, make_market
from tests.flows.site_map import SITE_MAP, Caller
from tests.market import make_call

PUBLIC, USUAL, USAGE = 10, 15, 20
USAGE_PAGES = {"web:usage", "partners:earnings"}
# A visit to these changes something: the session keeps a token, a waiting order is looked at.
WRITING_PAGES = {
    "accounts:open_invitation",
    "account_confirm_email",
    "account_reset_password_from_key",
}


def budget_of(name: str) -> int:
    if name in USAGE_PAGES:
        return USAGE
    return PUBLIC if SITE_MAP[name].least is Caller.VISITOR else USUAL


def count_queries(market: Market) -> dict[str, int]:
    """By address; each page is opened once before, so that caches are as warm as they get."""
    counts = {}
    for person, addresses in market.list_visits().items():
        browser = signed_in(User.objects.get(email=person)) if person else Client()
        for name, path in addresses:
            if name in WRITING_PAGES:
                continue
            browser.get(path)
            with CaptureQueriesContext(connection) as queries:
                browser.get(path)
            counts[f"{name} {path}"] = len(queries)
    return counts


def test_pages_ask_few_times_and_no_more_as_rows_grow(sam: User) -> None:
    market = make_market(sam)
    before = count_queries(market)
    over = {
        address: count
        for address, count in before.items()
        if count > budget_of(address.partition(" ")[0])
    }
    assert over == {}

    tenant = market.tenant
    for number in range(4):
        colleague = make_member(tenant.organisation, f"colleague{number}@initech.example")
        secret = make_key(tenant.organisation, created_by=colleague, name=f"Key {number}")[1]
        make_key(tenant.organisation, kind="provider", name=f"Provider key {number}")
        for _call in range(3):
            make_call(secret, tenant.service)
    metering.roll_up_usage(now=utc_now())
    after = count_queries(market)
    grown = {path: (before[path], after[path]) for path in before if after[path] > before[path]}
    assert grown == {}
