from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import LazySettings

from accounts.models import Organisation
from tests.databases import CommittedDatabase
from tests.fakes.upstream import FakeUpstream
from tests.gateway.market import Market, build_market
from tests.gateway.thread_site import ThreadSite
from tests.redis_server import running_redis
from tests.server import LiveSite


@pytest.fixture
def live_market(live_site: LiveSite, acme: Organisation, settings: LazySettings) -> Market:
    """acme can call two services of a fake provider at a site in a process of its own."""
    settings.OUTBOUND_ALLOWED_PRIVATE = [live_site.upstream.address]
    return build_market(live_site, acme)


@pytest.fixture
def thread_site(
    committed_db: CommittedDatabase, fake_upstream: FakeUpstream, settings: LazySettings
) -> Iterator[ThreadSite]:
    """A gateway that is not started yet, so that a test can change settings first."""
    settings.OUTBOUND_ALLOWED_PRIVATE = [fake_upstream.address]
    site = ThreadSite(fake_upstream)
    yield site
    if site.started:
        site.stop()


@pytest.fixture
def market(thread_site: ThreadSite, acme: Organisation) -> Market:
    """acme can call two services of a fake provider at a gateway in a thread."""
    market = build_market(thread_site, acme)
    thread_site.start()
    return market


@pytest.fixture
def impatient(settings: Any) -> None:
    """Before the gateway starts: it reads these once."""
    settings.UPSTREAM_FIRST_BYTE_SECONDS = 0.4
    settings.UPSTREAM_IDLE_SECONDS = 0.4
    settings.UPSTREAM_TOTAL_SECONDS = 0.8
    settings.UPSTREAM_MAX_ANSWER_BYTES = 20_000


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    with running_redis() as url:
        yield url
