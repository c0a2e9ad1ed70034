"""Output items of a streamed response, each as it grows and with the events that tell of it."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from marketplace.gateway.responses import answer

# A type, and the fields beside it and the sequence number.
Event = tuple[str, dict[str, Any]]


class GrowingItem(ABC):
    """One item from its first event to its last. ``place`` is its index in the output."""

    def __init__(self, item_id: str, place: int) -> None:
        self.item_id = item_id
        self.place = place

    @property
    def where(self) -> dict[str, Any]:
        return {"item_id": self.item_id, "output_index": self.place}

    @abstractmethod
    def begin(self) -> Iterator[Event]: ...

    @abstractmethod
    def end(self, status: str) -> Iterator[Event]: ...

    @abstractmethod
    def render(self, status: str) -> dict[str, Any]:
        """As it is by now."""

    def _added(self) -> Event:
        return (
            "response.output_item.added",
            {"output_index": self.place, "item": self.render("in_progress")},
        )

    def _done(self, status: str) -> Event:
        return (
            "response.output_item.done",
            {"output_index": self.place, "item": self.render(status)},
        )


class TextItem(GrowingItem):
    """One part of text of one kind: what the model says, thinks, or why it refuses."""

    # By kind: the events' name, and the field that a finished part's text has in its last event.
    _EVENTS = {
        "text": ("response.output_text", "text"),
        "refusal": ("response.refusal", "refusal"),
        "reasoning": ("response.reasoning_text", "text"),
    }

    def __init__(self, item_id: str, place: int, kind: str) -> None:
        super().__init__(item_id, place)
        self.kind = kind
        self._event, self._field = self._EVENTS[kind]
        self._pieces: list[str] = []
        self._logprobs: list[Any] = []
        self._begun = False

    @property
    def where(self) -> dict[str, Any]:
        return {**super().where, "content_index": 0}

    def render(self, status: str) -> dict[str, Any]:
        if self.kind == "reasoning":
            return answer.reasoning_item(self.item_id, "".join(self._pieces), status)
        parts = [self._part()] if self._begun else []
        return answer.message_item(self.item_id, parts, status)

    def begin(self) -> Iterator[Event]:
        yield self._added()
        self._begun = True
        yield "response.content_part.added", {**self.where, "part": self._part()}

    def grow(self, text: str, logprobs: list[Any]) -> Iterator[Event]:
        self._pieces.append(text)
        self._logprobs += logprobs
        more = {"logprobs": logprobs} if self.kind == "text" else {}
        yield f"{self._event}.delta", {**self.where, "delta": text, **more}

    def end(self, status: str) -> Iterator[Event]:
        more = {"logprobs": self._logprobs} if self.kind == "text" else {}
        whole = {self._field: "".join(self._pieces)}
        yield f"{self._event}.done", {**self.where, **whole, **more}
        yield "response.content_part.done", {**self.where, "part": self._part()}
        yield self._done(status)

    def _part(self) -> dict[str, Any]:
        text = "".join(self._pieces)
        if self.kind == "text":
            return answer.text_part(text, list(self._logprobs))
        if self.kind == "refusal":
            return answer.refusal_part(text)
        return answer.reasoning_part(text)


class FunctionItem(GrowingItem):
    """One call of a function of the caller's."""

    def __init__(self, item_id: str, place: int, *, call_id: str, name: str) -> None:
        super().__init__(item_id, place)
        self._call_id = call_id
        self._name = name
        self._pieces: list[str] = []

    def render(self, status: str) -> dict[str, Any]:
        return answer.function_item(
            self.item_id,
            call_id=self._call_id,
            name=self._name,
            arguments="".join(self._pieces),
            status=status,
        )

    def begin(self) -> Iterator[Event]:
        yield self._added()

    def name(self, name: str) -> None:
        """Some engines name the function after they began to call it."""
        self._name = self._name or name

    def grow(self, arguments: str) -> Iterator[Event]:
        self._pieces.append(arguments)
        yield "response.function_call_arguments.delta", {**self.where, "delta": arguments}

    def end(self, status: str) -> Iterator[Event]:
        yield (
            "response.function_call_arguments.done",
            {**self.where, "name": self._name, "arguments": "".join(self._pieces)},
        )
        yield self._done(status)
