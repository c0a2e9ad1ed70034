"""A site whose ledger lacks a guard takes no calls, orders or grants until it is mended."""

import json
import time
import urllib.error
import urllib.request
from typing import Any

import pytest
from django.apps import apps
from django.conf import LazySettings
from django.core.management import call_command
from django.db import OperationalError, connection
from django.test import Client

from accounts.models import Organisation, User
from marketplace.billing.models import Pack
from marketplace.catalog.models import Service
from marketplace.ledger import guards, watch
from marketplace.ledger import services as ledger
from portal.kernel import immutability
from tests.api.client import ApiClient
from tests.billing.shop import make_pack, start_order
from tests.cast import make_key, signed_in
from tests.gateway.market import CHAT, EMBEDDINGS, MESSAGES, Market, build_market
from tests.ledger import cast as books
from tests.partners.cast import make_live_service, make_model, make_provider
from tests.server import LiveSite

CHATTING = {"model": CHAT, "messages": MESSAGES}


def drop_guard() -> None:
    on_table = " ON ledger_entry" if connection.vendor == "postgresql" else ""
    with connection.cursor() as cursor:
        if on_table:  # a table with pending checks cannot be altered
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(f"DROP TRIGGER ledger_entry_no_update{on_table}")


def read_everything() -> dict[str, list[Any]]:
    """Every row of every room. (Sessions are none of a room.)"""
    rooms = ("accounts", "catalog", "ledger", "metering", "billing", "partners")
    return {
        model._meta.label: list(model._default_manager.order_by("pk").values())
        for room in rooms
        for model in apps.get_app_config(room).get_models()
    }


@pytest.fixture(autouse=True)
def _seen_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """What this process's watch saw last is forgotten after each test."""
    monkeypatch.setattr(watch, "_missing", ())


@pytest.fixture
def unguarded(db: None) -> None:
    """As the watch sees it; the trigger comes back with the rollback."""
    drop_guard()
    assert watch.look() == ["ledger_entry_no_update"]


@pytest.fixture
def pack(db: None) -> Pack:
    return make_pack("team")


@pytest.fixture
def service(db: None) -> Service:
    return make_live_service(make_provider("Rhine"), make_model())


def test_ledger_refuses_what_opens_something(db: None) -> None:
    books.grant(1000)
    hold_id = books.hold(500)
    drop_guard()
    watch.look()
    before = read_everything()
    for open_something in (
        lambda: books.place(100),
        lambda: books.grant(100),
        lambda: ledger.post_transaction(
            kind="adjustment",
            unit="live",
            idempotency_scope="test",
            idempotency_key="1",
            moves=[ledger.Move(("promotion", ledger.OPERATOR), ("suspense", "operator"), 1)],
            reason="test",
            now=books.NOW,
        ),
        lambda: ledger.reverse_purchase(reference="order:1", refunded_minor=1, now=books.NOW),
    ):
        with pytest.raises(ledger.LedgerUnguarded) as refused:
            open_something()
        assert refused.value.data["missing"] == ["ledger_entry_no_update"]
        assert read_everything() == before
    # What was begun comes to its end.
    assert books.capture(hold_id, 400).outcome == "captured"
    immutability.install_guards(connection)
    watch.look()
    assert books.place(100).outcome == "held"


def test_pages_refuse_and_read_on(
    acme: Organisation, ada: User, pack: Pack, unguarded: None
) -> None:
    browser = signed_in(ada)
    review = browser.get("/o/acme/buy/", {"pack": pack.slug, "currency": "USD"})
    said = {field.html_name: field.value() or "" for field in review.context["form"]}
    before = read_everything()
    bought = browser.post("/o/acme/buy/", said)
    assert bought.status_code == 503
    assert "what guards the books is not all in place" in bought.content.decode()
    assert read_everything() == before
    for path in ("/o/acme/wallet/", "/o/acme/buy/", "/o/acme/usage/", "/services/"):
        assert browser.get(path).status_code == 200


def test_refusal_that_no_view_expects_is_a_page(acme: Organisation, ada: User, pack: Pack) -> None:
    order = start_order(acme, pack)
    drop_guard()
    watch.look()
    answer = signed_in(ada).post(f"/o/acme/orders/{order.public_id}/pay/")
    assert answer.status_code == 503
    assert "what guards the books is not all in place" in answer.content.decode()


