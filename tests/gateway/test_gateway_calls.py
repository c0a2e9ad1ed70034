"""The official client against a real process: calls that succeed."""

from tests.gateway.market import CHAT, FAKE_CALL_COST, MESSAGES, Market


def test_chat_is_answered_and_charged(market: Market) -> None:
    before = market.spendable
    answer = market.client().chat.completions.create(model=CHAT, messages=MESSAGES)
    assert answer.choices[0].message.content == "Hello from the fake."
    call = market.last_call()
    assert answer.id == call.public_id
    assert answer.model == CHAT
    assert call.cost_millitokens == FAKE_CALL_COST == before - market.spendable
    assert answer.usage is not None
    assert answer.usage.model_extra["cost_tokens"] == "6.4"
    market.assert_books_balance()
