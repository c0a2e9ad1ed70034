"""What callers ask of the choice of service: ``provider``, ``models``, suffixes."""

from typing import Any

import pytest

from marketplace.catalog.models import Service
from marketplace.metering.models import Call
from tests.fakes.upstream import Behaviour
from tests.gateway.market import CHAT, CHAT_PATH, EMBEDDINGS, FAKE_CALL_COST, GOOD, Market
from tests.gateway.raw_client import read_events
from tests.partners.cast import make_live_service, make_model, make_provider

OTHER = "mistral/small"


@pytest.fixture
def rival(market: Market) -> Service:
    """Twice rhine's price; keeps prompts and trains on them; whole weights; more parameters."""
    return make_live_service(
        make_provider("Rival"),
        market.chat.model,
        endpoint_url=market.site.upstream.url,
        retains_prompts_days=30,
        trains_on_data=True,
        quantisation="bf16",
        supported_parameters=["temperature", "top_k", "tools"],
        prices={
            "input_millitokens": 400,
            "cached_input_millitokens": 100,
            "output_millitokens": 1600,
            "request_millitokens": 5000,
        },
    )


@pytest.fixture
def other(market: Market) -> Service:
    """Another model, at a third provider."""
    return make_live_service(
        make_provider("Third"), make_model(OTHER), endpoint_url=market.site.upstream.url
    )


def ask(market: Market, provider: Any = None, **body: Any) -> tuple[int, str, Any]:
    """Status, the handle of the service that answered, and the answer."""
    wanted = {**GOOD, **body} if provider is None else {**GOOD, "provider": provider, **body}
    status, headers, answer = market.post(CHAT_PATH, wanted)
    return status, headers.get("x-tokenworks-service", ""), answer


CHOICES: list[tuple[Any, str]] = [
    ({}, "rhine"),
    ({"order": ["rival"]}, "rival"),
    ({"order": ["nobody", "Rival", "rhine"]}, "rival"),
    ({"order": [f"{CHAT}@rival"]}, "rival"),
    ({"only": ["rival", "nobody"]}, "rival"),
    ({"ignore": ["rhine"]}, "rival"),
    ({"ignore": [f"{CHAT}@rhine"]}, "rival"),
    ({"sort": "price"}, "rhine"),
    ({"sort": {"by": "price", "partition": "model"}, "order": ["rival"]}, "rival"),
    ({"max_price": {"prompt": 0.2, "completion": "0.8", "request": 0}}, "rhine"),
    ({"max_price": {"prompt": 0.4, "completion": 1.6, "request": 0.000005}}, "rhine"),
    ({"order": ["rival"], "max_price": {"completion": 0.8}}, "rhine"),
    ({"order": ["rival"], "max_price": {"request": 0.000004}}, "rhine"),
    ({"order": ["rival"], "max_price": {"image": 1}}, "rival"),
    ({"order": ["rival"], "data_collection": "deny"}, "rhine"),
    ({"order": ["rival"], "data_collection": "allow"}, "rival"),
    ({"order": ["rival"], "zdr": True}, "rhine"),
    ({"quantizations": ["bf16", "fp8"]}, "rival"),
    ({"require_parameters": True}, "rival"),
    ({"preferred_max_latency": 2, "enforce_distillable_text": False}, "rhine"),
    (None, "rhine"),
]


def test_a_preference_chooses(market: Market, rival: Service) -> None:
    for provider, served_by in CHOICES:
        status, service, answer = ask(market, provider, temperature=0.5)
        assert (status, service) == (200, f"{CHAT}@{served_by}"), provider
        assert answer["model"] == CHAT
        # Said to us, not to the provider.
        assert not {"provider", "models"} & set(market.site.upstream.calls[-1].body)


