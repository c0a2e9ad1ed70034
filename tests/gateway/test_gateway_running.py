"""What a gateway does besides answering: stopping in order, waiting for a busy database."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, transaction

from marketplace.ledger.models import Wallet
from marketplace.metering.models import Call
from tests.fakes.upstream import Behaviour
from tests.gateway.market import CHAT, MESSAGES, Market
from tests.gateway.raw_client import RawCall


def test_stopping_in_order_lets_calls_finish(market: Market) -> None:
    market.site.upstream.default = Behaviour(words=("word",) * 20, chunk_delay=0.05)
    with RawCall(market, stream=True) as call:
        call.read_until("word")
        stopping = threading.Thread(target=market.site.stop)
        stopping.start()
        assert call.read_all().count("word") == 20
        stopping.join()
    ended = market.last_call()
    assert (ended.status, ended.completion_tokens) == ("succeeded", 20)
    market.assert_books_balance()


@pytest.fixture
def impatient(settings: Any) -> None:
    settings.UPSTREAM_DRAIN_SECONDS = 0.5


def test_stopping_does_not_wait_for_ever(impatient: None, market: Market) -> None:
    """A call that outlasts the server's grace is brought to an honest end, not lost."""
    market.site.upstream.default = Behaviour(words=("word",) * 400, chunk_delay=0.05)
    with RawCall(market, stream=True) as call:
        call.read_until("word")
        market.site.stop()
    ended = market.last_call()
    assert (ended.status, ended.usage_doubt) == ("client_disconnected", "estimated")
    assert 40 < ended.completion_tokens < 90
    market.assert_books_balance()


def test_a_close_waits_for_a_busy_database(market: Market) -> None:
    """Another writer holds the wallet for two seconds: the calls' ends are late, not lost."""
    gate = threading.Event()
    market.site.upstream.default = Behaviour(gate=gate)

    def call(stream: bool) -> str:
        with RawCall(market, stream=stream) as raw:
            return raw.read_all()

    with ThreadPoolExecutor(2) as pool:
        answers = pool.map(call, (False, True))
        market.site.upstream.wait_until(lambda u: len(u.calls) == 2)
        with transaction.atomic():
            Wallet.objects.select_for_update().get(owner_key=market.acme.public_id)
            gate.set()
            time.sleep(2)
        assert all("Hello" in answer for answer in answers)
    assert Call.objects.filter(status="succeeded").count() == 2
    market.assert_books_balance()


def break_connections() -> None:
    """As a restart of the server does, to all but the test's own."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_broken_database_connections_are_replaced(market: Market) -> None:
    """The server ends every connection of the gateway; the next calls are answered all the same."""
    body = {"model": CHAT, "messages": MESSAGES}
    with ThreadPoolExecutor(8) as pool:
        for _round in range(2):
            statuses = list(
                pool.map(lambda _n: market.post("/v1/chat/completions", body)[0], range(16))
            )
            assert statuses == [200] * 16
            if connection.vendor == "postgresql":
                break_connections()
    market.assert_books_balance()


@pytest.mark.only_on("postgresql", why="SQLite has no connections to break")
def test_connections_that_break_while_the_provider_works(market: Market) -> None:
    """What was held before is captured after, once."""
    gate = threading.Event()
    market.site.upstream.default = Behaviour(gate=gate)
    body = {"model": CHAT, "messages": MESSAGES}
    with ThreadPoolExecutor(4) as pool:
        answers = pool.map(lambda _n: market.post("/v1/chat/completions", body), range(4))
        market.site.upstream.wait_until(lambda u: len(u.calls) == 4)
        break_connections()
        gate.set()
        assert [status for status, _headers, _answer in answers] == [200] * 4
    assert Call.objects.filter(status="succeeded").count() == 4
    market.assert_books_balance()
