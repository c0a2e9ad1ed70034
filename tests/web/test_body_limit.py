"""Pages and REST refuse what is too large before it is read into memory or onto the disk."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator

from portal.asgi import application


async def _post(headers: list[tuple[bytes, bytes]], chunks: AsyncIterator[bytes]) -> dict[str, Any]:
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": "/login/",
        "raw_path": b"/login/",
        "query_string": b"",
        "headers": [(b"host", b"localhost"), *headers],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "scheme": "http",
    }
    visitor = ApplicationCommunicator(application, scope)
    async for chunk in chunks:
        await visitor.send_input({"type": "http.request", "body": chunk, "more_body": True})
    start = await visitor.receive_output(timeout=10)
    await visitor.receive_output(timeout=10)
    return start


async def _pieces(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b"x" * 65536
        await asyncio.sleep(0)


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_over_the_limit_is_413(settings: Any, declared: bool) -> None:
    settings.PAGE_MAX_BODY_BYTES = 100_000
    headers = [(b"content-length", b"100001")] if declared else [(b"transfer-encoding", b"chunked")]
    answer = await _post(headers, _pieces(0 if declared else 3))
    assert answer["status"] == 413