TOO_MUCH: list[tuple[Any, str]] = [
    ({"only": ["nobody"]}, "only"),
    ({"ignore": ["rhine", "rival"]}, "ignore"),
    ({"order": ["nobody"], "allow_fallbacks": False}, "order"),
    ({"max_price": {"prompt": 0.199}}, "max_price"),
    ({"only": ["rival"], "data_collection": "deny"}, "data_collection"),
    ({"only": ["rival"], "zdr": True}, "zdr"),
    ({"quantizations": ["fp4"]}, "quantizations"),
    ({"only": ["rhine"], "require_parameters": True}, "require_parameters"),
]


def test_a_preference_that_leaves_nothing_is_named(market: Market, rival: Service) -> None:
    for provider, name in TOO_MUCH:
        status, _service, answer = ask(market, provider, temperature=0.5)
        error, param = answer["error"], f"provider.{name}"
        assert (status, error["code"], error["param"]) == (404, "no_allowed_provider", param)
        assert param in error["message"]
    assert not Call.objects.exists()
    assert not market.site.upstream.calls


def test_wrong_preferences_are_refused_by_name(market: Market) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"provider": []}, "provider"),
        ({"provider": {"onyl": ["rhine"]}}, "provider.onyl"),
        ({"provider": {"enforce_distillable_text": True}}, "provider.enforce_distillable_text"),
        ({"provider": {"order": "rhine"}}, "provider.order"),
        ({"provider": {"only": []}}, "provider.only"),
        ({"provider": {"ignore": [7]}}, "provider.ignore"),
        ({"provider": {"only": ["x"] * 101}}, "provider.only"),
        ({"provider": {"sort": "speed"}}, "provider.sort"),
        ({"provider": {"sort": ["price"]}}, "provider.sort"),
        ({"provider": {"sort": {"by": "speed"}}}, "provider.sort"),
        ({"provider": {"sort": {"by": "price", "partition": "none"}}}, "provider.sort.partition"),
        ({"provider": {"max_price": 1}}, "provider.max_price"),
        ({"provider": {"max_price": {"prompt": -1}}}, "provider.max_price.prompt"),
        ({"provider": {"max_price": {"prompt": "NaN"}}}, "provider.max_price.prompt"),
        ({"provider": {"max_price": {"request": "1e999999"}}}, "provider.max_price.request"),
        ({"provider": {"max_price": {"completion": True}}}, "provider.max_price.completion"),
        ({"provider": {"max_price": {"tokens": 1}}}, "provider.max_price.tokens"),
        ({"provider": {"allow_fallbacks": "no"}}, "provider.allow_fallbacks"),
        ({"provider": {"require_parameters": 1}}, "provider.require_parameters"),
        ({"provider": {"data_collection": False}}, "provider.data_collection"),
        ({"provider": {"data_collection": ["deny"]}}, "provider.data_collection"),
        ({"provider": {"quantizations": ["int3"]}}, "provider.quantizations"),
        ({"provider": {"zdr": "yes"}}, "provider.zdr"),
        ({"models": {}, "provider": {}}, "models"),
        ({"models": CHAT}, "models"),
        ({"models": [CHAT, None]}, "models[1]"),
        ({"models": [f"some/model-{n}" for n in range(8)]}, "models"),
        ({"model": "", "models": [CHAT]}, "model"),
    ]
    for body, param in wrong:
        status, _headers, answer = market.post(CHAT_PATH, {**GOOD, **body})
        found = (status, answer["error"]["code"], answer["error"]["param"])
        assert found == (400, "invalid_value", param), body
    assert not Call.objects.exists()
    assert not market.site.upstream.calls


def test_fall_backs_can_be_forbidden(market: Market, rival: Service) -> None:
    market.site.upstream.default = Behaviour(status=500)
    assert ask(market, {"allow_fallbacks": False})[0] == 502
    assert Call.objects.count() == 1
    # Of the order, all are tried; of the others none.
    assert ask(market, {"allow_fallbacks": False, "order": ["rival"]})[0] == 502
    assert Call.objects.count() == 2
    assert Call.objects.order_by("pk").last().service == rival  # type: ignore[union-attr]
    assert ask(market, {"order": ["rival"]})[0] == 502
    assert Call.objects.count() == 4
    market.assert_books_balance()


