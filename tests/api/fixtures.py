"""Fixtures: keys of the cast, ready to call the API with."""

import pytest

from accounts.models import Organisation, User
from tests.api.client import ApiClient
from tests.cast import make_key


@pytest.fixture
def ada_api(acme: Organisation, ada: User) -> ApiClient:
    """A key of acme's owner."""
    return ApiClient(make_key(acme, created_by=ada)[1])


@pytest.fixture
def bill_api(acme: Organisation, bill: User) -> ApiClient:
    """A key of acme's billing."""
    return ApiClient(make_key(acme, created_by=bill)[1])


@pytest.fixture
def mia_api(acme: Organisation, mia: User) -> ApiClient:
    """A key of a member of acme."""
    return ApiClient(make_key(acme, created_by=mia)[1])


@pytest.fixture
def gus_api(globex: Organisation, gus: User) -> ApiClient:
    """A key of another tenant's owner."""
    return ApiClient(make_key(globex, created_by=gus)[1])
