"""The organisation's pages that cross rooms: one truth in the header, the home, the wallet, the
usage page, the request list and the CSVs."""

import csv
import io
from datetime import timedelta

import pytest
from django.test import Client

from accounts.models import Organisation, User
from marketplace.catalog.models import Service
from marketplace.ledger.selectors import get_balance
from marketplace.metering import services as metering
from portal.kernel.clock import utc_now
from portal.kernel.quantities import format_tokens_exact
from tests.cast import make_key, signed_in
from tests.market import MILLION_TOKENS, give_tokens, make_call

pytest_plugins = ["tests.partners.fixtures"]


@pytest.fixture
def spending(acme: Organisation, ada: User, mia: User, rhine_service: Service) -> dict[str, str]:
    """acme has a million tokens; ada made two calls and one that failed, mia made one."""
    give_tokens(acme)
    ada_key = make_key(acme, created_by=ada, name="Ada's key")[1]
    mia_key = make_key(acme, created_by=mia, name="Mia's key")[1]
    now = utc_now()
    make_call(ada_key, rhine_service, prompt_tokens=1000, completion_tokens=500, now=now)
    make_call(ada_key, rhine_service, prompt_tokens=10, completion_tokens=5, now=now)
    make_call(ada_key, rhine_service, status="failed", now=now)
    make_call(mia_key, rhine_service, prompt_tokens=100, completion_tokens=50, now=now)
    metering.roll_up_usage(now=utc_now())
    return {"ada": ada_key, "mia": mia_key}


# rhine asks 0.2 tokens for input and 0.8 for output.
ADA_COST = (1000 * 200 + 500 * 800) + (10 * 200 + 5 * 800)
MIA_COST = 100 * 200 + 50 * 800


def test_home_says_what_the_ledger_says(acme: Organisation, ada: User, spending: dict) -> None:
    page = signed_in(ada).get("/o/acme/").content.decode()
    spendable = get_balance(owner_key=acme.public_id, unit="live").spendable
    assert spendable == MILLION_TOKENS - ADA_COST - MIA_COST
    assert page.count(f'title="{format_tokens_exact(spendable)} tokens"') == 2  # header and tile
    assert "1 failed, at no cost" in page
    assert "Not enough usage yet" in page


def test_a_member_sees_their_own_cost_only(mia: User, spending: dict) -> None:
    browser = signed_in(mia)
    assert (
        f'title="{format_tokens_exact(MIA_COST)} tokens"'
        in browser.get("/o/acme/").content.decode()
    )
    usage = browser.get("/o/acme/usage/?group=key").content.decode()
    assert "Mia&#x27;s key" in usage
    assert "Ada&#x27;s key" not in usage
    requests = browser.get("/o/acme/requests/").content.decode()
    assert requests.count("Mia&#x27;s key</td>") == 1
    assert "Ada&#x27;s key" not in requests


def test_a_member_has_no_receipt_of_anothers_call(mia: User, ada: User, spending: dict) -> None:
    call = ada.calls.first()
    assert call is not None
    assert signed_in(ada).get(f"/o/acme/requests/{call.public_id}/").status_code == 200
    assert signed_in(mia).get(f"/o/acme/requests/{call.public_id}/").status_code == 404


def test_usage_requests_and_both_csvs_have_equal_totals(ada: User, spending: dict) -> None:
    browser = signed_in(ada)
    usage = browser.get("/o/acme/usage/")
    assert usage.context["report"].cost_millitokens == ADA_COST + MIA_COST
    assert _sum_of(browser, "/o/acme/usage.csv") == ADA_COST + MIA_COST
    assert _sum_of(browser, "/o/acme/requests.csv") == ADA_COST + MIA_COST
    by_key = browser.get("/o/acme/usage/?group=key").context["report"]
    assert {group.label: group.cost_millitokens for group in by_key.groups} == {
        "Ada's key": ADA_COST,
        "Mia's key": MIA_COST,
    }


def _sum_of(browser: Client, url: str) -> int:
    response = browser.get(url)
    text = response.getvalue().decode("utf-8-sig")
    return sum(round(float(row["cost_tokens"]) * 1000) for row in csv.DictReader(io.StringIO(text)))


