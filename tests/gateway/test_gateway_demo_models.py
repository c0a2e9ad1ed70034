"""The real models of the demo behind the gateway: real counts, real charges, real vectors."""

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.conf import LazySettings

from accounts.models import Organisation
from marketplace.metering.models import Call, Recount
from portal.management.demo_servers import missing_packages
from tests.cast import make_key
from tests.gateway.market import Market
from tests.gateway.raw_client import RawCall
from tests.gateway.thread_site import ThreadSite
from tests.market import give_tokens
from tests.partners.cast import make_live_service, make_model, make_provider

START_SECONDS = 60.0
PRICES = {"input_millitokens": 20, "cached_input_millitokens": 5, "output_millitokens": 60}
QUESTION: list[Any] = [{"role": "user", "content": "Say hello in one short sentence."}]


@contextmanager
def demo_server(kind: str) -> Iterator[int]:
    """The port of a running model, or a skip that says what is missing."""
    if missing := missing_packages(kind):
        pytest.skip(f"not installed: {', '.join(missing)} (requirements/demo.txt)")
    port = _free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "portal.management.demo_servers", kind, str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        give_up_at = time.monotonic() + START_SECONDS
        while not _answers(port):
            assert process.poll() is None, "the model's server ended"
            assert time.monotonic() < give_up_at, "the model's server did not start"
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(20)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=5) as answer:
            return answer.status == 200
    except urllib.error.HTTPError as error:
        return error.code == 404
    except OSError:
        return False


@pytest.mark.only_on("sqlite", why="the models answer the same on every database: once is enough")
def test_chat_and_embeddings(
    thread_site: ThreadSite, acme: Organisation, settings: LazySettings
) -> None:
    settings.UPSTREAM_DRAIN_SECONDS = 100.0  # a busy machine generates slowly
    settings.RECOUNT_SAMPLE_PERCENT = 100
    with demo_server("chat") as chat_port, demo_server("embeddings") as embeddings_port:
        ports = (chat_port, embeddings_port)
        settings.OUTBOUND_ALLOWED_PRIVATE = [f"127.0.0.1:{port}" for port in ports]
        give_tokens(acme)
        key, secret = make_key(acme)
        provider = make_provider("Rhine")
        chat = make_live_service(
            provider,
            make_model("huggingface/smollm2-135m-instruct", context_length=8192),
            endpoint_url=f"http://127.0.0.1:{chat_port}/v1",
            upstream_model="smollm2-135m-instruct",
            prices=PRICES,
        )
        embeddings = make_live_service(
            provider,
            make_model("intfloat/multilingual-e5-small", modality="embedding", context_length=512),
            endpoint_url=f"http://127.0.0.1:{embeddings_port}/v1",
            upstream_model="multilingual-e5-small",
            prices={**PRICES, "output_millitokens": 0},
        )
        thread_site.start()
        market = Market(thread_site, acme, key, secret, chat, embeddings)
        client = market.client()

        answer = client.chat.completions.create(
            model=chat.model.handle, messages=QUESTION, max_tokens=24, temperature=0
        )
        assert answer.choices[0].message.content
        assert answer.usage is not None
        call = market.last_call()
        assert (call.prompt_tokens, call.completion_tokens) == (
            answer.usage.prompt_tokens, answer.usage.completion_tokens,
        )  # fmt: skip
        assert 5 < call.prompt_tokens < 100
        assert 0 < call.completion_tokens <= 24
        assert call.usage_doubt == ""

        text = client.completions.create(
            model=chat.model.handle, prompt="Once upon a time", max_tokens=8, temperature=0
        )
        assert text.choices[0].text
        with client.responses.stream(
            model=chat.model.handle, input="Say hello.", max_output_tokens=8, temperature=0
        ) as stream:
            last = list(stream)[-1]
        assert last.type in ("response.completed", "response.incomplete")
        assert last.response.output_text
        assert last.response.usage is not None
        assert 0 < last.response.usage.output_tokens <= 8
        assert market.last_call().usage_doubt == ""
        # llama.cpp may have taken a part of the prompt from its cache.
        fresh = call.prompt_tokens - call.cached_tokens
        assert call.cost_millitokens == (
            fresh * 20 + call.cached_tokens * 5 + call.completion_tokens * 60
        )

        with client.chat.completions.create(
            model=chat.model.handle, messages=QUESTION, max_tokens=24, stream=True,
            temperature=0, stream_options={"include_usage": True},
        ) as chunks:  # fmt: skip
            received = list(chunks)
        assert received[-1].usage is not None
        assert received[-1].usage.completion_tokens == market.last_call().completion_tokens
        assert market.last_call().first_token_ms is not None

        # The market reads the model's vocabulary from its weights, and counts what it counts.
        give_up_at = time.monotonic() + 60
        while Recount.objects.count() < 4:
            assert time.monotonic() < give_up_at
            time.sleep(0.05)
        for recount in Recount.objects.select_related("call"):
            assert (recount.tokenizer, recount.verdict) == ("smollm2", "agrees")
            assert abs(recount.completion_reported - (recount.completion_counted or 0)) <= 1
            if recount.call.operation != "completions":
                assert recount.prompt_counted == recount.prompt_reported

        vectors = client.embeddings.create(
            model=embeddings.model.handle, input=["query: hello", "query: 你好"]
        )
        assert [len(vector.embedding) for vector in vectors.data] == [384, 384]
        assert market.last_call().cost_millitokens == vectors.usage.prompt_tokens * 20 > 0

        # A reader who leaves pays for what was generated for them, by the model's own count.
        with RawCall(market, model=chat.model.handle, stream=True, max_tokens=16) as raw:
            raw.read_until("content")
        give_up_at = time.monotonic() + 120
        while Call.objects.filter(status="open").exists():
            assert time.monotonic() < give_up_at
            time.sleep(0.05)
        assert market.last_call().status in ("client_disconnected", "succeeded")
        assert market.last_call().prompt_tokens > 5
        assert not Call.objects.exclude(usage_doubt="").exists()
        market.assert_books_balance()
