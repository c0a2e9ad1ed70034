"""Calls counted again: by lot after the answer, and before the charge where nobody else did."""

import gc
import time
from types import FunctionType, ModuleType
from typing import Any

import pytest
from django.conf import LazySettings

from marketplace.gateway import recounting
from marketplace.metering.models import Recount
from tests.fakes.upstream import Behaviour
from tests.gateway.market import CHAT, EMBEDDINGS, GOOD, MESSAGES, STREAM, Market
from tests.gateway.raw_client import read_events

SECRET = "a phrase that must not stay anywhere"


@pytest.fixture(autouse=True)
def _count_every_call(settings: LazySettings) -> None:
    settings.RECOUNT_SAMPLE_PERCENT = 100


def wait_for_recounts(number: int) -> list[Recount]:
    give_up_at = time.monotonic() + 10
    while Recount.objects.count() < number:
        assert time.monotonic() < give_up_at
        time.sleep(0.01)
    return list(Recount.objects.order_by("call_id").select_related("call"))


def test_honest_calls_agree(market: Market) -> None:
    """The fake counts one token a word, as Qwen's tokenizer does, and 12 for the prompt's 11."""
    client = market.client()
    client.chat.completions.create(model=CHAT, messages=MESSAGES)
    read_events(market, STREAM)
    client.responses.create(model=CHAT, input="Say hello.")
    for recount in wait_for_recounts(3):
        assert (recount.tokenizer, recount.verdict) == ("qwen3", "agrees")
        assert (recount.prompt_counted, recount.completion_counted) == (11, 5)
        assert (recount.prompt_reported, recount.completion_reported) == (12, 5)
    client.completions.create(model=CHAT, prompt="Say hello.")
    *_chats, continued = wait_for_recounts(4)
    assert (continued.prompt_counted, continued.completion_counted) == (None, 5)
    assert (continued.verdict, continued.reason) == ("agrees", "plain_prompt")
    client.completions.create(model=CHAT, prompt="Say hello.", echo=True)
    market.assert_books_balance()


def test_a_provider_that_counts_too_much_gives_it_back(market: Market) -> None:
    usage = {"prompt_tokens": 12, "completion_tokens": 500, "total_tokens": 512}
    market.site.upstream.next(Behaviour(usage=usage), Behaviour(usage=usage))
    before = market.spendable
    answer = market.client().chat.completions.create(model=CHAT, messages=MESSAGES, max_tokens=600)
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 500
    read_events(market, {**STREAM, "max_tokens": 600})
    for recount in wait_for_recounts(2):
        assert (recount.verdict, recount.call.usage_doubt) == ("disputed", "disputed")
        assert recount.returned_millitokens == (500 - 6) * 800
    assert before - market.spendable == 2 * (12 * 200 + 6 * 800)


def test_who_reports_nothing_is_paid_what_we_count(market: Market) -> None:
    market.site.upstream.next(*[Behaviour(usage="none")] * 3)
    answer = market.client().chat.completions.create(model=CHAT, messages=MESSAGES)
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (11, 5)
    read_events(market, STREAM)
    for call in market.acme.calls.all():
        assert (call.usage_source, call.usage_doubt) == ("recount", "")
        assert call.cost_millitokens == 11 * 200 + 5 * 800
    # No tokenizer, no count: nothing is charged, and a person hears of it.
    market.post("/v1/embeddings", {"model": EMBEDDINGS, "input": "x"})
    call = market.last_call()
    assert (call.cost_millitokens, call.usage_source, call.usage_doubt) == (0, "none", "missing")
    market.assert_books_balance()
    assert not Recount.objects.exists()


def test_nothing_is_held_up_or_kept(
    market: Market, settings: LazySettings, monkeypatch: Any, caplog: Any
) -> None:
    """The queue is full: calls are answered as ever, and are not counted again."""
    monkeypatch.setattr(recounting, "_MOST_WAITING", 0)
    messages: Any = [{"role": "user", "content": SECRET}]
    market.client().chat.completions.create(model=CHAT, messages=messages)
    assert market.last_call().usage_source == "provider"
    assert not Recount.objects.exists()
    monkeypatch.undo()
    settings.RECOUNT_SAMPLE_PERCENT = 100
    market.client().chat.completions.create(model=CHAT, messages=messages)
    [recount] = wait_for_recounts(1)
    assert SECRET not in str(Recount.objects.values().get(pk=recount.pk))
    assert SECRET not in caplog.text


def test_what_waits_has_only_what_is_counted(market: Market, monkeypatch: Any) -> None:
    """Of a request with tools nothing can be counted, so nothing of it waits."""
    waiting: list[object] = []
    count_all = recounting._count_all

    def look(batch: Any) -> Any:
        waiting.extend(batch)
        return count_all(batch)

    monkeypatch.setattr(recounting, "_count_all", look)
    tool = {"type": "function", "function": {"name": "f", "description": SECRET, "parameters": {}}}
    assert market.post("/v1/chat/completions", {**GOOD, "tools": [tool]})[0] == 200
    [recount] = wait_for_recounts(1)
    assert recount.reason == "tools"
    reached = [*waiting]
    for thing in reached:
        assert thing != SECRET
        if not isinstance(thing, type | ModuleType | FunctionType):
            reached += [one for one in gc.get_referents(thing) if not isinstance(one, type)]
        assert len(reached) < 10_000


def test_an_error_while_counting_harms_no_call(market: Market, monkeypatch: Any) -> None:
    def fail(*_args: Any, **_more: Any) -> None:
        raise RuntimeError("broken tokenizer")

    monkeypatch.setattr(recounting, "count_again", fail)
    market.site.upstream.next(Behaviour(), Behaviour(usage="none"))
    for _call in range(2):
        assert market.post("/v1/chat/completions", GOOD)[0] == 200
    assert market.last_call().usage_doubt == "missing"
    monkeypatch.undo()
    market.post("/v1/chat/completions", GOOD)


@pytest.mark.parametrize("percent", [0, 100])
def test_how_many_are_drawn(market: Market, settings: LazySettings, percent: int) -> None:
    settings.RECOUNT_SAMPLE_PERCENT = percent
    for _call in range(3):
        market.post("/v1/chat/completions", GOOD)
    if percent:
        wait_for_recounts(3)
    else:
        market.site.stop()
        assert not Recount.objects.exists()
