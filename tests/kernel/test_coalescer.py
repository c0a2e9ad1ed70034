"""What arrives together is done together, and each caller gets its own answer."""

import asyncio

import pytest

from portal.kernel.coalescer import Coalescer


class Doubling:
    """Work that remembers its batches; odd numbers are refused, and 13 breaks a whole batch."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.running = self.most_running = 0

    async def __call__(self, numbers: list[int]) -> list[int | Exception]:
        self.batches.append(numbers)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        await asyncio.sleep(0.005)
        self.running -= 1
        if 13 in numbers:
            raise RuntimeError("13")
        return [ValueError(str(n)) if n % 2 else n * 2 for n in numbers]


async def test_what_waits_for_a_lane_goes_together() -> None:
    work = Doubling()
    coalescer = Coalescer(work, most=100, lanes=1)
    numbers = list(range(0, 40, 2))
    answers = await asyncio.gather(*(coalescer.submit(n) for n in numbers))
    assert answers == [n * 2 for n in numbers]
    assert work.batches == [numbers]
    first = asyncio.create_task(coalescer.submit(2))
    await asyncio.sleep(0.001)
    await asyncio.gather(first, *(coalescer.submit(n) for n in (4, 6, 8)))
    assert work.batches[1:] == [[2], [4, 6, 8]]


async def test_batches_and_lanes_are_bounded() -> None:
    work = Doubling()
    coalescer = Coalescer(work, most=3, lanes=2)
    await asyncio.gather(*(coalescer.submit(2 * n) for n in range(20)))
    assert max(map(len, work.batches)) == 3
    assert work.most_running == 2


async def test_a_refusal_is_its_own_callers() -> None:
    coalescer = Coalescer(Doubling(), most=10, lanes=1)
    answers = await asyncio.gather(
        *(coalescer.submit(n) for n in (2, 3, 4)), return_exceptions=True
    )
    assert answers[0] == 4
    assert answers[2] == 8
    assert isinstance(answers[1], ValueError)


async def test_a_broken_batch_is_tried_one_by_one() -> None:
    work = Doubling()
    coalescer = Coalescer(work, most=10, lanes=1)
    answers = await asyncio.gather(
        *(coalescer.submit(n) for n in (2, 13, 4)), return_exceptions=True
    )
    assert answers[0] == 4
    assert answers[2] == 8
    assert isinstance(answers[1], RuntimeError)
    assert work.batches == [[2, 13, 4], [2], [13], [4]]
    assert await coalescer.submit(6) == 12


async def test_a_cancelled_caller_does_not_take_the_others_along() -> None:
    coalescer = Coalescer(Doubling(), most=10, lanes=1)
    tasks = [asyncio.create_task(coalescer.submit(n)) for n in (2, 4)]
    await asyncio.sleep(0.001)
    tasks[0].cancel()
    assert await tasks[1] == 8
    with pytest.raises(asyncio.CancelledError):
        await tasks[0]
