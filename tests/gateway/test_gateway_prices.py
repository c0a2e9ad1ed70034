"""What a call was begun at is what it costs; a prompt of any length is covered by its hold."""

import threading

from marketplace.catalog import selectors as catalog_selectors
from marketplace.catalog import services as catalog
from marketplace.ledger.models import Hold
from portal.kernel.clock import utc_now
from tests.fakes.upstream import Behaviour
from tests.gateway.market import CHAT, CHAT_PATH, FAKE_CALL_COST, GOOD, Market


def test_a_price_that_changes_while_the_call_runs(market: Market) -> None:
    """The running call keeps the price of its hold; the next one has the new price."""
    gate = threading.Event()
    market.site.upstream.next(Behaviour(gate=gate))
    answers = []
    thread = threading.Thread(target=lambda: answers.append(market.post(CHAT_PATH, GOOD)))
    thread.start()
    market.site.upstream.wait_until(lambda u: len(u.calls) == 1)
    hold = Hold.objects.get(state="pending")
    now = utc_now()
    catalog.add_price_version(
        service=market.chat, input_millitokens=20, cached_input_millitokens=5,
        output_millitokens=80, request_millitokens=0, effective_at=now, created_by=None, now=now,
    )  # fmt: skip
    gate.set()
    thread.join()
    assert answers[0][0] == 200
    first = market.last_call()
    assert first.cost_millitokens == FAKE_CALL_COST
    assert first.price_version.public_id == hold.price_version

    catalog_selectors.forget_callable_services()
    assert market.post(CHAT_PATH, GOOD)[0] == 200
    assert market.last_call().cost_millitokens == FAKE_CALL_COST // 10
    market.assert_books_balance()


def test_a_long_prompt_of_no_named_length(market: Market) -> None:
    """More bytes than the context has tokens: the context bounds what the prompt can cost."""
    gate = threading.Event()
    context = market.chat.context_length
    market.site.upstream.next(Behaviour(gate=gate, prompt_tokens=context - 16))
    body = {"model": CHAT, "messages": [{"role": "user", "content": "word " * context}]}
    answers = []
    thread = threading.Thread(target=lambda: answers.append(market.post(CHAT_PATH, body)))
    thread.start()
    market.site.upstream.wait_until(lambda u: len(u.calls) == 1)
    hold = Hold.objects.get(state="pending")
    asked = market.site.upstream.calls[0].body["max_tokens"]
    assert hold.amount_millitokens == context * 200 + asked * 800
    gate.set()
    thread.join()
    assert answers[0][0] == 200
    assert market.last_call().cost_millitokens == (context - 16) * 200 + 5 * 800
    assert market.last_call().uncovered_millitokens == 0
    market.assert_books_balance()
