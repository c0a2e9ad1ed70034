"""Every route of the API × every caller who has no business there."""

from collections.abc import Iterator
from typing import Any

import pytest

from accounts.models import Organisation, User
from marketplace.billing.models import Document, Order, Pack, RefundRequest
from marketplace.catalog.models import Service
from marketplace.metering.models import Budget, Call
from portal.kernel.clock import utc_now
from portal.web.api_urls import provider_routes, tenant_routes
from tests.api.client import ApiClient
from tests.billing.money_back import ask, buy
from tests.billing.processors import SandboxProcessor
from tests.billing.shop import make_pack
from tests.cast import make_key
from tests.partners.money import balance_of, give_tokens

METHODS = ("get", "post", "put", "patch")
IDS = {
    "call": "call", "order": "ord", "refund": "rfq", "document": "doc", "service": "svc",
    "hold": "hld", "budget": "bdg",
}  # fmt: skip

# By the names of their routes, everything that a member's key may ask for.
OPEN_TO_MEMBERS = {
    "organisation", "wallet", "calls", "call", "daily_usage", "packs", "direct_grants",
    "budgets", "budget",
}  # fmt: skip
# What is about live tokens, or moves money, and therefore not for test keys.
CLOSED_TO_TEST_KEYS = {
    ("post", "orders"), ("post", "order_pay"), ("post", "order_check"), ("post", "order_cancel"),
    ("get", "refund_quote"), ("post", "order_refunds"), ("post", "refund_withdraw"),
    ("post", "budgets"), ("patch", "budget"), ("post", "budget_archive"),
    ("get", "statements"), ("get", "statement"), ("get", "statement_pdf"), ("get", "statement_csv"),
}  # fmt: skip


def view_of(route: Any) -> Any:
    """The view class behind a route."""
    return route.callback.cls


def addresses(routes: list[Any], ids: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Method and path of everything that a route answers to."""
    for route in routes:
        path = "/" + str(route.pattern)
        for name, public_id in ids.items():
            path = path.replace(f"<public_id:{name}>", public_id)
        path = path.replace("<month:month>", f"{utc_now():%Y-%m}")  # nobody's own
        for method in METHODS:
            if hasattr(view_of(route), method):
                yield method, path


def some_ids() -> dict[str, str]:
    return {name: f"{prefix}_{'0' * 26}" for name, prefix in IDS.items()}


ALL = [*addresses(tenant_routes, some_ids()), *addresses(provider_routes, some_ids())]


def test_the_walk_sees_every_route() -> None:
    assert len(tenant_routes) == 30
    assert len(provider_routes) == 15
    assert len(ALL) == 52
    assert not [path for _method, path in ALL if "<" in path]


@pytest.mark.parametrize(("method", "path"), ALL)
def test_nobody_gets_in_without_a_key(db: None, method: str, path: str) -> None:
    for key in ("", "tw_live_" + "A" * 43, "tw_provider_" + "A" * 43):
        response = ApiClient(key).send(method, path, {})
        assert response.status_code == 401
        assert response["Content-Type"] == "application/problem+json"


def test_keys_of_the_other_kind_or_without_the_right_are_refused(
    acme: Organisation, ada: User, rhine_api: ApiClient
) -> None:
    """A provider key at the tenants' routes, a tenant's at the providers', and narrow ones."""
    inference = ApiClient(make_key(acme, created_by=ada, scopes=["inference"])[1])
    reader = ApiClient(make_key(acme, created_by=ada, scopes=["read"])[1])
    tenant = ApiClient(make_key(acme, created_by=ada)[1])

    for method, path in addresses(tenant_routes, some_ids()):
        for client in (rhine_api, inference):
            assert client.send(method, path, {}).json()["code"] == "scope_missing"
        if method != "get":
            assert reader.send(method, path, {}).status_code == 403
    for method, path in addresses(provider_routes, some_ids()):
        assert tenant.send(method, path, {}).json()["code"] == "scope_missing"


def test_whatever_belongs_to_others_is_404_and_stays_as_it_is(
    acme: Organisation,
    ada_api: ApiClient,
    gus_api: ApiClient,
    rhine_api: ApiClient,
    rival_api: ApiClient,
    rhine_service: Service,
) -> None:
    make_pack("team")
    give_tokens(acme, 1000)
    order = ada_api.post("/api/v1/orders", {"pack": "team", "currency": "USD"}).json()["id"]
    paid = buy(acme, Pack.objects.get(slug="team"), SandboxProcessor())
    refund = ask(paid, expected=9500)
    budget = ada_api.post("/api/v1/budgets", {"period": "day", "max_tokens": "900"}).json()
    grant = ada_api.post(
        "/api/v1/direct-grants", {"service": rhine_service.public_id, "ceiling": "500"}
    ).json()["token"]
    held = rhine_api.post("/api/provider/v1/holds", {"grant": grant, "amount": "80"}).json()
    real = {
        "call": held["call"],
        "order": order,
        "refund": refund.public_id,
        "document": paid.documents.get().public_id,
        "budget": budget["id"],
        "service": rhine_service.public_id,
        "hold": held["id"],
    }
    bodies = {
        "prices": {"prices": {"input": "1", "cached_input": "1"}},
        "extend": {"amount": "1"},
        "capture": {"quantities": {"prompt_tokens": 1}},
        "refunds": {"amount_minor": "9500"},
        budget["id"]: {"max_tokens": "1"},
    }
    kept = (Order, RefundRequest, Document, Service, Call, Budget)
    before = [list(model.objects.values()) for model in kept]

    walked = 0
    for client, routes in ((gus_api, tenant_routes), (rival_api, provider_routes)):
        for method, path in addresses(routes, real):
            if not any(public_id in path for public_id in real.values()):
                continue
            body = bodies.get(path.rsplit("/", 1)[-1], {"region": "us-east", "country": "US"})
            headers = {"Idempotency-Key": f"walk-{walked}"}
            response = client.send(method, path, body, **headers)
            assert (method, path, response.status_code) == (method, path, 404)
            walked += 1

    assert walked == 27
    after = [list(model.objects.values()) for model in kept]
    assert after == before
    assert balance_of(acme) == (1_000_000, 80_000)


def test_what_members_keys_and_test_keys_may_not_is_refused_and_nothing_moves(
    acme: Organisation, ada: User, mia: User
) -> None:
    paid = buy(acme, make_pack("team"), SandboxProcessor())
    refund = ask(paid, expected=9500)
    document = paid.documents.get().public_id
    real = some_ids() | {
        "order": paid.public_id, "refund": refund.public_id, "document": document,
    }  # fmt: skip
    member = ApiClient(make_key(acme, created_by=mia)[1])
    test_key = ApiClient(make_key(acme, created_by=ada, kind="test")[1])
    before = [list(model.objects.values()) for model in (Order, RefundRequest, Document)]
    for_members, for_test_keys = set(), set()
    for route in tenant_routes:
        for number, (method, path) in enumerate(addresses([route], real)):
            headers = {"Idempotency-Key": f"{route.name}-{number}"}
            answers = [client.send(method, path, {}, **headers) for client in (member, test_key)]
            if answers[0].status_code != 403:
                for_members.add(route.name)
            else:
                assert answers[0].json()["code"] == "role_missing"
            if answers[1].status_code == 403:
                assert answers[1].json()["code"] == "test_key"
                for_test_keys.add((method, route.name))
    assert for_members == OPEN_TO_MEMBERS
    assert for_test_keys == CLOSED_TO_TEST_KEYS
    after = [list(model.objects.values()) for model in (Order, RefundRequest, Document)]
    assert after == before
