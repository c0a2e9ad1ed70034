"""GET /v1/key and /v1/generation: a key's cap and use, and what one call cost."""

from typing import Any

from accounts.models import Organisation
from marketplace.metering import services as metering
from portal.kernel.clock import utc_now
from tests.cast import make_key
from tests.gateway.market import CHAT, CHAT_PATH, GOOD, Market
from tests.gateway.raw_client import RawCall
from tests.market import MILLION_TOKENS


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
