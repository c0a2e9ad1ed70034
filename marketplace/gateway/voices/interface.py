"""What an address of ``/v1`` must be able to do; everything between question and answer (choice,
hold, attempts, delivery, charge) is the same for all of them."""

from dataclasses import dataclass
from typing import Any, Protocol

from marketplace.gateway.calls import Closed, RunningCall
from marketplace.gateway.errors import GatewayRefusal
from marketplace.gateway.event_stream import EventStream
from marketplace.gateway.requests import CallRequest
from marketplace.upstream.usage import Usage


@dataclass(frozen=True, slots=True)
class Farewell:
    """How a streamed answer ended, after it was charged.

    ``cut``: we ended it, so no chunk of the provider's said that it is finished. ``limited_by``
    names a limit of ours that set its length; empty for none.
    """

    usage: Usage
    closed: Closed
    finish_reason: str
    cut: bool
    limited_by: str


class Speaker(Protocol):
    """Words one streamed answer for its caller."""

    async def say(self, call: RunningCall, chunk: dict[str, Any]) -> None:
        """A chunk of the provider's, which may be changed. All chunks are of one call."""

    async def end(self, call: RunningCall, farewell: Farewell) -> None:
        """The usage and the end."""

    async def fail(self, refusal: GatewayRefusal) -> None:
        """An ordinary error answer, or, when the stream has begun, an event that says so."""


class Voice(Protocol):
    """How an address asks providers and words their answers."""

    @property
    def path(self) -> str:
        """The provider's address that is asked."""

    def shape(self, call: RunningCall) -> bytes:
        """The body for the provider."""

    def read_parts(self, answer: dict[str, Any]) -> list[Any]:
        """Choices or vectors of a whole answer. Raises UpstreamFailure when there are none."""

    def write(self, answer: dict[str, Any], call: RunningCall) -> dict[str, Any]:
        """The whole answer but for its usage, each field written out as JSON already.

        For before the charge: what cannot be written, and so not delivered, must not be charged.
        Raises UpstreamFailure.
        """

    def render_usage(self, usage: Usage, closed: Closed) -> dict[str, Any]:
        """The answer's ``usage``, with what it cost."""


class StreamedVoice(Voice, Protocol):
    """Of an address whose answers can be streamed."""

    def speak(self, events: EventStream, request: CallRequest) -> Speaker:
        """For one streamed answer."""