def test_suffixes_sort(market: Market, rival: Service) -> None:
    status, service, answer = ask(market, model=f"{CHAT}:floor")
    assert (status, service, answer["model"]) == (200, market.chat.handle, CHAT)
    # Nothing is measured yet: the cheapest first, then the other, so that both are.
    fast = {"words": ("word ",) * 20, "chunk_delay": 0.0}
    slow = {"words": ("word ",) * 20, "chunk_delay": 0.005}
    market.site.upstream.next(Behaviour(**slow), Behaviour(**fast))  # type: ignore[arg-type]
    served = [ask(market, model=f"{CHAT}:nitro")[1] for _number in range(3)]
    assert served == [market.chat.handle, rival.handle, rival.handle]


def test_the_quickest_to_begin_comes_first(market: Market, rival: Service) -> None:
    body = {**GOOD, "stream": True, "stream_options": {"include_usage": True}}
    body["provider"] = {"sort": "latency"}
    market.site.upstream.next(Behaviour(first_delay=0.1))
    for _number in range(3):
        read_events(market, body)
    served = [call.service for call in Call.objects.order_by("pk")]
    assert served == [market.chat, rival, rival]


def test_the_next_model_is_tried(market: Market, rival: Service, other: Service) -> None:
    """When the first is unknown, is not for this, is excluded, fails, or refuses the request."""
    upstream = market.site.upstream
    for first in ("no/such-model", EMBEDDINGS):
        status, service, answer = ask(market, model=first, models=[OTHER, CHAT])
        assert (status, service, answer["model"]) == (200, other.handle, OTHER)
    status, service, answer = ask(market, {"only": ["third"]}, models=[OTHER])
    assert (status, service, answer["model"]) == (200, other.handle, OTHER)
    assert Call.objects.count() == 3
    for behaviours in (
        [Behaviour(status=500), Behaviour(status=500)],  # both services of the first
        [Behaviour(status=400)],  # what one service does not take, its others don't either
    ):
        before = market.spendable
        upstream.next(*behaviours)
        events = read_events(market, {**GOOD, "stream": True, "models": [CHAT, f"{OTHER}:nitro"]})
        assert {event["model"] for event in events} == {OTHER}
        tries = list(Call.objects.order_by("-pk")[: len(behaviours) + 1])
        assert (tries[0].service, tries[0].status) == (other, "succeeded")
        assert [call.status for call in tries[1:]] == ["failed"] * len(behaviours)
        assert len({call.request_id for call in tries}) == 1
        assert before - market.spendable == tries[0].cost_millitokens == FAKE_CALL_COST
    market.assert_books_balance()


def test_models_alone_are_enough(market: Market, other: Service) -> None:
    body: dict[str, Any] = {"messages": GOOD["messages"], "models": [OTHER, CHAT]}
    status, _headers, answer = market.post(CHAT_PATH, body)
    assert (status, answer["model"]) == (200, OTHER)
    # Of a list of which nothing is left, the first is told about.
    status, _headers, answer = market.post(CHAT_PATH, {**body, "models": ["no/one", "no/two"]})
    assert (status, answer["error"]["code"]) == (404, "model_not_found")
    assert "no/one" in answer["error"]["message"]


def test_all_models_together_have_the_usual_number_of_tries(
    market: Market, rival: Service, other: Service, settings: Any
) -> None:
    settings.GATEWAY_MAX_ATTEMPTS = 2
    market.site.upstream.default = Behaviour(status=500)
    assert ask(market, models=[OTHER])[0] == 502
    assert Call.objects.count() == 2
    assert market.spendable == 10**9
    market.assert_books_balance()
