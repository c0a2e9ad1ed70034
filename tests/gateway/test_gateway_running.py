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


def test_a_broken_database_connection_is_replaced(market: Market) -> None:
    """PostgreSQL ends every connection of the gateway; the next calls are answered all the same."""
    assert market.post("/v1/chat/completions", {"model": CHAT, "messages": MESSAGES})[0] == 200
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
    for _number in range(4):
        assert market.post("/v1/chat/completions", {"model": CHAT, "messages": MESSAGES})[0] == 200
    market.assert_books_balance()
