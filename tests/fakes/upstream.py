"""A provider's OpenAI-compatible server that behaves, or misbehaves, as the test says.

It runs on 127.0.0.1 in a thread of the test process, so that a test scripts it and reads what it
was asked while real server processes call it. Script the next calls with ``upstream.next(...)``;
unscripted calls are answered in full by ``upstream.default``.
"""

import asyncio
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from aiohttp import web

PROMPT_TOKENS = 12
START_SECONDS = 10.0


@dataclass(frozen=True)
class Behaviour:
    """How one call is answered; the defaults make a well-behaved provider.

    ``words`` are the completion, one token and one chunk each. ``usage`` is counted, left out, or
    the given object. Times are seconds. ``*_after`` counts chunks that were sent; 0 is before the
    first byte of the answer. A whole answer breaks in its middle after any number.
    """

    words: tuple[str, ...] = ("Hello", " from", " the", " fake", ".")
    usage: Mapping[str, Any] | Literal["counted", "none"] = "counted"
    prompt_tokens: int = PROMPT_TOKENS
    cached_tokens: int = 0
    finish_reason: str = "stop"
    status: int = 200
    error: Mapping[str, Any] | str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    first_delay: float = 0.0
    chunk_delay: float = 0.0
    break_after: int | None = None
    hang_after: int | None = None
    # Sent as the whole body instead of an answer.
    raw: bytes | None = None
    # Sent as an event stream instead of an answer, each on its own, ``chunk_delay`` apart.
    pieces: tuple[bytes, ...] = ()
    # The call waits until the test sets it.
    gate: threading.Event | None = None
    honours_max_tokens: bool = True


NORMAL = Behaviour()


@dataclass
class ReceivedCall:
    path: str
    body: dict[str, Any]
    headers: dict[str, str]
    ended: Literal["", "answered", "broken", "abandoned"] = ""
    chunks_sent: int = 0


