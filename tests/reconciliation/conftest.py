"""Where the tests of this room find the busy book."""

import os
import time

import pytest
from pytest_django import DjangoDbBlocker

from tests.databases import TEMPLATE, connected_to, current_store
from tests.reconciliation.fixtures import keep_busy_book

# A book of this age is built anew: what it holds would soon expire.
FRESH_SECONDS = 120.0

_built_at: dict[str, float] = {}


@pytest.fixture
def database_template(
    request: pytest.FixtureRequest, django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> str:
    """For tests of the busy book a database that has it: building it takes longer than they do."""
    if "busy" not in request.fixturenames:
        return TEMPLATE
    store = current_store()
    label = f"{os.environ.get('PYTEST_XDIST_WORKER', 'main')}_busy"
    if time.monotonic() - _built_at.get(label, -FRESH_SECONDS) >= FRESH_SECONDS:
        store.drop(label)
        store.copy(TEMPLATE, label)
        with django_db_blocker.unblock(), connected_to(store, label):
            keep_busy_book()
        _built_at[label] = time.monotonic()
    return label
