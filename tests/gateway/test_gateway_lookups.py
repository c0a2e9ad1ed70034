"""GET /v1/models, /v1/key and /v1/generation: a key's cap and use, and what one call cost."""

from datetime import date
from typing import Any

from accounts.models import Organisation
from marketplace.catalog.models import AIModel
from marketplace.metering import services as metering
from portal.kernel.clock import utc_now
from tests.cast import make_key
from tests.gateway.market import CHAT, CHAT_PATH, GOOD, Market
from tests.gateway.raw_client import RawCall
from tests.market import MILLION_TOKENS
from tests.partners.cast import make_live_service, make_provider


def test_a_key_sees_its_cap_and_what_it_used(market: Market) -> None:
    capped = make_key(market.acme, cap_millitokens=5_000_000, cap_period="day")[1]
    assert market.post(CHAT_PATH, GOOD, secret=capped)[0] == 200
    metering.roll_up_usage(now=utc_now())
    status, _headers, answer = market.get("/v1/key", secret=capped)
    assert status == 200
    data: Any = answer["data"]
    assert data["tokens"] == {
        "limit": "5000", "limit_remaining": "4993.6", "usage": "6.4", "usage_daily": "6.4",
        "usage_weekly": "6.4", "usage_monthly": "6.4",
    }  # fmt: skip
    assert (data["limit"], data["usage"]) == (0.005, 0.0000064)
    assert (data["limit_reset"], data["expires_at"], data["is_free_tier"]) == ("daily", None, False)
    # The other key of the organisation used nothing and has no cap.
    other = market.get("/v1/key")[2]["data"]
    assert (other["limit"], other["limit_reset"], other["usage"]) == (None, None, 0)
    assert market.secret not in str(other)


def test_a_generation_is_one_call(market: Market, globex: Organisation) -> None:
    made = market.post(CHAT_PATH, GOOD)[2]
    with RawCall(market, stream=True) as call:
        assert "[DONE]" in call.read_all()
    path = f"/v1/generation?id={made['id']}"
    status, _headers, answer = market.get(path)
    assert status == 200
    data = answer["data"]
    assert (data["id"], data["model"], data["provider_name"]) == (made["id"], CHAT, "Rhine")
    assert (data["tokens_prompt"], data["tokens_completion"], data["cost_tokens"]) == (12, 5, "6.4")
    assert data["usage"] == data["total_cost"] == made["usage"]["cost"]
    assert (data["streamed"], data["cancelled"], data["finish_reason"]) == (False, False, "stop")
    assert data["latency"] == data["generation_time"] >= 0
    streamed = market.get(f"/v1/generation?id={market.last_call().public_id}")[2]["data"]
    assert streamed["streamed"]
    assert streamed["latency"] <= market.last_call().duration_ms
    strangers = (make_key(globex)[1], make_key(market.acme, kind="test")[1])
    for secret in strangers:
        status, _headers, answer = market.get(path, secret=secret)
        assert (status, answer["error"]["code"]) == (404, "not_found")
    for query in ("", "?id=", "?id=call_nothing", "?id=%00", "?id=%ff"):
        assert market.get(f"/v1/generation{query}")[0] == 404
    assert market.spendable < MILLION_TOKENS


def test_models_have_their_facts_and_their_endpoints(market: Market) -> None:
    AIModel.objects.filter(handle=CHAT).update(
        released_on=date(2025, 4, 28), summary_en="Small and quick.", tokenizer="qwen3"
    )
    rival = make_live_service(
        make_provider("Rival"),
        market.chat.model,
        endpoint_url=market.site.upstream.url,
        supported_parameters=["tools"],
        prices={"input_millitokens": 900, "output_millitokens": 900},
    )
    assert market.post(CHAT_PATH, GOOD)[0] == 200
    shown = market.get(f"/v1/models/{CHAT}")[2]
    assert (shown["created"], shown["description"]) == (1745798400, "Small and quick.")
    assert shown["architecture"]["tokenizer"] == "qwen3"
    assert "tools" in shown["supported_parameters"]
    assert shown in market.get("/v1/models")[2]["data"]
    status, _headers, answer = market.get(f"/v1/models/{CHAT}/endpoints")
    assert status == 200
    data = answer["data"]
    assert (data["id"], data["created"]) == (CHAT, shown["created"])
    near, far = data["endpoints"]
    assert (near["service"], far["service"]) == (market.chat.handle, rival.handle)
    assert near["pricing_tokens"]["completion"] == "0.8"
    assert (near["status"], near["uptime_last_30m"], far["latency_last_30m"]) == (0, None, None)
    status, _headers, answer = market.get("/v1/models/nobody/nothing/endpoints")
    assert (status, answer["error"]["code"]) == (404, "model_not_found")
    confined = make_key(market.acme, allowed_services=[market.embeddings.public_id])[1]
    assert market.get(f"/v1/models/{CHAT}/endpoints", secret=confined)[0] == 404