class FakeUpstream:
    """``url`` is what a listing has as its endpoint; ``calls`` grows as calls arrive."""

    def __init__(self) -> None:
        self.calls: list[ReceivedCall] = []
        self.default = NORMAL
        self._script: deque[Behaviour] = deque()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._stopping: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="fake-upstream", daemon=True)
        self.port = 0

    @property
    def address(self) -> str:
        """host:port, for OUTBOUND_ALLOWED_PRIVATE."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}/v1"

    def next(self, *behaviours: Behaviour) -> None:
        """The next calls are answered so, in this order."""
        self._script.extend(behaviours)

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(START_SECONDS), "the fake upstream did not start"

    def stop(self) -> None:
        if self._stopping is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(START_SECONDS)

    def wait_until(self, condition: Callable[["FakeUpstream"], bool], seconds: float = 10) -> None:
        """Fails unless the condition holds in time."""
        give_up_at = time.monotonic() + seconds
        while not condition(self):
            assert time.monotonic() < give_up_at, f"the upstream saw only {self.calls}"
            time.sleep(0.01)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stopping = asyncio.Event()
        application = web.Application()
        application.router.add_post("/v1/chat/completions", self._chat)
        application.router.add_post("/v1/completions", self._continue)
        application.router.add_post("/v1/embeddings", self._embed)
        application.router.add_get("/v1/models", self._models)
        # Cancelling the handler is how aiohttp tells that the caller has gone.
        runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = runner.addresses[0][1]
        self._ready.set()
        await self._stopping.wait()
        await runner.cleanup()

    async def _begin(self, request: web.Request) -> tuple[ReceivedCall, Behaviour]:
        behaviour = self._script.popleft() if self._script else self.default
        body = await request.json()
        call = ReceivedCall(request.path, body, dict(request.headers))
        self.calls.append(call)
        try:
            # A thread's event: the test sets it from outside this loop.
            while behaviour.gate is not None and not behaviour.gate.is_set():  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            await asyncio.sleep(behaviour.first_delay)
            if behaviour.hang_after == 0:
                await asyncio.sleep(3600)
        except asyncio.CancelledError:
            call.ended = "abandoned"
            raise
        return call, behaviour

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        call, behaviour = await self._begin(request)
        if failure := _fail(request, call, behaviour):
            return failure
        if behaviour.pieces:
            return await _send_pieces(request, call, behaviour)
        words = list(behaviour.words)
        limit = call.body.get("max_completion_tokens") or call.body.get("max_tokens")
        finish_reason = behaviour.finish_reason
        if limit is not None and behaviour.honours_max_tokens and limit < len(words):
            words, finish_reason = words[:limit], "length"
        if call.body.get("stream"):
            return await self._stream(request, call, behaviour, words, finish_reason)
        await asyncio.sleep(behaviour.chunk_delay * len(words))
        message = {"role": "assistant", "content": "".join(words)}
        answer = {
            "id": f"chatcmpl-fake-{len(self.calls)}",
            "object": "chat.completion",
            "created": 1_790_000_000,
            "model": call.body.get("model"),
            "choices": [{"index": 0, "message": message, "finish_reason": finish_reason}],
            **_usage(behaviour, len(words)),
        }
        if behaviour.break_after:
            return await _break_in_the_middle(request, call, json.dumps(answer).encode())
        call.ended = "answered"
        return web.json_response(answer, headers=behaviour.headers)

    async def _continue(self, request: web.Request) -> web.StreamResponse:
        """Every prompt goes on with the same words, each ``n`` times."""
        call, behaviour = await self._begin(request)
        if failure := _fail(request, call, behaviour):
            return failure
        if behaviour.pieces:
            return await _send_pieces(request, call, behaviour)
        prompt = call.body["prompt"]
        prompts = prompt if isinstance(prompt, list) and isinstance(prompt[0], str) else [prompt]
        words = list(behaviour.words[: call.body["max_tokens"]])
        reason = behaviour.finish_reason if len(words) == len(behaviour.words) else "length"
        base = {
            "id": f"cmpl-fake-{len(self.calls)}",
            "object": "text_completion",
            "created": 1_790_000_000,
            "model": call.body.get("model"),
        }
        if call.body.get("stream"):
            events = [*((word, None) for word in words), ("", reason)]
            chunks: list[dict[str, Any]] = [
                {**base, "choices": [{"index": 0, "text": text, "finish_reason": ending}]}
                for text, ending in events
            ]
            chunks.append({**base, "choices": [], **_usage(behaviour, len(words))})
            lines = [*map(json.dumps, chunks), "[DONE]"]
            pieces = tuple(f"data: {line}\n\n".encode() for line in lines)
            return await _send_pieces(request, call, replace(behaviour, pieces=pieces))
        starts = [text if call.body.get("echo") else "" for text in prompts]
        texts = [start + "".join(words) for start in starts for _ in range(call.body.get("n", 1))]
        choices = [
            {"index": index, "text": text, "logprobs": None, "finish_reason": reason}
            for index, text in enumerate(texts)
        ]
        usage = _usage(behaviour, len(words) * len(texts))
        call.ended = "answered"
        return web.json_response({**base, "choices": choices, **usage}, headers=behaviour.headers)

    async def _stream(
        self,
        request: web.Request,
        call: ReceivedCall,
        behaviour: Behaviour,
        words: list[str],
        finish_reason: str,
    ) -> web.StreamResponse:
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", **behaviour.headers}
        )
        base = {
            "id": f"chatcmpl-fake-{len(self.calls)}",
            "object": "chat.completion.chunk",
            "created": 1_790_000_000,
            "model": call.body.get("model"),
        }
        deltas: list[tuple[dict[str, str], str | None]] = [
            ({"content": word}, None) for word in words
        ]
        deltas.append(({}, finish_reason))
        try:
            await response.prepare(request)
            for delta, reason in deltas:
                if call.chunks_sent == behaviour.break_after:
                    call.ended = "broken"
                    assert request.transport is not None
                    request.transport.abort()
                    return response
                if call.chunks_sent == behaviour.hang_after:
                    await asyncio.sleep(3600)
                choice = {"index": 0, "delta": delta, "finish_reason": reason}
                await _send_event(response, {**base, "choices": [choice]})
                call.chunks_sent += 1
                await asyncio.sleep(behaviour.chunk_delay)
            asked = (call.body.get("stream_options") or {}).get("include_usage")
            if asked and (usage := _usage(behaviour, len(words))):
                await _send_event(response, {**base, "choices": [], **usage})
            await response.write(b"data: [DONE]\n\n")
            await response.write_eof()
        except (asyncio.CancelledError, ConnectionResetError):
            call.ended = "abandoned"
            raise
        call.ended = "answered"
        return response

    async def _embed(self, request: web.Request) -> web.StreamResponse:
        call, behaviour = await self._begin(request)
        if failure := _fail(request, call, behaviour):
            return failure
        texts = call.body["input"] if isinstance(call.body["input"], list) else [call.body["input"]]
        data = [
            {"object": "embedding", "index": index, "embedding": [0.25, -0.5, float(len(text))]}
            for index, text in enumerate(texts)
        ]
        answer = {"object": "list", "model": call.body.get("model"), "data": data}
        usage = _usage(behaviour, 0)
        if usage and behaviour.usage == "counted":
            del usage["usage"]["completion_tokens"]
        call.ended = "answered"
        return web.json_response({**answer, **usage}, headers=behaviour.headers)

    async def _models(self, _request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "fake", "object": "model"}]})


def _fail(
    request: web.Request, call: ReceivedCall, behaviour: Behaviour
) -> web.StreamResponse | None:
    """The answer of a call that ends before its first token, or None."""
    if behaviour.break_after == 0:
        call.ended = "broken"
        assert request.transport is not None
        request.transport.abort()
        return web.Response()
    if behaviour.raw is not None:
        call.ended = "answered"
        return web.Response(status=behaviour.status, body=behaviour.raw, headers=behaviour.headers)
    if behaviour.status != 200:
        call.ended = "answered"
        error = behaviour.error or {"message": "scripted failure", "type": "server_error"}
        return web.json_response(
            {"error": error}, status=behaviour.status, headers=behaviour.headers
        )
    return None


async def _break_in_the_middle(
    request: web.Request, call: ReceivedCall, body: bytes
) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": str(len(body))})
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    call.ended = "broken"
    assert request.transport is not None
    request.transport.abort()
    return response


async def _send_pieces(
    request: web.Request, call: ReceivedCall, behaviour: Behaviour
) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for piece in behaviour.pieces:
        await response.write(piece)
        call.chunks_sent += 1
        await asyncio.sleep(behaviour.chunk_delay)
    await response.write_eof()
    call.ended = "answered"
    return response


def _usage(behaviour: Behaviour, completion_tokens: int) -> dict[str, Any]:
    if behaviour.usage == "none":
        return {}
    if behaviour.usage != "counted":
        return {"usage": dict(behaviour.usage)}
    usage: dict[str, Any] = {
        "prompt_tokens": behaviour.prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": behaviour.prompt_tokens + completion_tokens,
    }
    if behaviour.cached_tokens:
        usage["prompt_tokens_details"] = {"cached_tokens": behaviour.cached_tokens}
    return {"usage": usage}


async def _send_event(response: web.StreamResponse, event: Mapping[str, Any]) -> None:
    await response.write(b"data: " + json.dumps(event).encode() + b"\n\n")
