"""What arrives together is done together, so that many small writes share one commit.

Nobody waits for company: work that finds a free lane starts at once, and what arrives while the
lanes are busy goes next, as one batch. So one caller alone is as fast as without, and under load
the batches grow by themselves.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Coalescer(Generic[Item, Result]):
    """Gives each caller of ``submit`` its own result of a batch; belongs to one event loop.

    ``work`` gets at most ``most`` items and returns as many results, in their order; an exception
    among them is raised for its caller alone. When it raises, each item of the batch is tried
    once more by itself: so it must be all or nothing, or safe to repeat. ``lanes`` batches run
    at once.
    """

    def __init__(
        self,
        work: Callable[[list[Item]], Awaitable[list[Result | Exception]]],
        *,
        most: int,
        lanes: int,
    ) -> None:
        self._work = work
        self._most = most
        self._free_lanes = lanes
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()

    async def submit(self, item: Item) -> Result:
        """The item's own result; raises what its work raised."""
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        if self._free_lanes:
            self._free_lanes -= 1
            lane = asyncio.create_task(self._run_lane())
            self._tasks.add(lane)
            lane.add_done_callback(self._tasks.discard)
        return await answer

    async def _run_lane(self) -> None:
        try:
            while self._waiting:
                count = min(len(self._waiting), self._most)
                await self._run([self._waiting.popleft() for _number in range(count)])
        finally:
            self._free_lanes += 1

    async def _run(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            results = await self._work([item for item, _answer in batch])
        except Exception as error:
            if len(batch) > 1:
                await asyncio.gather(*(self._run([single]) for single in batch))
                return
            results = [error]
        for (_item, answer), result in zip(batch, results, strict=True):
            if answer.done():
                continue  # its caller has been cancelled
            if isinstance(result, Exception):
                answer.set_exception(result)
            else:
                answer.set_result(result)
