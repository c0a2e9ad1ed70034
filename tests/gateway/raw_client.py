"""A client on a bare socket: it reads as little as it likes and leaves when it likes."""

import json
import socket
from types import TracebackType
from typing import Any

from tests.gateway.market import GOOD, STREAM, Market


class RawCall:
    """A chat call whose answer is read piece by piece."""

    def __init__(self, market: Market, **body: Any) -> None:
        self._socket = socket.create_connection(("127.0.0.1", market.site.port), timeout=20)
        payload = json.dumps({**GOOD, **body}).encode()
        head = (
            "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            f"Authorization: Bearer {market.secret}\r\nContent-Length: {len(payload)}\r\n\r\n"
        )
        self._socket.sendall(head.encode() + payload)
        self.received = b""

    def read_until(self, text: str) -> None:
        """Fails when the answer ends before ``text`` came."""
        while text.encode() not in self.received:
            piece = self._socket.recv(65536)
            assert piece, f"ended after {self.received!r}"
            self.received += piece

    def read_some(self, size: int) -> None:
        self.received += self._socket.recv(size)

    def read_all(self) -> str:
        while piece := self._socket.recv(65536):
            self.received += piece
        return self.received.decode()

    def leave(self) -> None:
        self._socket.close()

    def __enter__(self) -> "RawCall":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()


def read_events(market: Market, body: Any = STREAM) -> list[Any]:
    """The data of a streamed answer, the last one included."""
    with RawCall(market, **{k: v for k, v in body.items() if k not in GOOD}) as call:
        head, _blank, events = call.read_all().partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 200")
    lines = [line for line in events.splitlines() if line.startswith("data: ")]
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
