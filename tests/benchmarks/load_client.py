"""The load: so many connections, each asking again as soon as it is answered.

``python -m tests.benchmarks.load_client`` reads a plan from standard input (JSON, see Plan) and
writes what it measured to standard output (JSON, see Load). Plain sockets, for the same reason as
the canned upstream.
"""

import asyncio
import base64
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import cast

import orjson
import uvloop

_END_OF_HEAD = b"\r\n\r\n"
_LENGTH = b"content-length:"
GRACE_SECONDS = 60.0


@dataclass
class Plan:
    """``requests`` are whole HTTP requests in base 64; connection n sends number n mod their count.

    The first ``warm_up_seconds`` are not measured. ``most_requests`` ends it early (0: never).
    """

    port: int
    requests: list[str]
    connections: int
    seconds: float
    warm_up_seconds: float = 1.0
    most_requests: int = 0


@dataclass
class Load:
    """Latencies in seconds, of the answers with status 200; ``failed`` counts the others."""

    latencies: list[float] = field(default_factory=list)
    failed: int = 0
    seconds: float = 0.0
    first_failure: str = ""


class _Run:
    def __init__(self, plan: Plan) -> None:
        self.load = Load()
        self.starts_at = time.perf_counter() + plan.warm_up_seconds
        self.ends_at = self.starts_at + plan.seconds
        self.most_requests = plan.most_requests

    def is_over(self, now: float) -> bool:
        enough = self.most_requests and len(self.load.latencies) >= self.most_requests
        return bool(enough) or now >= self.ends_at


class ClientProtocol(asyncio.Protocol):
    """One connection."""

    def __init__(self, run: _Run, request: bytes) -> None:
        self._run = run
        self._request = request
        self._received = b""
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transport is no asyncio.Transport by class.
        self._transport = cast(asyncio.Transport, transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head_end = self._received.find(_END_OF_HEAD)
        if head_end < 0:
            return
        head = self._received[:head_end].lower()
        length = head.partition(_LENGTH)[2].partition(b"\r\n")[0]
        if len(self._received) < head_end + len(_END_OF_HEAD) + int(length or 0):
            return
        self._note()
        self._received = b""
        if self._run.is_over(time.perf_counter()):
            self._transport.close()
        else:
            self._ask()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.finished.done():
            self.finished.set_result(None)

    def _ask(self) -> None:
        self._asked_at = time.perf_counter()
        self._transport.write(self._request)

    def _note(self) -> None:
        now, load = time.perf_counter(), self._run.load
        if self._asked_at < self._run.starts_at:
            return
        if self._received.startswith(b"HTTP/1.1 200"):
            load.latencies.append(now - self._asked_at)
        else:
            load.failed += 1
            load.first_failure = load.first_failure or self._received[:500].decode("latin-1")


async def run(plan: Plan) -> Load:
    loop = asyncio.get_running_loop()
    current = _Run(plan)
    clients = []
    for number in range(plan.connections):
        request = base64.b64decode(plan.requests[number % len(plan.requests)])
        client = ClientProtocol(current, request)
        await loop.create_connection(lambda client=client: client, "127.0.0.1", plan.port)  # type: ignore[misc]
        clients.append(client)
    async with asyncio.timeout(plan.warm_up_seconds + plan.seconds + GRACE_SECONDS):
        await asyncio.gather(*(client.finished for client in clients))
    current.load.seconds = min(time.perf_counter(), current.ends_at) - current.starts_at
    return current.load


if __name__ == "__main__":
    wanted = Plan(**orjson.loads(sys.stdin.buffer.read()))
    sys.stdout.buffer.write(orjson.dumps(asdict(uvloop.run(run(wanted)))))
