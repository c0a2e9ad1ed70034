"""POST /v1/responses with the official client: one whole answer, or events that it accumulates."""

import json
from typing import Any

import pytest
from openai import APIError
from pydantic import BaseModel, TypeAdapter

from marketplace.ledger.models import Hold
from marketplace.metering.models import Call
from tests.fakes.upstream import Behaviour
from tests.gateway.market import CHAT, EMBEDDINGS, FAKE_CALL_COST, Market

PATH = "/v1/responses"
GOOD: dict[str, Any] = {"model": CHAT, "input": "Say hello."}
TOOL: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "Weather of a town.",
    "parameters": {"type": "object", "properties": {"town": {"type": "string"}}},
    "strict": True,
}
USAGE = {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17}


def whole(message: dict[str, Any], finish_reason: str = "stop", **choice: Any) -> Behaviour:
    """A provider's answer that says just this."""
    choices = [{"index": 0, "message": message, "finish_reason": finish_reason, **choice}]
    answer = {"id": "x", "object": "chat.completion", "choices": choices, "usage": USAGE}
    return Behaviour(raw=json.dumps(answer).encode())


def streamed(*deltas: dict[str, Any], finish_reason: str = "stop") -> Behaviour:
    """A provider's chunks of just these deltas."""
    chunks: list[dict[str, Any]] = [
        {"id": "x", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
        for delta in deltas
    ]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish_reason}]})
    chunks.append({"choices": [], "usage": USAGE})
    lines = [json.dumps(chunk) for chunk in chunks]
    return Behaviour(pieces=tuple(f"data: {line}\n\n".encode() for line in [*lines, "[DONE]"]))


def assert_valid(value: Any) -> None:
    """What the client took as it came is what its types say."""
    TypeAdapter(type(value)).validate_python(value.to_dict())


def test_a_whole_response(market: Market) -> None:
    before = market.spendable
    raw = market.client().responses.with_raw_response.create(
        model=CHAT, instructions="Be brief.", input="Say hello.", max_output_tokens=50,
        temperature=0.2, store=False, metadata={"order": "7"}, user="u1",
        reasoning={"effort": "low"}, text={"format": {"type": "json_object"}},
        extra_body={"top_k": 3},
    )  # fmt: skip
    response = raw.parse()
    call = market.last_call()
    assert_valid(response)
    assert response.output_text == "Hello from the fake."
    assert (response.id, response.model, response.status) == (call.public_id, CHAT, "completed")
    assert call.operation == "responses"
    assert (response.error, response.incomplete_details) == (None, None)
    assert response.model_extra == {"store": False}
    assert (response.instructions, response.metadata) == ("Be brief.", {"order": "7"})
    assert (response.max_output_tokens, response.temperature) == (50, 0.2)
    usage = response.usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (12, 5, 17)
    assert usage.input_tokens_details.cached_tokens == 0
    assert usage.model_extra == {"cost": 0.0000064, "cost_tokens": "6.4"}
    assert raw.headers["x-tokenworks-cost"] == "6.4"

    [asked] = market.site.upstream.calls
    assert asked.path == "/v1/chat/completions"
    assert asked.body == {
        "model": asked.body["model"],
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Say hello."},
        ],
        "max_tokens": 50, "temperature": 0.2, "user": "u1", "reasoning_effort": "low",
        "response_format": {"type": "json_object"}, "top_k": 3,
    }  # fmt: skip
    assert before - market.spendable == FAKE_CALL_COST
    market.assert_books_balance()


