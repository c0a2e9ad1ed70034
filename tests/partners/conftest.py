"""Providers, and keys of tenants, for the tests of this room."""

from tests.api.fixtures import *  # noqa: F403 (fixtures are found by name)
from tests.partners.fixtures import *  # noqa: F403
