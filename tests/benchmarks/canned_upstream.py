"""A provider that answers every request with the same chat completion, at next to no cost.

``python -m tests.benchmarks.canned_upstream PORT``. Not an HTTP library: whatever it would cost
would be taken from the two cores that the measured server shares.
"""

import asyncio
import sys
from typing import cast

import orjson
import uvloop

ANSWER = {
    "id": "chatcmpl-canned",
    "object": "chat.completion",
    "created": 1_790_000_000,
    "model": "canned",
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": "Hello! How can I help you today?"},
        }
    ],
    "usage": {"prompt_tokens": 12, "completion_tokens": 9, "total_tokens": 21},
}
_BODY = orjson.dumps(ANSWER)
_RESPONSE = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(_BODY)
) + _BODY
_END_OF_HEAD = b"\r\n\r\n"
_LENGTH = b"content-length:"


class CannedProtocol(asyncio.Protocol):
    """Requests one after the other, each with a content-length."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transport is no asyncio.Transport by class.
        self._transport = cast(asyncio.Transport, transport)
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (head_end := self._received.find(_END_OF_HEAD)) >= 0:
            head = self._received[:head_end].lower()
            length = head.partition(_LENGTH)[2].partition(b"\r\n")[0]
            end = head_end + len(_END_OF_HEAD) + int(length or 0)
            if len(self._received) < end:
                return
            self._received = self._received[end:]
            self._transport.write(_RESPONSE)


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(CannedProtocol, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
