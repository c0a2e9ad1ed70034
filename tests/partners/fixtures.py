"""Fixtures of providers and their keys, for tests of partners and of the whole API."""

import pytest

from marketplace.catalog.models import AIModel, Provider, Service
from tests.api.client import ApiClient
from tests.cast import make_key
from tests.partners.cast import make_live_service, make_model, make_provider


@pytest.fixture
def qwen(db: None) -> AIModel:
    """A chat model."""
    return make_model()


@pytest.fixture
def rhine(db: None) -> Provider:
    """A provider."""
    return make_provider("Rhine")


@pytest.fixture
def rival(db: None) -> Provider:
    """Another provider, a stranger to rhine."""
    return make_provider("Rival")


@pytest.fixture
def rhine_service(rhine: Provider, qwen: AIModel) -> Service:
    """Rhine's live chat service."""
    return make_live_service(rhine, qwen)


@pytest.fixture
def rhine_api(rhine: Provider) -> ApiClient:
    """A provider key of rhine."""
    return ApiClient(make_key(rhine.organisation, kind="provider")[1])


@pytest.fixture
def rival_api(rival: Provider) -> ApiClient:
    """A provider key of rival."""
    return ApiClient(make_key(rival.organisation, kind="provider")[1])