def test_rest_refuses_and_reads_on(
    acme: Organisation, ada: User, pack: Pack, service: Service, unguarded: None
) -> None:
    client = ApiClient(make_key(acme, created_by=ada)[1])
    client.get("/api/v1/wallet")  # notes that the key is used
    before = read_everything()
    for path, body in (
        ("/api/v1/orders", {"pack": pack.slug, "currency": "USD"}),
        ("/api/v1/direct-grants", {"service": service.public_id, "ceiling": "2000"}),
    ):
        answer = client.post(path, body)
        assert answer.status_code == 503, path
        assert answer.json()["code"] == "ledger_unguarded"
        assert answer.json()["missing"] == ["ledger_entry_no_update"]
        assert read_everything() == before
    for path in ("/api/v1/wallet", "/api/v1/entries", "/api/v1/orders", "/api/v1/calls"):
        assert client.get(path).status_code == 200


def test_readiness_says_what_is_missing(client: Client, unguarded: None) -> None:
    answer = client.get("/healthz/ready")
    assert answer.status_code == 503
    assert answer.json()["reasons"] == ["ledger_entry_no_update"]
    assert client.get("/healthz/live").json() == {"status": "live"}


def test_readiness_without_a_database(
    client: Client, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> list[str]:
        raise OperationalError("gone")

    monkeypatch.setattr(guards, "missing_guards", fail)
    answer = client.get("/healthz/ready")
    assert answer.status_code == 503
    assert answer.json()["reasons"] == ["the database does not answer"]


@pytest.fixture
def live_market(live_site: LiveSite, acme: Organisation, settings: LazySettings) -> Market:
    settings.OUTBOUND_ALLOWED_PRIVATE = [live_site.upstream.address]
    return build_market(live_site, acme)


def wait_for(site: LiveSite, status: int) -> Any:
    """What /healthz/ready says once it says it with this status; asking makes the site look."""
    for _attempt in range(100):
        try:
            with urllib.request.urlopen(f"{site.url}/healthz/ready", timeout=10) as answer:
                found, body = answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            found, body = error.code, json.loads(error.read())
        if found == status:
            return body
        time.sleep(0.1)
    raise AssertionError(f"never {status}")


def wait_for_calls(market: Market, status: int) -> Any:
    """The same of the gateway, which only hears of the watch's own looks."""
    for _attempt in range(100):
        found, _headers, body = market.post("/v1/chat/completions", CHATTING)
        if found == status:
            return body
        time.sleep(0.1)
    raise AssertionError(f"never {status}")


def test_running_site_notices_and_recovers_by_itself(
    live_market: Market, live_site: LiveSite
) -> None:
    live_site.kill()
    live_site.start(LEDGER_GUARD_SECONDS="0.2")
    assert live_market.post("/v1/chat/completions", CHATTING)[0] == 200
    drop_guard()
    refusal = wait_for_calls(live_market, 503)
    assert refusal["error"]["code"] == "ledger_unguarded"
    live_site.wait_for_log("ledger_unguarded")
    before = read_everything()
    embedding = {"model": EMBEDDINGS, "input": "x"}
    for path, body in (
        ("/v1/chat/completions", CHATTING),
        ("/v1/chat/completions", {**CHATTING, "stream": True}),
        ("/v1/embeddings", embedding),
    ):
        assert live_market.post(path, body)[0] == 503
    assert read_everything() == before
    assert live_market.get("/v1/models")[0] == 200
    assert live_market.get("/v1/credits")[0] == 200
    assert wait_for(live_site, 503)["reasons"] == ["ledger_entry_no_update"]
    call_command("migrate", verbosity=0)
    wait_for_calls(live_market, 200)
    live_site.wait_for_log("ledger_guarded_again")
    assert wait_for(live_site, 200) == {"status": "ready"}


def test_site_that_starts_unguarded_opens_nothing(live_market: Market, live_site: LiveSite) -> None:
    live_site.kill()
    drop_guard()
    before = read_everything()
    live_site.start(LEDGER_GUARD_SECONDS="3600")
    status, _headers, body = live_market.post("/v1/chat/completions", CHATTING)
    assert (status, body["error"]["code"]) == (503, "ledger_unguarded")
    assert read_everything() == before
    call_command("migrate", verbosity=0)
    wait_for(live_site, 200)  # to ask is to look
    assert live_market.post("/v1/chat/completions", CHATTING)[0] == 200