def test_items_become_messages(market: Market) -> None:
    """A turn of functions, sent back whole since nothing is kept."""
    call = {"id": "t1", "type": "function"}
    function = {"name": "get_weather", "arguments": '{"town": "Ulm"}'}
    message = {
        "content": None,
        "reasoning_content": "Hm.",
        "tool_calls": [{**call, "function": function}],
    }
    market.site.upstream.next(whole(message, "tool_calls"))
    client = market.client()
    question: list[Any] = [
        {"role": "developer", "content": "Speak German."},
        {"role": "user", "content": [{"type": "input_text", "text": "Weather in Ulm?"}]},
    ]
    first = client.responses.create(
        model=CHAT, instructions="Be brief.", input=question, tools=[TOOL],
        tool_choice={"type": "function", "name": "get_weather"}, parallel_tool_calls=False,
    )  # fmt: skip
    assert [item.type for item in first.output] == ["reasoning", "function_call"]
    called = first.output[1]
    assert called.type == "function_call"
    assert (called.call_id, called.name, called.arguments) == ("t1", *function.values())
    asked = market.site.upstream.calls[-1].body
    assert asked["tools"] == [
        {"type": "function", "function": {k: v for k, v in TOOL.items() if k != "type"}}
    ]
    assert asked["tool_choice"] == {"type": "function", "function": {"name": "get_weather"}}
    assert asked["parallel_tool_calls"] is False

    image = "data:image/png;base64,AAAA"
    second: list[Any] = [
        *question,
        *(item.to_dict() for item in first.output),
        {"type": "function_call_output", "call_id": "t1", "output": "Rain."},
        {"role": "assistant", "content": [{"type": "output_text", "text": "Regen."}]},
        {"role": "user", "content": [
            {"type": "input_image", "image_url": image, "detail": "low"},
            {"type": "input_text", "text": "Here?"},
        ]},
    ]  # fmt: skip
    client.responses.create(model=CHAT, tools=[TOOL], input=second)
    assert market.site.upstream.calls[-1].body["messages"] == [
        {"role": "system", "content": "Speak German."},
        {"role": "user", "content": "Weather in Ulm?"},
        {"role": "assistant", "content": None, "tool_calls": [{**call, "function": function}]},
        {"role": "tool", "tool_call_id": "t1", "content": "Rain."},
        {"role": "assistant", "content": "Regen."},
        {"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": image, "detail": "low"}},
            {"type": "text", "text": "Here?"},
        ]},
    ]  # fmt: skip
    market.assert_books_balance()


def test_a_response_that_is_cut_by_its_length(market: Market) -> None:
    market.site.upstream.default = Behaviour(words=("word ",) * 40)
    response = market.client().responses.create(model=CHAT, input="Count.", max_output_tokens=20)
    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"
    with market.client().responses.stream(
        model=CHAT, input="Count.", max_output_tokens=20
    ) as stream:
        last = list(stream)[-1]
    assert last.type == "response.incomplete"
    assert last.response.output_text == "word " * 20
    market.assert_books_balance()


def test_a_stream_that_we_cut(impatient: None, market: Market) -> None:
    """The items that were growing end, and the response says what ended it."""
    market.site.upstream.next(Behaviour(words=("word",) * 20, chunk_delay=0.2))
    with market.client().responses.create(**GOOD, stream=True) as events:
        received = list(events)
    assert [event.type for event in received[-3:]] == [
        "response.content_part.done", "response.output_item.done", "response.incomplete",
    ]  # fmt: skip
    last = received[-1]
    assert last.type == "response.incomplete"
    assert_valid(last)
    assert last.response.output[0].to_dict()["status"] == "incomplete"
    assert last.response.to_dict()["tokenworks"] == {"limited_by": "time_limit"}
    assert last.response.usage is not None
    assert last.response.usage.output_tokens > 0
    market.assert_books_balance()


def test_structured_output_and_logprobs(market: Market) -> None:
    class Town(BaseModel):
        name: str

    market.site.upstream.next(whole({"content": '{"name": "Ulm"}'}))
    parsed = market.client().responses.parse(model=CHAT, input="A town.", text_format=Town)
    assert parsed.output_parsed == Town(name="Ulm")
    form = market.site.upstream.calls[-1].body["response_format"]
    assert (form["type"], form["json_schema"]["name"], form["json_schema"]["strict"]) == (
        "json_schema", "Town", True,
    )  # fmt: skip
    token = {"token": "Hi", "bytes": [72, 105], "logprob": -0.5, "top_logprobs": []}
    market.site.upstream.next(whole({"content": "Hi"}, logprobs={"content": [token]}))
    response = market.client().responses.create(
        model=CHAT, input="Hi.", include=["message.output_text.logprobs"], top_logprobs=2
    )
    asked = market.site.upstream.calls[-1].body
    assert (asked["logprobs"], asked["top_logprobs"]) == (True, 2)
    assert response.output[0].to_dict()["content"][0]["logprobs"] == [token]  # type: ignore[index]


