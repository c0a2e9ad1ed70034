"""Schemathesis against the API's own description: nothing undocumented, and never a 5xx.

Inputs are drawn from the OpenAPI document, good ones and bad ones (wrong types, NUL, huge
integers, odd Unicode, missing parts), and sent in process. Half of the ids are real, so that the
inside of each operation is reached too.
"""

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest
import schemathesis
from django.conf import LazySettings
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import CHECKS
from schemathesis.config import GenerationConfig, ProjectConfig, ProjectsConfig, SchemathesisConfig
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation.modes import GenerationMode

from accounts.models import Organisation
from marketplace.catalog.models import Service
from portal.kernel.clock import utc_now
from portal.web.api_schema import get_document
from portal.web.api_urls import provider_routes, tenant_routes
from tests.api.client import ApiClient
from tests.api.test_api_tenancy import METHODS, view_of
from tests.billing.money_back import ask, buy
from tests.billing.processors import SandboxProcessor
from tests.billing.shop import make_pack
from tests.partners.money import give_tokens

# A right shape may still be refused by the domain (a model that does not exist): that such
# answers are documented is checked, not that there are none.
LEFT_OUT = {"positive_data_acceptance"}
# Per operation: drawn good ones, drawn bad ones, and the boundary values of each field.
DRAWN, BOUNDARIES = 6, 24

OPERATIONS = [
    (method, re.sub("<[a-z_]+:([a-z]+)>", r"{\1}", f"/{route.pattern}"))
    for route in [*tenant_routes, *provider_routes]
    for method in METHODS
    if hasattr(view_of(route), method)
]


@pytest.fixture(scope="session")
def api_schema() -> Any:
    """The document, with the application behind it (asked directly: no request before a test)."""
    # Keys are sent by the tests themselves: drawn ones would only ever be refused.
    generation = GenerationConfig(with_security_parameters=False)
    project = ProjectConfig(generation=generation)
    config = SchemathesisConfig(projects=ProjectsConfig(default=project))
    loaded = schemathesis.openapi.from_dict(get_document(), config=config)
    loaded.app = get_wsgi_application()
    return loaded


@pytest.fixture
def market(
    settings: LazySettings,
    acme: Organisation,
    ada_api: ApiClient,
    rhine_api: ApiClient,
    rhine_service: Service,
) -> Iterator[dict[str, Any]]:
    """Keys for both halves of the API, and ids of things that exist."""
    settings.REST_FRAMEWORK = {
        **settings.REST_FRAMEWORK,
        "DEFAULT_THROTTLE_RATES": {"read": "1000000/min", "write": "1000000/min"},
    }
    give_tokens(acme, 100_000)
    order = buy(acme, make_pack("team"), SandboxProcessor())
    refund = ask(order, expected=9500)
    grant = ada_api.post(
        "/api/v1/direct-grants", {"service": rhine_service.public_id, "ceiling": "50000"}
    ).json()["token"]
    held = rhine_api.post("/api/provider/v1/holds", {"grant": grant, "amount": "80"}).json()
    # Requests leave the test's connection open, as those of Django's own test client do.
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield {
        "keys": {"/api/v1/": ada_api.key, "/api/provider/": rhine_api.key},
        "grant": grant,
        "ids": {
            "order": order.public_id,
            "refund": refund.public_id,
            "document": order.documents.get().public_id,
            "month": f"{utc_now():%Y-%m}",
            "call": held["call"],
            "hold": held["id"],
            "service": rhine_service.public_id,
        },
    }
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


def send(case: Any, market: dict[str, Any], *, real: bool) -> None:
    """Send one case and check the answer against the document; ``real``: to what exists."""
    path = case.meta.components.get(ParameterLocation.PATH)
    if real and (path is None or path.mode is GenerationMode.POSITIVE):
        for name in set(market["ids"]) & set(case.path_parameters or {}):
            case.path_parameters[name] = market["ids"][name]
        if isinstance(case.body, dict) and isinstance(case.body.get("grant"), str):
            case.body["grant"] = market["grant"]
    left_out = set(LEFT_OUT)
    if case.path.endswith("/usage-events"):
        left_out.add("negative_data_rejection")  # bad events are answered one by one, under 200
    key = next(key for path, key in market["keys"].items() if case.path.startswith(path))
    case.call_and_validate(
        headers={"Authorization": f"Bearer {key}"},
        excluded_checks=[check for check in CHECKS.get_all() if check.__name__ in left_out],
    )


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_the_api_is_as_described(
    api_schema: Any, market: dict[str, Any], method: str, path: str
) -> None:
    operation = api_schema[path][method.upper()]
    modes = [GenerationMode.POSITIVE]
    if list(operation.iter_parameters()) or operation.body:  # else nothing can be wrong
        modes.append(GenerationMode.NEGATIVE)

    for mode in modes:

        @given(case=operation.as_strategy(generation_mode=mode), real=st.booleans())
        @settings(
            max_examples=DRAWN,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def drawn(case: Any, real: bool) -> None:
            send(case, market, real=real)

        drawn()
    boundaries = api_schema.iter_coverage_cases(
        operation, generation_modes=modes, generation_config=api_schema.config.generation
    )
    for number, case in enumerate(islice(boundaries, BOUNDARIES)):
        send(case, market, real=bool(number % 2))


def test_every_operation_of_the_document_is_walked(api_schema: Any) -> None:
    described = {
        (operation.ok().method.lower(), operation.ok().path)
        for operation in api_schema.get_all_operations()
    }

    rest = {(method, path) for method, path in described if path.startswith("/api/")}
    assert rest == set(OPERATIONS)
