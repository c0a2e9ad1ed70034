"""Providers, and keys of tenants, for the tests of this room."""

import pytest
from django.test import Client

from accounts.models import Organisation
from marketplace.catalog.models import Provider, Service
from tests.api.client import ApiClient
from tests.api.fixtures import *  # noqa: F403 (fixtures are found by name)
from tests.cast import signed_in
from tests.partners.cast import owner_of
from tests.partners.direct import ask_grant
from tests.partners.fixtures import *  # noqa: F403
from tests.partners.money import give_tokens


@pytest.fixture
def funded(acme: Organisation) -> Organisation:
    """Acme with 10,000 tokens."""
    give_tokens(acme, 10_000)
    return acme


@pytest.fixture
def grant(funded: Organisation, ada_api: ApiClient, rhine_service: Service) -> str:
    """A grant's token of acme for rhine's service, up to 2,000 tokens."""
    response = ask_grant(ada_api, rhine_service)
    assert response.status_code == 201
    return str(response.json()["token"])


@pytest.fixture
def rosa(rhine: Provider) -> Client:
    """Rhine's owner, signed in."""
    return signed_in(owner_of(rhine.organisation))
