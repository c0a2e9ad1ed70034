"""Buyers: they order by REST, pay (or not) at the sandbox's page, and note what they were told."""

import asyncio
import random
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from tests.soak.callers import PATIENCE
from tests.soak.record import OutsideRecord
from tests.soak.world import PACK, Tenant

_FORM_TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')
_LOOK_SECONDS = 4.0

Answer = tuple[int, Any]


class Buyer:
    """Who buys for one tenant. Every step is repeated, at any address, until somebody answers."""

    def __init__(
        self,
        chance: random.Random,
        tenant: Tenant,
        addresses: Sequence[str],
        record: OutsideRecord,
        *,
        until: float,
    ) -> None:
        self._chance = chance
        self._tenant = tenant
        self._addresses = addresses
        self._record = record
        self._until = until
        self._headers = {"Authorization": f"Bearer {tenant.keys[0]}"}

    async def buy_at_random(self) -> None:
        number = 0
        while time.monotonic() < self._until:
            number += 1
            # Cookies are the pay page's: a buyer comes to each with a fresh browser.
            async with aiohttp.ClientSession(timeout=PATIENCE) as session:
                await self._buy(session, key=f"soak-{self._tenant.public_id}-{number}")
            await asyncio.sleep(self._chance.uniform(0.5, 4))

    async def _buy(self, session: aiohttp.ClientSession, *, key: str) -> None:
        status, order = await self._insist(lambda: self._order(session, key))
        if status != 201:
            return
        self._record.note("ordered", tenant=self._tenant.public_id, order=order["id"])
        action = self._chance.choice(["pay", "pay", "pay", "delay", "decline", "abandon"])
        times = self._chance.choice([1, 1, 2])
        await self._insist(lambda: self._press(session, order["pay_url"], action, times))
        give_up_at = time.monotonic() + _LOOK_SECONDS
        while action in ("pay", "delay") and time.monotonic() < give_up_at:
            status, seen = await self._insist(lambda: self._look(session, order["id"]))
            if status == 200 and seen["status"] == "paid":
                self._record.note("paid", tenant=self._tenant.public_id, order=order["id"])
                return
            await asyncio.sleep(0.5)

    async def _insist(self, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """What is answered at last; the same question may have been heard before."""
        while True:
            try:
                status, answer = await ask()
            except (aiohttp.ClientError, TimeoutError):
                status, answer = 0, None
            if 0 < status < 500 or time.monotonic() > self._until:
                return status, answer
            await asyncio.sleep(0.2)

    async def _order(self, session: aiohttp.ClientSession, key: str) -> Answer:
        wish = {"pack": PACK, "currency": "USD"}
        headers = self._headers | {"Idempotency-Key": key}
        url = self._anywhere("/api/v1/orders")
        async with session.post(url, json=wish, headers=headers) as answer:
            return answer.status, await answer.json()

    async def _press(
        self, session: aiohttp.ClientSession, pay_url: str, action: str, times: int
    ) -> Answer:
        """A button of the pay page, perhaps twice at once."""
        url = self._anywhere(urlsplit(pay_url).path)
        async with session.get(url) as page:
            token = _FORM_TOKEN.search(await page.text())
        if token is None:  # paid already: there is no form any more
            return page.status, None
        form = {"csrfmiddlewaretoken": token[1], "action": action, "seconds": "1"}

        async def press() -> int:
            async with session.post(url, data=form, allow_redirects=False) as answer:
                return answer.status

        return max(await asyncio.gather(*(press() for _time in range(times)))), None

    async def _look(self, session: aiohttp.ClientSession, order_id: str) -> Answer:
        url = self._anywhere(f"/api/v1/orders/{order_id}")
        async with session.get(url, headers=self._headers) as answer:
            return answer.status, await answer.json()

    def _anywhere(self, path: str) -> str:
        return self._chance.choice(self._addresses) + path
