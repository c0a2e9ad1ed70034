"""A streamed response: chunks of a chat answer in, numbered events out."""

from collections.abc import Iterable
from typing import Any

from marketplace.gateway.calls import RunningCall
from marketplace.gateway.errors import GatewayRefusal
from marketplace.gateway.event_stream import EventStream
from marketplace.gateway.responses import answer
from marketplace.gateway.responses.growing import Event, FunctionItem, GrowingItem, TextItem
from marketplace.gateway.voices.interface import Farewell

# What a failed response's error may be called; our own code is in the ``error`` event.
_ERROR_CODES = {429: "rate_limit_exceeded", 400: "invalid_prompt"}


class ResponseSpeaker:
    """Items follow one another: a text ends where the next kind begins. Function calls may grow in
    turns, so they all end with the answer."""

    def __init__(self, events: EventStream) -> None:
        self._events = events
        self._number = 0
        self._call: RunningCall | None = None
        self._items: list[GrowingItem] = []
        self._text: TextItem | None = None
        self._functions: dict[int, FunctionItem] = {}

    async def say(self, call: RunningCall, chunk: dict[str, Any]) -> None:
        await self._begin(call)
        for choice in chunk["choices"]:
            delta = choice.get("delta") if isinstance(choice, dict) else None
            if isinstance(delta, dict) and choice.get("index", 0) == 0:
                await self._take(call, delta, answer.read_logprobs(choice))

    async def end(self, call: RunningCall, farewell: Farewell) -> None:
        await self._begin(call)
        status = answer.read_status(farewell.finish_reason)
        output = await self._end_items(status)
        response = answer.render_response(
            call,
            status=status,
            output=output,
            finish_reason=farewell.finish_reason,
            limited_by=farewell.limited_by,
        )
        response["usage"] = answer.render_usage(farewell.usage, farewell.closed)
        await self._tell([(f"response.{status}", {"response": response})])
        await self._events.finish()

    async def fail(self, refusal: GatewayRefusal) -> None:
        """``response.failed`` if there is a response, then ``error``, which the official clients
        raise. It has its fields both as the reference has them and as chat's errors do."""
        said = await self._events.refuse(refusal)
        if said is None:
            return
        error = said["error"]
        if self._call is not None:
            code = _ERROR_CODES.get(refusal.status, "server_error")
            failed = answer.render_response(
                self._call,
                status="failed",
                output=[item.render("incomplete") for item in self._items],
                error={"code": code, "message": error["message"]},
            )
            await self._tell([("response.failed", {"response": failed})])
        named = {name: error[name] for name in ("code", "message", "param")}
        await self._tell([("error", {**named, "error": error})])
        await self._events.finish()

    async def _begin(self, call: RunningCall) -> None:
        if self._call is None:
            self._call = call
            response = answer.render_response(call, status="in_progress")
            begun = {"response": response}
            await self._tell([("response.created", begun), ("response.in_progress", begun)])

    async def _take(self, call: RunningCall, delta: dict[str, Any], logprobs: list[Any]) -> None:
        said = {
            "reasoning": answer.read_reasoning(delta),
            "text": answer.read_text(delta.get("content")),
            "refusal": answer.read_text(delta.get("refusal")),
        }
        for kind, text in said.items():
            if text:
                item = await self._get_text(call, kind)
                await self._tell(item.grow(text, logprobs if kind == "text" else []))
        for called in answer.read_tool_calls(delta):
            await self._take_function(call, called)

    async def _get_text(self, call: RunningCall, kind: str) -> TextItem:
        if self._text is None or self._text.kind != kind:
            await self._end_text("completed")
            prefix = "rs" if kind == "reasoning" else "msg"
            place = len(self._items)
            self._text = TextItem(answer.item_id(prefix, call, place), place, kind)
            await self._add(self._text)
        return self._text

    async def _take_function(self, call: RunningCall, called: dict[str, Any]) -> None:
        index = called.get("index")
        number = index if isinstance(index, int) else len(self._functions)
        function = called.get("function")
        function = function if isinstance(function, dict) else {}
        name = answer.read_text(function.get("name"))
        item = self._functions.get(number)
        if item is None:
            await self._end_text("completed")
            place = len(self._items)
            item = self._functions[number] = FunctionItem(
                answer.item_id("fc", call, place),
                place,
                call_id=answer.read_text(called.get("id")) or answer.item_id("call", call, place),
                name=name,
            )
            await self._add(item)
        item.name(name)
        if arguments := answer.read_text(function.get("arguments")):
            await self._tell(item.grow(arguments))

    async def _add(self, item: GrowingItem) -> None:
        self._items.append(item)
        await self._tell(item.begin())

    async def _end_text(self, status: str) -> None:
        if self._text is not None:
            await self._tell(self._text.end(status))
            self._text = None

    async def _end_items(self, status: str) -> list[dict[str, Any]]:
        """The whole output; what was still growing has the response's status."""
        growing: list[GrowingItem | None] = [self._text, *self._functions.values()]
        output = [item.render(status if item in growing else "completed") for item in self._items]
        await self._end_text(status)
        for function in self._functions.values():
            await self._tell(function.end(status))
        return output

    async def _tell(self, events: Iterable[Event]) -> None:
        for name, fields in events:
            event = {"type": name, **fields, "sequence_number": self._number}
            self._number += 1
            await self._events.send(event, name=name)