def test_events_in_order(market: Market) -> None:
    before = market.spendable
    with market.client().responses.create(**GOOD, stream=True) as events:
        received = list(events)
    for event in received:
        assert_valid(event)
    assert [event.type for event in received] == [
        "response.created", "response.in_progress", "response.output_item.added",
        "response.content_part.added", *["response.output_text.delta"] * 5,
        "response.output_text.done", "response.content_part.done", "response.output_item.done",
        "response.completed",
    ]  # fmt: skip
    assert [event.sequence_number for event in received] == list(range(len(received)))
    last = received[-1]
    assert last.type == "response.completed"
    assert last.response.output_text == "Hello from the fake."
    assert last.response.usage is not None
    assert last.response.usage.model_extra == {"cost": 0.0000064, "cost_tokens": "6.4"}
    assert {e.response.id for e in received if hasattr(e, "response")} == {
        market.last_call().public_id
    }
    assert before - market.spendable == FAKE_CALL_COST
    market.assert_books_balance()


def test_the_clients_accumulator(market: Market) -> None:
    """Thought, said, and two functions whose arguments come in turns."""

    def call(index: int, arguments: str, **named: str) -> dict[str, Any]:
        function = {"arguments": arguments, **named}
        return {"tool_calls": [{"index": index, "id": f"t{index}", "function": function}]}

    market.site.upstream.next(
        streamed(
            {"role": "assistant"}, {"reasoning_content": "Hm"}, {"reasoning_content": "."},
            {"content": "Let me "}, {"content": "look."},
            call(0, "", name="get_weather"), call(0, '{"town"'),
            call(1, "", name="get_weather"), call(0, ': "Ulm"}'), call(1, "{}"),
            finish_reason="tool_calls",
        )
    )  # fmt: skip
    with market.client().responses.stream(**GOOD, tools=[TOOL]) as stream:
        events = list(stream)
        final = stream.get_final_response()
    kinds = [event.type for event in events]
    for event in events[:-1]:  # the client has made the last one its own
        assert_valid(event)
    assert [item.type for item in final.output] == [
        "reasoning", "message", "function_call", "function_call",
    ]  # fmt: skip
    assert final.output_text == "Let me look."
    calls = [item for item in final.output if item.type == "function_call"]
    assert [(c.call_id, c.arguments) for c in calls] == [("t0", '{"town": "Ulm"}'), ("t1", "{}")]
    assert (
        kinds.count("response.output_item.added") == kinds.count("response.output_item.done") == 4
    )
    assert kinds.count("response.function_call_arguments.done") == 2
    assert kinds.index("response.reasoning_text.done") < kinds.index("response.output_text.delta")
    market.assert_books_balance()


def test_a_failure_after_the_first_token(market: Market) -> None:
    before = market.spendable
    market.site.upstream.next(Behaviour(break_after=2))
    events = market.client().responses.create(**GOOD, stream=True)
    failed = next(event for event in events if event.type == "response.failed")
    with pytest.raises(APIError, match="Nothing was charged") as raised:
        next(events)
    assert raised.value.code == "upstream_error"
    assert failed.type == "response.failed"
    assert_valid(failed)
    assert failed.response.error is not None
    assert failed.response.error.code == "server_error"
    assert failed.response.output_text == "Hello from"
    assert market.spendable == before
    market.assert_books_balance()


def test_errors_before_there_is_a_response(market: Market, settings: Any) -> None:
    """A failure after a comment has been sent can only be an event, in the caller's language."""
    settings.GATEWAY_KEEPALIVE_SECONDS = 0.1
    market.site.upstream.next(Behaviour(first_delay=0.3, status=500))
    client = market.client(default_headers={"Accept-Language": "zh-CN"})
    events = client.responses.create(**GOOD, stream=True)
    with pytest.raises(APIError, match="没有产生任何费用") as raised:
        next(events)
    assert raised.value.code == "upstream_error"
    market.assert_books_balance()


