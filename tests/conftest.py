"""Fixtures of the whole suite: the two ways to a database, quick hashes, empty caches."""

import gc
import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.core.cache import cache
from django.utils import translation
from playwright.sync_api import BrowserContext, Page
from pytest_django.plugin import DjangoDbBlocker

from marketplace.catalog import selectors as catalog
from tests.browser import CHROMIUM, PageWatch, launch_options
from tests.databases import (
    TEMPLATE,
    CommittedDatabase,
    connected_to,
    current_store,
    ensure_template,
)

NO_FLUSH = (
    "Ledger tables refuse DELETE and TRUNCATE, so nothing can be flushed: use the fixture "
    "committed_db (real commits, threads, processes) or live_site (a real server)."
)
pytest_plugins = ["tests.cast"]

_clone_numbers = itertools.count(1)


def pytest_collection_finish() -> None:
    """What is loaded by now stays: looking through it again and again took a tenth of the run."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 50)


class QuickPasswordHasher(PBKDF2PasswordHasher):
    """The stock algorithm with few rounds, so that a real server process can verify it too."""

    iterations = 100


@pytest.fixture(scope="session", autouse=True)
def _static_files_from_servers_alone() -> None:
    """Each test client would list all static files, and pass each request through an event loop and
    a thread of its own, for the middleware is asynchronous. Real servers in child processes, which
    read the settings anew, still serve them."""
    settings.MIDDLEWARE = [one for one in settings.MIDDLEWARE if "servestatic" not in one]


@pytest.fixture(autouse=True)
def _own_language() -> Iterator[None]:
    """A request in Chinese leaves its language to the thread: the next test starts in English."""
    with translation.override("en"):
        yield


@pytest.fixture(scope="session")
def django_db_setup(
    django_test_environment: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[None]:
    """This worker's copy of the migrated template."""
    store = current_store()
    label = os.environ.get("PYTEST_XDIST_WORKER", "main")
    with django_db_blocker.unblock():
        ensure_template(store)
        store.drop(label)
        store.copy(TEMPLATE, label)
    yield
    from django.db import connections

    with django_db_blocker.unblock():
        connections.close_all()
        store.drop(label)


@pytest.fixture
def _django_db_helper(request: pytest.FixtureRequest) -> None:
    """pytest-django's worker behind ``db``: the same rolled-back transaction, but a test that
    also asks for ``committed_db`` gets its clone, and none can ask for a flush."""
    marker = request.node.get_closest_marker("django_db")
    if marker and (marker.args or marker.kwargs):
        pytest.fail(NO_FLUSH)
    if "committed_db" in request.fixturenames:
        request.getfixturevalue("committed_db")
    else:
        request.getfixturevalue("_django_db_helper")


@pytest.fixture
def transactional_db() -> None:
    """pytest-django's way to real commits, which flushes."""
    pytest.fail(NO_FLUSH)


@pytest.fixture
def live_server() -> None:
    """pytest-django's server, which flushes and has no ``/v1`` (it speaks WSGI)."""
    pytest.fail(NO_FLUSH)


@pytest.fixture
def database_template() -> str:
    """What ``committed_db`` is a clone of; a folder whose tests need more in it has its own."""
    return TEMPLATE


@pytest.fixture
def committed_db(
    django_db_setup: None,
    django_db_blocker: DjangoDbBlocker,
    database_template: str,
    tmp_path: Path,
) -> Iterator[CommittedDatabase]:
    """A database of this test's own, where commits are real: for threads, async views, processes.

    The test's own ORM works on it; pass ``committed_db.environment`` to child processes.
    """
    store = current_store()
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    label = f"{worker}_clone{next(_clone_numbers)}"
    var = tmp_path / "var"
    var.mkdir()
    store.copy(database_template, label)
    try:
        with django_db_blocker.unblock(), connected_to(store, label):
            yield CommittedDatabase(name=store.name(label), url=store.url(label), var=var)
    finally:
        store.drop(label)
        shutil.rmtree(var, ignore_errors=True)


@pytest.fixture(autouse=True)
def _quick_passwords(settings: object) -> None:
    settings.PASSWORD_HASHERS = [  # type: ignore[attr-defined]
        "tests.conftest.QuickPasswordHasher",
        "django.contrib.auth.hashers.PBKDF2PasswordHasher",
    ]


@pytest.fixture(autouse=True)
def _empty_cache() -> None:
    """Rate limits and throttles count in the cache, and the catalogue remembers for seconds what
    may be called: no test inherits another's."""
    cache.clear()
    catalog.forget_callable_services()


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    """pytest-playwright's fixture: the system's Chromium, or a skip that says why."""
    if not CHROMIUM.exists():
        pytest.skip(f"no Chromium at {CHROMIUM} (apt-get install chromium)")
    # The driver's event loop makes Django think that the test itself is asynchronous.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    return launch_options()


@pytest.fixture
def page_watch(context: BrowserContext) -> Iterator[PageWatch]:
    """A new page that may not complain; allow here what a journey provokes on purpose."""
    watch = PageWatch(context.new_page())
    yield watch
    watch.assert_quiet()


@pytest.fixture
def page(page_watch: PageWatch) -> Page:
    """In place of pytest-playwright's page: the same, but watched."""
    return page_watch.page
