"""Clients of the gateway: they call, read or leave, and note what they were told a call cost."""

import asyncio
import json
import random
import time
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import aiohttp

from tests.soak.record import OutsideRecord
from tests.soak.world import CHAT_MODELS, EMBEDDING_MODEL, Tenant

PATIENCE = aiohttp.ClientTimeout(total=20)


async def call_at_random(
    chance: random.Random,
    tenants: Sequence[Tenant],
    addresses: Sequence[str],
    record: OutsideRecord,
    *,
    until: float,
) -> None:
    """One client, call after call, with any tenant's key at any web process."""
    async with aiohttp.ClientSession(timeout=PATIENCE) as session:
        while time.monotonic() < until:
            tenant = chance.choice(tenants)
            headers = {"Authorization": f"Bearer {chance.choice(tenant.keys)}"}
            path, body, leave_after = _draw_request(chance)
            url = chance.choice(addresses) + path
            try:
                async with session.post(url, json=body, headers=headers) as answer:
                    heard = await _hear(answer, leave_after=leave_after)
            except aiohttp.ClientConnectorError:
                record.note("nobody there")
                await asyncio.sleep(0.1)
            except (aiohttp.ClientError, TimeoutError) as error:
                # What became of the call is in the books alone.
                record.note("cut", tenant=tenant.public_id, error=type(error).__name__)
            else:
                kind = heard.pop("kind")
                record.note(kind, tenant=tenant.public_id, **heard)
                if kind == "refused":
                    await asyncio.sleep(0.05)


def _draw_request(chance: random.Random) -> tuple[str, dict[str, Any], int | None]:
    """Path, body, and after how many chunks to leave (None: read all)."""
    if chance.random() < 0.15:
        body: dict[str, Any] = {"model": EMBEDDING_MODEL, "input": ["text"] * chance.randint(1, 9)}
        return "/v1/embeddings", body, None
    text = "word " * chance.randint(1, 60)
    body = {
        "model": chance.choice(CHAT_MODELS),
        "messages": [{"role": "user", "content": text}],
        "stream": chance.random() < 0.5,
    }
    if chance.random() < 0.7:
        body["max_tokens"] = chance.randint(1, 60)
    if not body["stream"]:
        return "/v1/chat/completions", body, None
    body["stream_options"] = {"include_usage": True}
    leaves = chance.random() < 0.15
    return "/v1/chat/completions", body, chance.randint(0, 10) if leaves else None


async def _hear(answer: aiohttp.ClientResponse, *, leave_after: int | None) -> dict[str, Any]:
    request = answer.headers.get("x-request-id", "")
    if answer.status != 200:
        refusal = await answer.json()
        return {"kind": "refused", "request": request, "code": refusal["error"]["code"]}
    if answer.content_type == "text/event-stream":
        return {"request": request, **await _hear_stream(answer, leave_after)}
    whole = await answer.json()
    told = _to_millitokens(answer.headers["x-tokenworks-cost"])
    assert told == _to_millitokens(whole["usage"]["cost_tokens"])
    return {"kind": "told", "request": request, "millitokens": told}


async def _hear_stream(answer: aiohttp.ClientResponse, leave_after: int | None) -> dict[str, Any]:
    heard: dict[str, Any] = {"kind": "cut", "error": "a stream without its end"}
    chunks = 0
    async for line in answer.content:
        if not line.startswith(b"data: "):
            continue
        if line.strip() == b"data: [DONE]":
            return heard
        chunk = json.loads(line[6:])
        chunks += 1
        if "error" in chunk:
            return {"kind": "refused", "code": chunk["error"]["code"]}
        if usage := chunk.get("usage"):
            heard = {"kind": "told", "millitokens": _to_millitokens(usage["cost_tokens"])}
        elif leave_after is not None and chunks > leave_after:
            answer.close()
            return {"kind": "left"}
    return heard


def _to_millitokens(tokens: str) -> int:
    amount = Decimal(tokens) * 1000
    assert amount == int(amount)
    return int(amount)
