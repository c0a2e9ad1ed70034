"""A commit whose answer gets lost is made again: the call and its hold are the very same."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError

from accounts.models import Organisation
from marketplace.catalog import selectors as catalog_selectors
from marketplace.catalog import services as catalog
from marketplace.gateway import calls
from marketplace.ledger.models import Hold
from marketplace.metering.models import Call, UsageCharge
from portal.kernel.clock import utc_now
from tests.cast import make_key
from tests.gateway.market import CHAT_PATH, FAKE_CALL_COST, GOOD, Market
from tests.gateway.raw_client import RawCall
from tests.market import give_tokens
from tests.partners.cast import make_live_service, make_provider

LoseAnswers = Callable[..., list[int]]


@pytest.fixture
def lose_answers(monkeypatch: pytest.MonkeyPatch) -> LoseAnswers:
    """Commits of this name that are made, and then answered by an error, so many times."""

    def lose(
        name: str, times: int = 1, meanwhile: Callable[[], object] = lambda: None
    ) -> list[int]:
        work = getattr(calls, name)
        sizes: list[int] = []

        def work_and_lose(batch: Any) -> Any:
            results = work(batch)
            sizes.append(len(batch))
            if len(sizes) <= times:
                meanwhile()
                raise OperationalError("the connection was lost")
            return results

        monkeypatch.setattr(calls, name, work_and_lose)
        return sizes

    return lose


@pytest.mark.parametrize("body", [{}, {"max_tokens": 5}])
def test_an_opening_is_one_call_and_one_hold(
    market: Market, lose_answers: LoseAnswers, body: dict[str, Any]
) -> None:
    sizes = lose_answers("open_calls")
    status, _headers, answer = market.post(CHAT_PATH, {**GOOD, **body})
    assert (status, sizes) == (200, [1, 1])
    call = Call.objects.get()
    assert (answer["id"], call.status) == (call.public_id, "succeeded")
    assert Hold.objects.get().state == "captured"
    assert call.cost_millitokens == FAKE_CALL_COST
    market.assert_books_balance()


def test_an_opening_that_the_wallet_shortened(
    market: Market, globex: Organisation, lose_answers: LoseAnswers
) -> None:
    """The second, smaller hold is found too, though the wallet now pays for no other."""
    give_tokens(globex, 400_000)
    market.secret = make_key(globex)[1]
    lose_answers("open_calls")
    asked = []
    for attempt in ("with a loss", "without"):
        with RawCall(market, stream=True) as call:
            assert "[DONE]" in call.read_all()
        asked.append(market.site.upstream.calls[-1].body["max_tokens"])
        give_tokens(globex, Call.objects.latest("pk").cost_millitokens, reference=attempt)
    assert asked[0] == asked[1] > 16
    assert sorted(Hold.objects.values_list("state", flat=True)) == [
        "captured", "captured", "declined", "declined",
    ]  # fmt: skip
    assert Call.objects.filter(status="succeeded").count() == Call.objects.count() == 2


def test_a_refused_opening_stays_refused(
    market: Market, globex: Organisation, lose_answers: LoseAnswers
) -> None:
    market.secret = make_key(globex)[1]
    lose_answers("open_calls")
    status, _headers, answer = market.post(CHAT_PATH, GOOD)
    assert (status, answer["error"]["code"]) == (402, "credit_balance_exhausted")
    assert Call.objects.get().status == "refused"
    assert Hold.objects.get().state == "declined"


def test_an_opening_that_holds_nothing(market: Market, lose_answers: LoseAnswers) -> None:
    now = utc_now()
    catalog.add_price_version(
        service=market.chat, input_millitokens=0, cached_input_millitokens=0,
        output_millitokens=0, request_millitokens=0, effective_at=now, created_by=None, now=now,
    )  # fmt: skip
    lose_answers("open_calls")
    assert market.post(CHAT_PATH, GOOD)[0] == 200
    assert Call.objects.get().status == "succeeded"
    assert not Hold.objects.exists()


def test_an_opening_keeps_its_service_when_a_cheaper_one_comes(
    market: Market, lose_answers: LoseAnswers
) -> None:
    """The call goes to where its hold was placed for."""

    def undercut() -> None:
        make_live_service(
            make_provider("Rival"),
            market.chat.model,
            endpoint_url=market.site.upstream.url,
            prices={"input_millitokens": 100, "output_millitokens": 400},
        )
        catalog_selectors.forget_callable_services()

    lose_answers("open_calls", meanwhile=undercut)
    status, headers, _answer = market.post(CHAT_PATH, GOOD)
    assert (status, headers["x-tokenworks-service"]) == (200, market.chat.handle)
    call = Call.objects.get()
    assert (call.service, call.cost_millitokens) == (market.chat, FAKE_CALL_COST)
    assert market.post(CHAT_PATH, GOOD)[1]["x-tokenworks-service"] != market.chat.handle
    market.assert_books_balance()


def test_openings_of_one_commit_are_each_found_again(
    market: Market, lose_answers: LoseAnswers
) -> None:
    """The batch is done again, and then each of its calls by itself."""
    sizes = lose_answers("open_calls", times=6)
    crowd = 12
    start = threading.Barrier(crowd)
    statuses = []

    def post() -> None:
        start.wait()
        statuses.append(market.post(CHAT_PATH, GOOD)[0])

    threads = [threading.Thread(target=post) for _number in range(crowd)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(sizes) > 1
    # Whoever was alone, and lost both answers, was told so, and its call costs nothing.
    served = statuses.count(200)
    assert served + statuses.count(500) == crowd
    assert Call.objects.count() == Hold.objects.count() == crowd
    assert Call.objects.filter(status="succeeded").count() == UsageCharge.objects.count() == served
    assert Hold.objects.filter(state="pending").count() == crowd - served


def test_a_closing_charges_once(market: Market, lose_answers: LoseAnswers) -> None:
    sizes = lose_answers("close_calls", times=2)
    before = market.spendable
    status, headers, answer = market.post(CHAT_PATH, GOOD)
    assert (status, sizes) == (200, [1, 1, 1])
    assert answer["usage"]["cost_tokens"] == headers["x-tokenworks-cost"] == "6.4"
    assert market.spendable == before - FAKE_CALL_COST
    assert UsageCharge.objects.count() == 1
    market.assert_books_balance()
