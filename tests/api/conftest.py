"""Keys of tenants and providers for the tests of the API."""

from tests.api.fixtures import *  # noqa: F403 (fixtures are found by name)
from tests.partners.fixtures import *  # noqa: F403
