"""The official openai client, with only base_url and key changed, against a real process."""

import asyncio
from typing import Any

import pytest
from openai import (
    APIStatusError,
    AuthenticationError,
    InternalServerError,
    NotFoundError,
    OpenAIError,
    PermissionDeniedError,
    RateLimitError,
)

from accounts.models import Organisation
from marketplace.metering.models import Call
from tests.cast import make_key
from tests.fakes.upstream import Behaviour
from tests.gateway.market import CHAT, EMBEDDINGS, FAKE_CALL_COST, MESSAGES, Market
from tests.partners.cast import make_live_service, make_model

EMBEDDING_COST = 12 * 20


def test_the_official_client(live_market: Market, globex: Organisation) -> None:
    """One process for all three: it takes seconds to start."""
    use_sync_client(live_market)
    asyncio.run(use_async_client(live_market))
    provoke_errors(live_market, globex)


def use_sync_client(market: Market) -> None:
    client = market.client()
    before = market.spendable

    raw = client.chat.completions.with_raw_response.create(model=CHAT, messages=MESSAGES)
    answer = raw.parse()
    call = market.last_call()
    assert answer.choices[0].message.content == "Hello from the fake."
    assert (answer.id, answer.model) == (call.public_id, CHAT)
    assert answer.usage is not None
    assert answer.usage.model_extra == {"cost": 0.0000064, "cost_tokens": "6.4"}
    assert raw.headers["x-tokenworks-cost"] == "6.4"
    assert raw.headers["x-tokenworks-service"] == market.chat.handle
    assert raw.headers["x-tokenworks-balance"] == "999993.6"
    assert raw.headers["x-request-id"] == call.request_id

    with client.chat.completions.create(
        model=CHAT, messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    ) as chunks:
        received = list(chunks)
    text = "".join(c.choices[0].delta.content or "" for c in received if c.choices)
    assert text == "Hello from the fake."
    assert [c.choices[0].finish_reason for c in received if c.choices][-1] == "stop"
    assert received[-1].choices == []
    assert received[-1].usage is not None
    assert received[-1].usage.completion_tokens == 5
    assert received[-1].usage.model_extra == {"cost": 0.0000064, "cost_tokens": "6.4"}

    with client.chat.completions.create(
        model=market.chat.handle, messages=MESSAGES, stream=True
    ) as chunks:
        received = list(chunks)
    assert all(c.usage is None and c.choices for c in received)

    vectors = client.embeddings.create(model=EMBEDDINGS, input=["one", "three"])
    assert [v.embedding[2] for v in vectors.data] == [3.0, 5.0]
    assert vectors.usage.prompt_tokens == 12

    models = client.models.list().data
    assert [model.id for model in models] == [EMBEDDINGS, CHAT]
    shown = client.models.retrieve(CHAT)
    assert shown.model_extra is not None
    assert shown.model_extra["pricing"]["prompt"] == "0.0000002"
    assert shown.model_extra["pricing_tokens"]["completion"] == "0.8"
    assert client.models.retrieve(market.chat.handle).id == market.chat.handle

    assert before - market.spendable == 3 * FAKE_CALL_COST + EMBEDDING_COST
    assert Call.objects.filter(status="succeeded").count() == 4
    market.assert_books_balance()


async def use_async_client(market: Market) -> None:
    client = market.async_client()
    answer = await client.chat.completions.create(model=CHAT, messages=MESSAGES)
    assert answer.choices[0].message.content == "Hello from the fake."
    chunks = await client.chat.completions.create(model=CHAT, messages=MESSAGES, stream=True)
    words = [c.choices[0].delta.content async for c in chunks]
    assert words == ["Hello", " from", " the", " fake", ".", None]
    vectors = await client.embeddings.create(model=EMBEDDINGS, input="one")
    assert vectors.data[0].embedding == [0.25, -0.5, 3.0]
    assert [model.id async for model in client.models.list()] == [EMBEDDINGS, CHAT]
    await client.close()


def provoke_errors(market: Market, globex: Organisation) -> None:
    """Class and code as docs/gateway.md names them; the client's own retries never charge."""
    upstream = market.site.upstream
    before = market.spendable
    charged = Call.objects.filter(cost_millitokens__gt=0).count()

    def refused(
        error: type[OpenAIError], status: int, code: str, retries: int = 2, **options: Any
    ) -> APIStatusError:
        model, secret = options.pop("model", CHAT), options.pop("secret", None)
        client = market.client(secret=secret, max_retries=retries)
        with pytest.raises(error) as raised:
            client.chat.completions.create(model=model, messages=MESSAGES, **options)
        assert isinstance(raised.value, APIStatusError)
        assert type(raised.value) is error
        assert (raised.value.status_code, raised.value.code) == (status, code)
        return raised.value

    refused(AuthenticationError, 401, "invalid_api_key", secret="tw_live_" + "x" * 43)
    refused(NotFoundError, 404, "model_not_found", model="no/such-model")

    provider = market.chat.provider
    make_live_service(
        provider, make_model("zai/glm-4.5", name="GLM"), endpoint_url="", is_sample=True
    )
    _key, narrow = make_key(market.acme, allowed_services=[market.embeddings.public_id])
    refused(PermissionDeniedError, 403, "policy_violation", secret=narrow)
    _key, blind = make_key(market.acme, scopes=["read"])
    refused(PermissionDeniedError, 403, "insufficient_scope", secret=blind)
    _key, capped = make_key(market.acme, cap_millitokens=1000, cap_period="day")
    error = refused(APIStatusError, 402, "budget_exhausted", secret=capped)
    assert "cap per day" in error.message
    _key, penniless = make_key(globex)
    error = refused(APIStatusError, 402, "credit_balance_exhausted", secret=penniless)
    assert error.type == "insufficient_quota"

    upstream.default = Behaviour(status=429, headers={"Retry-After": "1"})
    asked = len(upstream.calls)
    error = refused(RateLimitError, 429, "upstream_rate_limited")
    assert error.response.headers["retry-after"] == "1"
    assert len(upstream.calls) == asked + 3
    upstream.default = Behaviour(status=500)
    refused(InternalServerError, 502, "upstream_error")
    refused(InternalServerError, 503, "service_not_connected", model="zai/glm-4.5", retries=0)

    assert market.spendable == before
    assert Call.objects.filter(cost_millitokens__gt=0).count() == charged

    # A retry that succeeds is charged once.
    upstream.default = Behaviour()
    upstream.next(Behaviour(status=500), Behaviour(break_after=0))
    answer = market.client(max_retries=2).chat.completions.create(model=CHAT, messages=MESSAGES)
    assert answer.choices[0].message.content == "Hello from the fake."
    assert before - market.spendable == FAKE_CALL_COST
    market.assert_books_balance()
