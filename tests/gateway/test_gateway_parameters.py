"""What a service does not declare to support: refused, sent to one that does, or dropped."""

from typing import Any

import pytest

from marketplace.catalog import selectors as catalog
from marketplace.catalog.models import AIModel, Service
from marketplace.ledger.models import Hold
from marketplace.metering.models import Call
from tests.gateway.market import CHAT, CHAT_PATH, GOOD, MESSAGES, Market
from tests.partners.cast import make_live_service, make_provider

TOOLS = [{"type": "function", "function": {"name": "f"}}]
SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}
DROP = {"drop_unsupported": True}


def declare(service: Service, *names: str) -> None:
    Service.objects.filter(pk=service.pk).update(supported_parameters=list(names))
    catalog.forget_callable_services()


@pytest.fixture
def plain(market: Market) -> Market:
    """The chat service declares to support temperature, and no more."""
    declare(market.chat, "temperature")
    return market


def test_asked_by_name_before_anything_is_held(plain: Market) -> None:
    asked: list[tuple[str, Any]] = [
        ("tools", TOOLS), ("response_format", SCHEMA), ("response_format", {"type": "json_object"}),
        ("logprobs", True), ("top_logprobs", 2), ("seed", 7), ("stop", ["x"]), ("top_p", 0.5),
        ("top_k", 4), ("min_p", 0.1), ("frequency_penalty", 0.5), ("presence_penalty", 1),
        ("repetition_penalty", 1.2), ("logit_bias", {"5": 1}), ("reasoning", {"effort": "low"}),
        ("reasoning_effort", "low"),
    ]  # fmt: skip
    for name, value in asked:
        status, _headers, answer = plain.post(CHAT_PATH, {**GOOD, name: value})
        error = answer["error"]
        assert (status, error["code"], error["param"]) == (400, "unsupported_parameter", name)
    status, _headers, answer = plain.post(
        "/v1/responses", {"model": CHAT, "input": "x", "text": {"format": {**SCHEMA, "name": "x"}}}
    )
    assert (status, answer["error"]["param"]) == (400, "text.format")
    assert not Call.objects.exists()
    assert not Hold.objects.exists()
    assert plain.site.upstream.calls == []


def test_what_asks_for_nothing_and_what_nobody_knows_passes(plain: Market) -> None:
    neutral = {
        "temperature": 0.5, "top_p": 1, "frequency_penalty": 0, "presence_penalty": 0.0,
        "tools": [], "tool_choice": "auto", "response_format": {"type": "text"}, "n": 1,
        "logprobs": False, "stop": None, "frobnicate": {"deep": [1]}, "user": "u1",
    }  # fmt: skip
    assert plain.post(CHAT_PATH, {**GOOD, **neutral})[0] == 200
    asked = plain.site.upstream.calls[-1].body
    assert {name: asked[name] for name in neutral} == neutral
    # A service that declares nothing gets everything.
    declare(plain.chat)
    assert plain.post(CHAT_PATH, {**GOOD, "tools": TOOLS, "seed": 7})[0] == 200


def test_services_that_support_it_are_preferred(plain: Market) -> None:
    dearer = make_live_service(
        make_provider("Elbe"),
        plain.chat.model,
        endpoint_url=plain.site.upstream.url,
        supported_parameters=["tools", "tool_choice", "temperature"],
        prices={"output_millitokens": 900},
    )
    catalog.forget_callable_services()
    for extra, served in ({}, plain.chat), ({"tools": TOOLS, "tool_choice": "required"}, dearer):
        status, headers, _answer = plain.post(CHAT_PATH, {**GOOD, **extra})
        assert (status, headers["x-tokenworks-service"]) == (200, served.handle)
    body = {**GOOD, "model": plain.chat.handle, "tools": TOOLS}
    assert plain.post(CHAT_PATH, body)[2]["error"]["param"] == "tools"


def test_dropped_as_the_caller_wishes(plain: Market) -> None:
    extras = {"tools": TOOLS, "tool_choice": "required", "seed": 7, "temperature": 0.1, "x": 1}
    for stream in (False, True):
        raw = plain.client().chat.completions.with_raw_response.create(
            model=CHAT, messages=MESSAGES, stream=stream, extra_body={**extras, "tokenworks": DROP}
        )
        raw.parse()
        assert raw.headers["x-tokenworks-dropped"] == "tools, tool_choice, seed"
        asked = plain.site.upstream.calls[-1].body
        assert (asked["temperature"], asked["x"]) == (0.1, 1)
        assert not {"tools", "tool_choice", "seed", "tokenworks"} & set(asked)
    body = {"model": CHAT, "input": "x", "text": {"format": {**SCHEMA, "name": "x"}}}
    headers = plain.post("/v1/responses", {**body, "tokenworks": DROP})[1]
    assert headers["x-tokenworks-dropped"] == "text.format"
    headers = plain.post(CHAT_PATH, {**GOOD, "tokenworks": DROP})[1]
    assert "x-tokenworks-dropped" not in headers


def test_media_that_the_model_does_not_take(market: Market) -> None:
    """They are never dropped: the answer would be about something else."""
    image = {"type": "image_url", "image_url": {"url": "https://example.com/x.png"}}
    sound = {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}
    text = {"type": "text", "text": "What is it?"}
    body = {**GOOD, "messages": [{"role": "user", "content": [text, image]}], "tokenworks": DROP}
    assert market.post(CHAT_PATH, body)[0] == 200
    AIModel.objects.filter(pk=market.chat.model_id).update(input_modalities=["text"])
    catalog.forget_callable_services()
    before = market.spendable
    error = market.post(CHAT_PATH, body)[2]["error"]
    assert (error["code"], error["param"]) == ("unsupported_parameter", "messages[0].content[1]")
    items = [{"role": "user", "content": [{"type": "input_image", "image_url": "https://x/y.png"}]}]
    error = market.post("/v1/responses", {"model": CHAT, "input": items})[2]["error"]
    assert error["param"] == "input[0].content[0]"
    assert market.spendable == before
    assert Call.objects.count() == 1
    AIModel.objects.filter(pk=market.chat.model_id).update(input_modalities=["text", "image"])
    catalog.forget_callable_services()
    assert market.post(CHAT_PATH, body)[0] == 200
    shown = market.get(f"/v1/models/{CHAT}")[2]
    assert shown["architecture"]["input_modalities"] == ["text", "image"]
    body["messages"] = [{"role": "user", "content": [sound]}]
    assert market.post(CHAT_PATH, body)[2]["error"]["param"] == "messages[0].content[0]"


def test_our_own_fields_stay_here(market: Market) -> None:
    own = {
        "tokenworks": {}, "provider": {}, "models": [], "route": "fallback", "plugins": [],
        "usage": {"include": True}, "transforms": [],
    }  # fmt: skip
    assert market.post(CHAT_PATH, {**GOOD, **own})[0] == 200
    embed = {"model": market.embeddings.handle, "input": "x", **own}
    assert market.post("/v1/embeddings", embed)[0] == 200
    for call in market.site.upstream.calls:
        assert not set(own) & set(call.body)