@pytest.mark.parametrize(
    "said",
    [
        {}, {"content": 5}, {"content": [{"type": "text", "text": "Hi"}, "x", {"text": 5}]},
        {"tool_calls": ["x", {}, {"function": None}, {"id": 5, "function": {"name": 7}}]},
        {"tool_calls": {}, "reasoning": [], "reasoning_content": 1, "refusal": {}},
        {"refusal": "No."},
    ],
)  # fmt: skip
def test_whatever_a_provider_says_can_be_worded(market: Market, said: dict[str, Any]) -> None:
    client = market.client()
    market.site.upstream.next(whole(said, logprobs=5), streamed({"content": "So"}, said))
    response = client.responses.create(**GOOD)
    assert response.status == "completed"
    with client.responses.stream(**GOOD) as stream:
        stream.until_done()
        assert stream.get_final_response().output_text.startswith("So")
    market.assert_books_balance()


def test_only_some_tools_are_allowed(market: Market) -> None:
    allowed: Any = {
        "type": "allowed_tools", "mode": "required",
        "tools": [{"type": "function", "name": "get_weather"}],
    }  # fmt: skip
    tools: Any = [TOOL, {**TOOL, "name": "get_time"}]
    tools.append({"type": "function", "name": "bare"})
    response = market.client().responses.create(
        **GOOD, tools=tools, tool_choice=allowed, text={"verbosity": "low"}
    )
    assert_valid(response)
    assert len(response.tools) == 3
    asked = market.site.upstream.calls[-1].body
    assert [tool["function"]["name"] for tool in asked["tools"]] == ["get_weather"]
    assert asked["tool_choice"] == "required"


def test_what_needs_state_or_a_built_in_tool_is_refused(market: Market) -> None:
    unsupported: list[tuple[str, Any, str]] = [
        ("previous_response_id", "resp_1", ""), ("conversation", "conv_1", ""),
        ("prompt", {"id": "p"}, ""), ("store", True, ""), ("background", True, ""),
        ("truncation", "auto", ""), ("context_management", [{"type": "compaction"}], ""),
        ("tools", [{"type": "web_search"}], "tools[0]"),
        ("tool_choice", {"type": "file_search"}, ""),
        ("input", [{"type": "item_reference", "id": "x"}], "input[0]"),
        ("input", [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}],
         "input[0].content[0].file_id"),
    ]  # fmt: skip
    for name, value, param in unsupported:
        assert_refused(market, "unsupported_parameter", {**GOOD, name: value}, param or name)


def test_fields(market: Market) -> None:
    wrong: list[tuple[str, Any, str]] = [
        ("input", None, ""), ("input", "", ""), ("input", [], ""), ("input", 5, ""),
        ("input", ["x"], "input[0]"), ("input", [{"type": "reasoning"}], ""),
        ("input", [{"role": "robot", "content": "x"}], "input[0].role"),
        ("input", [{"role": "user", "content": 5}], "input[0].content"),
        ("input", [{"role": "user", "content": [{"text": "x"}]}], "input[0].content[0]"),
        ("input", [{"type": "function_call", "name": "f"}], "input[0].call_id"),
        ("instructions", 5, ""), ("max_output_tokens", 0, ""), ("max_output_tokens", "9", ""),
        ("tools", {}, ""), ("tools", ["x"], "tools[0]"),
        ("tools", [{"type": "function"}], "tools[0]"),
        ("tool_choice", "maybe", ""), ("text", "json", ""),
        ("text", {"format": "x"}, "text.format"),
        ("reasoning", "low", ""), ("metadata", [], ""), ("include", "x", ""), ("store", "no", ""),
        ("tool_choice", {"name": "f"}, ""), ("stream", "yes", ""), ("model", None, ""),
    ]  # fmt: skip
    for name, value, param in wrong:
        assert_refused(market, "invalid_value", {**GOOD, name: value}, param or name)
    assert_refused(market, "wrong_operation", {**GOOD, "model": EMBEDDINGS}, "model")


def assert_refused(market: Market, code: str, body: dict[str, Any], param: str) -> None:
    status, _headers, answer = market.post(PATH, body)
    assert (status, answer["error"]["code"]) == (400, code), (body, answer)
    assert answer["error"]["param"] == param
    assert not Call.objects.exists()
    assert not Hold.objects.exists()
    assert market.site.upstream.calls == []
