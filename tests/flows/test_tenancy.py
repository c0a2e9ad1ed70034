"""Every route of the URL table × everybody who has no business there, in this process."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.apps import apps
from django.conf import LazySettings
from django.test import Client
from django.urls import reverse

from accounts.models import Role, User
from marketplace.gateway.app import _ROUTES as GATEWAY_ROUTES
from marketplace.ledger.models import Transaction, Wallet
from marketplace.ledger.selectors import get_balance
from portal.web import api_urls
from tests.billing.shop import make_pack
from tests.cast import make_key, signed_in
from tests.databases import CommittedDatabase
from tests.fakes.upstream import FakeUpstream
from tests.flows.site_map import SITE_MAP, Caller, Kind, Route, list_routes, list_site_routes
from tests.flows.world import Tenant, make_tenant, read_everything
from tests.gateway.thread_site import ThreadSite
from tests.partners.cast import make_model

RANKS = [Role.MEMBER, Role.BILLING, Role.OWNER]
TENANT_ROUTES = [
    route
    for route in list_site_routes()
    if route.name in SITE_MAP and SITE_MAP[route.name].belongs_to_tenant
]
# What the routes of tests/api are, beside the two tables that it walks.
API_NAMES = {route.name for route in (*api_urls.tenant_routes, *api_urls.provider_routes)}
# A member's keys are nobody else's but the owners'.
OWN_OBJECTS = {"key"}


@pytest.fixture
def initech(db: None) -> Tenant:
    return make_tenant("Initech", pack=make_pack(), model=make_model())


@pytest.fixture
def hooli(initech: Tenant) -> Tenant:
    """A rival in the same market."""
    return make_tenant("Hooli", pack=initech.paid.pack, model=initech.service.model)


def address(route: Route, tenant: Tenant, **others: str) -> str:
    known = {**tenant.arguments(route.name), **others}
    return reverse(route.name, kwargs={name: known[name] for name in route.arguments})


def both_methods(client: Client, path: str) -> Iterator[tuple[str, Any]]:
    """The answers to a look and to a blow."""
    yield f"GET {path}", client.get(path)
    yield f"POST {path}", client.post(path, {"from": "key", "action": "pay", "once": "0" * 32})


def refused_everywhere(
    client: Client, paths: list[str], is_refusal: Callable[[Any], bool]
) -> list[str]:
    """The requests that were answered otherwise; nothing may have changed by any of them.

    405 is said before anybody looks who is asking, so of the two methods one may be that.
    """
    before = read_everything()
    wrong = []
    for path in paths:
        answers = dict(both_methods(client, path))
        known = {what: found for what, found in answers.items() if found.status_code != 405}
        if not known:
            wrong.append(f"{path}: takes neither method")
        wrong += [
            f"{what}: {response.status_code}"
            for what, response in known.items()
            if not is_refusal(response)
        ]
    assert read_everything() == before
    return wrong


def is_missing(response: Any) -> bool:
    return response.status_code == 404


def asks_to_sign_in(response: Any) -> bool:
    return response.status_code == 302 and response["Location"].startswith("/login/")


def test_every_route_is_classified() -> None:
    """Add a route, and this asks who may see it; then the walks go there."""
    names = {route.name for route in list_site_routes()}
    assert "" not in names
    assert names - set(SITE_MAP) == set(), "say in site_map.py who may see these"
    assert set(SITE_MAP) - names == set(), "these routes are gone"


def test_every_rest_route_is_walked_by_the_tests_of_the_api() -> None:
    rest = {
        route.name.removeprefix("api:")
        for route in list_routes()
        if route.pattern.startswith(("api/v1/", "api/provider/v1/"))
    }
    assert rest == API_NAMES


def test_the_tenants_routes_are_those_with_a_tenant_in_their_address() -> None:
    in_address = {
        route.name
        for route in list_site_routes()
        if {"organisation", "provider"} & set(route.arguments) and route.pattern[:2] in {"o/", "p/"}
    }
    assert in_address == {route.name for route in TENANT_ROUTES}
    assert len(in_address) > 45


def test_a_stranger_finds_nothing(initech: Tenant, hooli: Tenant, sam: User) -> None:
    """The owner of another company, and staff, who are no members either."""
    paths = [address(route, initech) for route in TENANT_ROUTES]
    for stranger in (hooli.owner, sam):
        assert refused_everywhere(signed_in(stranger), paths, is_missing) == []


def test_the_unknown_are_asked_to_sign_in(initech: Tenant) -> None:
    paths = [address(route, initech) for route in TENANT_ROUTES]
    assert refused_everywhere(Client(), paths, asks_to_sign_in) == []


def test_anothers_things_are_not_found_under_ones_own_address(
    initech: Tenant, hooli: Tenant
) -> None:
    """/o/hooli/orders/<an order of initech>/ and their like, as hooli's owner."""
    paths = []
    for route in TENANT_ROUTES:
        theirs = initech.arguments(route.name)
        # A month is nobody's own.
        for name in set(route.arguments) - {"organisation", "provider", "month"}:
            paths.append(address(route, hooli, **{name: theirs[name]}))
    assert len(paths) > 20
    assert refused_everywhere(signed_in(hooli.owner), paths, is_missing) == []


