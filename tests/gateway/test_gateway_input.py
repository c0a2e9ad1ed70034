"""Wrong input: a clear error in OpenAI's shape, and nothing written, held or asked upstream."""

import http.client
import json
from typing import Any

import pytest

from marketplace.ledger.models import Hold
from marketplace.metering.models import Call
from tests.gateway.market import CHAT, CHAT_PATH, EMBEDDINGS, GOOD, MESSAGES, Market


def assert_refused(
    market: Market,
    status: int,
    code: str,
    body: Any,
    *,
    param: str | None = None,
    path: str = CHAT_PATH,
) -> str:
    """Refused so, without a trace; returns the message."""
    before = market.spendable
    answered, headers, answer = market.post(path, body)
    assert (answered, answer["error"]["code"]) == (status, code), answer
    assert set(answer["error"]) == {"message", "type", "param", "code"}
    assert answer["error"]["param"] == param
    assert headers["content-type"] == "application/json"
    assert headers["x-request-id"].startswith("req_")
    assert market.secret not in json.dumps(answer)
    assert market.spendable == before
    assert not Call.objects.exists()
    assert not Hold.objects.exists()
    assert market.site.upstream.calls == []
    return answer["error"]["message"]


def test_fields(market: Market) -> None:
    wrong: list[tuple[str, Any]] = [
        ("model", None), ("model", ""), ("model", 3), ("model", "x" * 201),
        ("messages", None), ("messages", []), ("messages", "hello"), ("messages", {}),
        ("max_tokens", 0), ("max_tokens", -5), ("max_tokens", 1.5), ("max_tokens", "10"),
        ("max_tokens", True), ("max_tokens", 10**30), ("max_completion_tokens", -1),
        ("n", 0), ("n", -1), ("n", "2"), ("n", 129), ("stream", "yes"), ("stream", 1),
        ("stream_options", []),
    ]  # fmt: skip
    for param, value in wrong:
        assert_refused(market, 400, "invalid_value", {**GOOD, param: value}, param=param)
    for messages, param in [
        (["hello"], "messages[0]"),
        ([{"content": "x"}], "messages[0]"),
        ([*MESSAGES, {"role": "user", "content": 5}], "messages[1].content"),
        ([{"role": "user", "content": ["x"]}], "messages[0].content"),
    ]:
        body = {**GOOD, "messages": messages}
        assert_refused(market, 400, "invalid_value", body, param=param)
    bad_options = {**GOOD, "stream": True, "stream_options": {"include_usage": "yes"}}
    assert_refused(market, 400, "invalid_value", bad_options, param="include_usage")
    assert_refused(
        market, 404, "model_not_found", {**GOOD, "model": "nobody/nothing"}, param="model"
    )
    assert_refused(market, 400, "wrong_operation", {**GOOD, "model": EMBEDDINGS}, param="model")


def test_embedding_fields(market: Market) -> None:
    wrong: list[Any] = [None, "", [], [""], ["x", 1], [[]], [["x"]], {}, 5, [True]]
    for value in wrong:
        body = {"model": EMBEDDINGS, "input": value}
        assert_refused(market, 400, "invalid_value", body, param="input", path="/v1/embeddings")
    many = {"model": EMBEDDINGS, "input": ["x"] * 1001}
    message = assert_refused(
        market, 400, "invalid_value", many, param="input", path="/v1/embeddings"
    )
    assert "1000" in message
    chat = {"model": CHAT, "input": "x"}
    assert_refused(market, 400, "wrong_operation", chat, param="model", path="/v1/embeddings")


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"nonsense", b"[]", b'"text"', b"null", b'{"model": NaN}', b'{"model": "\xff"}',
        b'{"max_tokens": 1e999}', b'{"model": "\\ud800"}', b"[" * 100_000,
        b'{"a":' * 70 + b"1" + b"}" * 70, b'{"a": ' + b"[" * 64 + b"]" * 64 + b"}",
    ],
)  # fmt: skip
def test_broken_or_deep_json(market: Market, body: bytes) -> None:
    assert_refused(market, 400, "invalid_json", body)


