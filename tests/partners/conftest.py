"""Providers for the tests of this room."""

import pytest

from tests.partners.fixtures import *  # noqa: F403 (fixtures are found by name)