@pytest.mark.parametrize("role", RANKS)
def test_each_role_sees_what_it_may_and_no_more(initech: Tenant, role: Role) -> None:
    browser = signed_in(initech.people[role])
    wrong, refused = [], []
    for route in TENANT_ROUTES:
        entry = SITE_MAP[route.name]
        path = address(route, initech)
        if RANKS.index(role) < RANKS.index(entry.least):  # type: ignore[arg-type]
            refused.append(path)
        elif entry.kind is not Kind.ACTION:
            hidden = role == Role.BILLING and OWN_OBJECTS & set(route.arguments)
            # A company that provides already is sent to its provider's pages.
            expected = 404 if hidden else 302 if route.name == "partners:apply" else 200
            response = browser.get(path)
            if response.status_code != expected:
                wrong.append(f"{path}: {response.status_code}, not {expected}")
            if response.status_code == 200 and "no-store" not in response["Cache-Control"]:
                wrong.append(f"{path} may be stored")
    assert wrong == []

    def names_the_role(response: Any) -> bool:
        return response.status_code == 403 and initech.owner.email in response.content.decode()

    assert refused_everywhere(browser, refused, names_the_role) == []


def test_staff_pages_do_not_exist_for_others(initech: Tenant) -> None:
    wallet = Wallet.objects.get(owner_key=initech.organisation.public_id, unit="live")
    kwargs = {
        "review": initech.review.public_id,
        "run": "run_x",
        "batch": "vba_x",
        "finding": "fnd_x",
        "wallet": wallet.pk,
        "transaction": Transaction.objects.get(
            reference=f"call:{initech.call.public_id}"
        ).public_id,
        "call": initech.call.public_id,
        "order": initech.paid.public_id,
        "refund": "rfq_x",
        "fapiao": initech.fapiao.public_id,
        "transfer": "trf_x",
        "payback": "tbk_x",
        "debtor": initech.organisation.public_id,
        "session": initech.paid.provider_session_id,
    }
    paths = [
        reverse(route.name, kwargs={name: kwargs[name] for name in route.arguments})
        for route in list_site_routes()
        if SITE_MAP[route.name].least is Caller.STAFF
    ]
    assert refused_everywhere(signed_in(initech.owner), paths, is_missing) == []
    assert refused_everywhere(Client(), paths, asks_to_sign_in) == []


def test_the_admin_is_closed_to_all_but_staff(initech: Tenant, sam: User) -> None:
    """Every changelist, and every single thing of the two companies that it would show."""
    paths = []
    for model in apps.get_models():
        label = f"{model._meta.app_label}_{model._meta.model_name}"
        if f"admin:{label}_changelist" in {route.name for route in list_routes()}:
            paths.append(reverse(f"admin:{label}_changelist"))
            if first := model._default_manager.first():
                paths.append(reverse(f"admin:{label}_change", args=[first.pk]))
    assert len(paths) > 30
    owner, staff = signed_in(initech.owner), signed_in(sam)
    for path in paths:
        assert Client().get(path).status_code == 302, path
        assert owner.get(path).status_code in {302, 404}, path
        assert staff.get(path).status_code == 200, path


@pytest.fixture
def gateway(
    committed_db: CommittedDatabase, fake_upstream: FakeUpstream, settings: LazySettings
) -> Iterator[ThreadSite]:
    settings.OUTBOUND_ALLOWED_PRIVATE = [fake_upstream.address]
    site = ThreadSite(fake_upstream)
    site.start()
    yield site
    site.stop()


def ask(site: ThreadSite, method: str, path: str, secret: str) -> tuple[int, Any]:
    body = {"model": "qwen/qwen3-8b", "messages": [{"role": "user", "content": "Hi"}], "input": "x"}
    request = urllib.request.Request(
        site.url + path,
        data=json.dumps(body).encode() if method == "POST" else None,
        method=method,
        headers={"Authorization": f"Bearer {secret}"} if secret else {},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def test_the_gateway_serves_each_key_its_own(
    gateway: ThreadSite, initech: Tenant, hooli: Tenant
) -> None:
    """No key, an unknown one, a provider's and an ended one get nowhere, and nothing is written;
    a company's key spends that company's tokens and shows its balance."""
    provider_secret = make_key(hooli.organisation, kind="provider")[1]
    suspended, suspended_secret = make_key(hooli.organisation)
    suspended.suspended_at = suspended.created_at
    suspended.save(update_fields=["suspended_at"])
    routes = [(method, path) for path, (method, _handler) in GATEWAY_ROUTES.items()]
    routes.append(("GET", "/v1/models/qwen/qwen3-8b"))
    before = read_everything()
    for method, path in routes:
        for secret, status in (
            ("", 401),
            ("tw_live_" + "A" * 43, 401),
            (provider_secret, 403),
            (suspended_secret, 403),
        ):
            got, answer = ask(gateway, method, path, secret)
            assert got in {status, 401}, (method, path, got, answer)
            assert answer["error"]["code"]
    assert read_everything() == before

    for tenant in (initech, hooli):
        balance = get_balance(owner_key=tenant.organisation.public_id, unit="live").spendable
        status, credits = ask(gateway, "GET", "/v1/credits", tenant.secret)
        assert status == 200
        assert str(balance // 1000) in json.dumps(credits).replace(",", "")