def test_a_failed_call_shows_zero_and_the_reason(ada: User, spending: dict) -> None:
    call = ada.calls.get(status="failed")
    page = signed_in(ada).get(f"/o/acme/requests/{call.public_id}/").content.decode()
    assert "nothing was charged" in page
    assert "upstream_failed" in page
    assert "$0.00" in page


def test_a_receipt_shows_its_arithmetic(mia: User, spending: dict) -> None:
    call = mia.calls.get()
    response = signed_in(mia).get(f"/o/acme/requests/{call.public_id}/")
    lines = response.context["lines"]
    assert sum(line.cost_millitokens for line in lines) == call.cost_millitokens == MIA_COST
    assert format_tokens_exact(MIA_COST) in response.content.decode()


@pytest.mark.parametrize(
    "query",
    [
        "?group=nonsense&period=x",
        "?start=2026-13-45",
        "?start=2026-05-02&end=2026-05-01",
        "?page=z",
    ],
)
def test_a_strange_address_is_answered_with_the_default(
    ada: User, spending: dict, query: str
) -> None:
    assert signed_in(ada).get(f"/o/acme/usage/{query}").status_code == 200
    assert signed_in(ada).get(f"/o/acme/requests/{query}").status_code == 200


def test_the_start_page_makes_a_key_once_and_hears_of_the_call(
    acme: Organisation, ada: User, rhine_service: Service
) -> None:
    give_tokens(acme)
    browser = signed_in(ada)
    start = browser.get("/o/acme/start/")
    assert "Waiting for the first call" in start.content.decode()
    once = {"once": start.context["once"]}
    made = browser.post("/o/acme/start/key/", once)
    secret = made.context["secret"]
    assert "no-store" in made["Cache-Control"]
    assert browser.post("/o/acme/start/key/", once).status_code == 302  # a double click
    assert acme.api_keys.count() == 1
    assert made.content.decode().count(secret) >= 2  # to copy, and in the snippets
    assert secret not in browser.get("/o/acme/start/").content.decode()
    make_call(secret, rhine_service)
    fragment = browser.get("/o/acme/start/", headers={"HX-Request": "true"}).content.decode()
    assert "Your first call has arrived" in fragment
    assert "<html" not in fragment


def test_requests_page_by_position(acme: Organisation, ada: User, rhine_service: Service) -> None:
    give_tokens(acme)
    key = make_key(acme, created_by=ada)[1]
    now = utc_now()
    calls = [
        make_call(key, rhine_service, now=now + timedelta(minutes=minute)) for minute in range(60)
    ]
    browser = signed_in(ada)
    first = browser.get("/o/acme/requests/").context["page"]
    assert [call.public_id for call in first.rows] == [c.public_id for c in calls[:9:-1]]
    assert first.newer_url == ""
    second = browser.get(f"/o/acme/requests/{first.older_url}").context["page"]
    assert [call.public_id for call in second.rows] == [c.public_id for c in calls[9::-1]]
    assert second.older_url == ""
    back = browser.get(f"/o/acme/requests/{second.newer_url}").context["page"]
    assert [call.public_id for call in back.rows] == [call.public_id for call in first.rows]


def test_another_tenants_pages_do_not_exist(gus: User, spending: dict) -> None:
    stranger = signed_in(gus)
    for path in ("", "start/", "usage/", "usage.csv", "requests/", "requests.csv", "wallet/"):
        assert stranger.get(f"/o/acme/{path}").status_code == 404
    assert stranger.post("/o/acme/start/key/").status_code == 404


def test_health(client: Client, db: None) -> None:
    assert client.get("/healthz/live").json() == {"status": "live"}
    assert client.get("/healthz/ready").json() == {"status": "ready"}


@pytest.mark.parametrize("topic", ["quickstart", "errors", "tokens", "providers"])
def test_the_docs_are_read_without_signing_in(client: Client, db: None, topic: str) -> None:
    assert client.get("/docs/").status_code == 200
    assert client.get(f"/docs/{topic}/").status_code == 200
    assert client.get("/docs/nothing/").status_code == 404
    assert client.get("/").status_code == 200
