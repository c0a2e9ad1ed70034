"""Chat, completions and embeddings: the provider is asked at the same address, and what it answers
is passed on with our ids, the model that was asked for, and the cost."""

from collections.abc import Mapping
from typing import Any

from marketplace.gateway import answers, parameters
from marketplace.gateway.calls import Closed, RunningCall
from marketplace.gateway.errors import GatewayRefusal
from marketplace.gateway.event_stream import EventStream
from marketplace.gateway.requests import CallRequest
from marketplace.gateway.voices.interface import Farewell
from marketplace.upstream import shaping
from marketplace.upstream.openai_client import CHAT_PATH, COMPLETIONS_PATH, EMBEDDINGS_PATH
from marketplace.upstream.usage import Usage


class TextVoice:
    """Of chat and completions, which differ in names only: ``chunk_object`` is a chunk's
    ``object``, ``empty`` what a choice without text has beside its ``finish_reason``."""

    def __init__(self, path: str, chunk_object: str, empty: Mapping[str, Any]) -> None:
        self.path = path
        self.chunk_object = chunk_object
        self.empty = empty

    def shape(self, call: RunningCall) -> bytes:
        return shaping.shape_generation(
            call.request.body,
            service=call.service,
            max_tokens=call.max_tokens,
            dropped=parameters.list_dropped(call.service, call.request),
        )

    def read_parts(self, answer: dict[str, Any]) -> list[Any]:
        return answers.read_parts(answer, "choices")

    def write(self, answer: dict[str, Any], call: RunningCall) -> dict[str, Any]:
        written = {name: answer[name] for name in answer if name not in ("usage", "tokenworks")}
        written["id"] = call.opened.public_id
        written["model"] = call.model
        limited_by = answers.name_limit(call, answers.read_finish_reason(answer["choices"]))
        return answers.write_out(written | answers.render_limit(limited_by))

    def render_usage(self, usage: Usage, closed: Closed) -> dict[str, Any]:
        return {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "total_tokens": usage.prompt_tokens + usage.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
            "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
            **answers.render_cost(closed),
        }

    def speak(self, events: EventStream, request: CallRequest) -> "ChunkSpeaker":
        return ChunkSpeaker(self, events, request)


class ChunkSpeaker:
    """Chunks as the provider sends them; the usage, for who asked for it, in a last one."""

    def __init__(self, voice: TextVoice, events: EventStream, request: CallRequest) -> None:
        self._voice = voice
        self._events = events
        self._request = request

    async def say(self, call: RunningCall, chunk: dict[str, Any]) -> None:
        chunk.pop("tokenworks", None)
        chunk["id"] = call.opened.public_id
        chunk["model"] = call.model
        if self._request.include_usage:
            chunk["usage"] = None
        await self._events.send(chunk)

    async def end(self, call: RunningCall, farewell: Farewell) -> None:
        base: dict[str, Any] = {
            "id": call.opened.public_id,
            "object": self._voice.chunk_object,
            "created": int(call.opened.started_at.timestamp()),
            "model": call.model,
        }
        limited = answers.render_limit(farewell.limited_by)
        if farewell.cut:
            finished = [
                self._finish(number, farewell.finish_reason)
                for number in range(self._request.answers)
            ]
            await self._events.send({**base, "choices": finished, **limited})
        if self._request.include_usage:
            usage = self._voice.render_usage(farewell.usage, farewell.closed)
            await self._events.send({**base, "choices": [], "usage": usage, **limited})
        await self._events.say_done()

    async def fail(self, refusal: GatewayRefusal) -> None:
        """The last chunk then has an ``error``, which the official clients raise."""
        said = await self._events.refuse(refusal)
        if said is None:
            return
        chunk = {
            **said,
            "object": self._voice.chunk_object,
            "choices": [self._finish(0, "error")],
        }
        await self._events.send(chunk)
        await self._events.say_done()

    def _finish(self, number: int, reason: str) -> dict[str, Any]:
        return {"index": number, **self._voice.empty, "finish_reason": reason}


class VectorVoice:
    """Of embeddings."""

    path = EMBEDDINGS_PATH

    def shape(self, call: RunningCall) -> bytes:
        return shaping.shape_embeddings(call.request.body, service=call.service)

    def read_parts(self, answer: dict[str, Any]) -> list[Any]:
        return answers.read_parts(answer, "data")

    def write(self, answer: dict[str, Any], call: RunningCall) -> dict[str, Any]:
        written = {name: answer[name] for name in answer if name not in ("usage", "tokenworks")}
        written["model"] = call.model
        return answers.write_out(written)

    def render_usage(self, usage: Usage, closed: Closed) -> dict[str, Any]:
        return {
            "prompt_tokens": usage.prompt_tokens,
            "total_tokens": usage.prompt_tokens + usage.completion_tokens,
            **answers.render_cost(closed),
        }


CHAT = TextVoice(CHAT_PATH, "chat.completion.chunk", {"delta": {}})
COMPLETIONS = TextVoice(COMPLETIONS_PATH, "text_completion", {"text": "", "logprobs": None})
EMBEDDINGS = VectorVoice()