def test_brackets_in_texts_are_not_depth(market: Market) -> None:
    messages = [{"role": "user", "content": "[{" * 500}]
    assert market.post(CHAT_PATH, {**GOOD, "messages": messages})[0] == 200


def test_size_declared_or_in_chunks(market: Market, settings: Any) -> None:
    settings.GATEWAY_MAX_BODY_BYTES = 1000
    messages = [{"role": "user", "content": "x" * 1000}]
    assert_refused(market, 413, "request_too_large", {**GOOD, "messages": messages})
    connection = http.client.HTTPConnection("localhost", market.site.port)
    connection.request(
        "POST", CHAT_PATH, body=iter([b"x" * 600, b"x" * 600]), encode_chunked=True,
        headers={"Authorization": f"Bearer {market.secret}", "Transfer-Encoding": "chunked"},
    )  # fmt: skip
    answer = connection.getresponse()
    assert answer.status == 413
    assert json.loads(answer.read())["error"]["code"] == "request_too_large"
    # In chunks, but small enough.
    good = json.dumps(GOOD).encode()
    connection = http.client.HTTPConnection("localhost", market.site.port)
    connection.request(
        "POST", CHAT_PATH, body=iter([good[:20], good[20:]]), encode_chunked=True,
        headers={"Authorization": f"Bearer {market.secret}", "Transfer-Encoding": "chunked"},
    )  # fmt: skip
    assert connection.getresponse().status == 200


def test_too_much_in_flight(market: Market, settings: Any) -> None:
    settings.GATEWAY_MAX_CALLS = 0
    status, headers, answer = market.post(CHAT_PATH, GOOD)
    assert (status, answer["error"]["code"], headers["retry-after"]) == (503, "overloaded", "5")


def test_addresses_and_methods(market: Market) -> None:
    for path in ("/v1", "/v1/", "/v1/nothing", "/v1/chat", "/v1/audio"):
        status, _headers, answer = market.post(path, {})
        assert (status, answer["error"]["code"]) == (404, "unknown_url")
    status, headers, answer = market.get(CHAT_PATH)
    assert (status, answer["error"]["code"]) == (405, "method_not_allowed")
    assert headers["allow"] == "POST"
    status, headers, _answer = market.post("/v1/models", {})
    assert (status, headers["allow"]) == (405, "GET")
    status, _headers, answer = market.post(CHAT_PATH, GOOD, Host="evil.example")
    assert (status, answer["error"]["code"]) == (400, "invalid_host")
    status, _headers, answer = market.get("/v1/models/nobody/nothing")
    assert (status, answer["error"]["code"]) == (404, "model_not_found")


def test_errors_in_chinese(market: Market) -> None:
    status, _headers, answer = market.post(CHAT_PATH, {}, **{"Accept-Language": "zh-CN,zh;q=0.9"})
    assert (status, answer["error"]["code"]) == (400, "invalid_value")


def test_what_the_caller_adds_passes_through(market: Market) -> None:
    extras = {"temperature": 0.3, "tools": [], "seed": 7, "frobnicate": {"deep": [1, None]}}
    withheld = {"n_predict": 10_000, "chat_template": "{{ x }}", "best_of": 9}
    body = {**GOOD, **extras, **withheld, "max_completion_tokens": 40, "max_tokens": 50}
    assert market.post(CHAT_PATH, body)[0] == 200
    [call] = market.site.upstream.calls
    assert {name: call.body[name] for name in extras} == extras
    assert not set(withheld) & set(call.body)
    assert (call.body["max_tokens"], call.body["max_completion_tokens"]) == (40, 40)
    assert call.body["model"] == market.chat.upstream_model or market.chat.model.handle
    assert call.headers["Authorization"] == "Bearer sk-upstream"
    assert market.secret not in str(call.headers)


def test_credits(market: Market) -> None:
    status, _headers, answer = market.get("/v1/credits")
    assert status == 200
    assert answer["data"] == {
        "total_credits": 1, "total_usage": 0, "unit": "live", "posted": "1000000", "held": "0",
        "spendable": "1000000", "paid": "0", "granted": "1000000",
    }  # fmt: skip
