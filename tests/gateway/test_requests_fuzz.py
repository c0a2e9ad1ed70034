"""Whatever JSON is sent: understood, or refused by name; never an error of ours."""

from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.gateway.completions import parse_completions
from marketplace.gateway.errors import GatewayRefusal
from marketplace.gateway.parameters import find_unsupported
from marketplace.gateway.preferences import read_routing
from marketplace.gateway.requests import parse_chat
from marketplace.gateway.responses.request import parse_responses
from marketplace.gateway.wishes import read_wishes

WORDS = st.sampled_from(
    "message function_call function_call_output reasoning item_reference user assistant developer "
    "input_text output_text input_image input_audio input_file refusal text image_url function "
    "web_search allowed_tools auto required none json_schema json_object 1e5 0.5".split()
)
SCALARS = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-1, 3) | WORDS | st.just("")
NAMES = st.sampled_from(
    "type role content text image_url input_audio file_id call_id name arguments output tools mode "
    "format effort max_cost drop_unsupported url order only ignore sort max_price zdr "
    "quantizations completion by".split()
)
VALUES: Any = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    "input instructions tools tool_choice text reasoning include top_logprobs max_output_tokens "
    "stream stream_options store metadata prompt echo n max_tokens messages response_format stop "
    "tokenworks seed temperature provider models".split()
)
PLAIN: Any = SimpleNamespace(supported_parameters=("temperature",))
GOOD = {"model": "m", "input": "x", "prompt": "x", "messages": [{"role": "user", "content": "x"}]}


@given(fields=st.dictionaries(FIELDS, VALUES, max_size=4))
@pytest.mark.parametrize("parse", [parse_chat, parse_completions, parse_responses])
def test_every_body_is_read_or_refused(parse: Any, fields: dict[str, Any]) -> None:
    body: dict[str, Any] = {**GOOD, **fields}
    if parse is parse_responses and "prompt" not in fields:
        del body["prompt"]
    refusal: GatewayRefusal | None = None
    request: Any = None
    try:
        request = parse(body, body_bytes=len(orjson.dumps(body)))
        read_wishes(body, {})
        assert len(read_routing(body).models) <= 8
        find_unsupported(PLAIN, request)
    except GatewayRefusal as error:
        refusal = error
    if refusal:
        assert (refusal.status, bool(refusal.param)) == (400, True)
        assert refusal.render()["error"]["message"]
    else:
        assert request.prompt_bound > 0
        assert request.answers >= 1
