"""Counting calls again, beside their providers (upstream.recount): off the path of every call.

A provider that reported nothing is paid by our count, made before the call is closed. Of all other
calls some are counted after they were answered and charged: each service's first ones, dear ones,
and a share drawn by lot. They wait in a queue of the process with bounds: under load some are left
out, and no call ever waits. Texts are dropped once counted.
"""

import asyncio
import secrets
from collections import Counter, deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import structlog
from django.conf import settings

from marketplace.gateway.calls import Closed, RunningCall
from marketplace.gateway.database import Database
from marketplace.metering import services as metering
from marketplace.metering.verdicts import CountedCall
from marketplace.upstream.recount.counting import Counts, count_again
from marketplace.upstream.recount.families import Family, find_family
from marketplace.upstream.recount.prompts import Prompt, read_prompt
from marketplace.upstream.recount.transcript import Transcript
from marketplace.upstream.recount.vocabularies import forget_texts
from marketplace.upstream.usage import NO_USAGE, Usage
from portal.kernel.clock import utc_now

logger = structlog.get_logger(__name__)

# One for the queue, one for calls that wait for their count.
_THREADS = 2
_MOST_TOGETHER = 32
_MOST_WAITING = 256
_MOST_CHARACTERS_WAITING = 32_000_000
# Of each service since the process began: what is usual for it is learned from these.
_FIRST_CALLS = 8
_CLOSING_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class _Job:
    """A call that was charged, with what it can be counted from.

    Not the call itself: it has the whole request, of which much is no text and has no bound here.
    """

    call_pk: int
    service_pk: int
    operation: str
    usage: Usage
    family: Family
    prompt: Prompt
    answer: Transcript | None

    @property
    def characters(self) -> int:
        return self.prompt.characters + (self.answer.characters if self.answer else 0)


class Recounter:
    """The queue of one process; made and closed with its gateway."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="gateway-recount")
        self._waiting: deque[_Job] = deque()
        self._characters = 0
        self._task: asyncio.Task[None] | None = None
        self._first: Counter[int] = Counter()
        self.left_out = 0

    def begin(self, call: RunningCall) -> "CallRecount":
        """For a call that is about to be made."""
        service, request = call.service, call.request
        # An echo repeats the prompt in the answer, where nobody can tell the two apart.
        if request.body.get("echo"):
            return CallRecount(self, call, None)
        return CallRecount(self, call, find_family(service.model_handle, service.tokenizer))

    async def close(self) -> None:
        """What is waiting is counted for some seconds more; then it is forgotten."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=_CLOSING_SECONDS)
            self._task.cancel()
        await asyncio.to_thread(self._threads.shutdown, wait=True, cancel_futures=True)

    async def count(self, job: _Job) -> Counts:
        return await asyncio.get_running_loop().run_in_executor(self._threads, _count_one, job)

    def is_chosen(self, job: _Job, cost_millitokens: int) -> bool:
        percent = settings.RECOUNT_SAMPLE_PERCENT
        if not percent:
            return False
        service = job.service_pk
        if self._first[service] < _FIRST_CALLS:
            self._first[service] += 1
            return True
        dear = cost_millitokens >= settings.RECOUNT_ALWAYS_ABOVE_TOKENS * 1000
        return dear or secrets.randbelow(100) < percent

    def queue(self, job: _Job) -> None:
        characters = job.characters
        if (
            len(self._waiting) >= _MOST_WAITING
            or self._characters + characters > _MOST_CHARACTERS_WAITING
        ):
            self.left_out += 1
            return
        self._characters += characters
        self._waiting.append(job)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())

    async def _work(self) -> None:
        while self._waiting:
            together = min(len(self._waiting), _MOST_TOGETHER)
            batch = [self._waiting.popleft() for _number in range(together)]
            self._characters -= sum(job.characters for job in batch)
            try:
                await self._judge(batch)
            except Exception:
                # The calls are charged as their provider reported, which is what they would be
                # if they had not been drawn.
                logger.exception("recounts_failed", calls=len(batch))
        if self.left_out:
            logger.warning("recounts_left_out", calls=self.left_out)
            self.left_out = 0

    async def _judge(self, batch: Sequence[_Job]) -> None:
        counted = await asyncio.get_running_loop().run_in_executor(self._threads, _count_all, batch)
        await self._database.write(
            metering.record_recounts, counted, now=utc_now(), settles=settings.RECOUNT_SETTLES
        )


class CallRecount:
    """One call's part in it. Where its model's tokenizer is not known, nothing happens."""

    __slots__ = ("_answer", "_call", "_family", "_recounter")

    def __init__(self, recounter: Recounter, call: RunningCall, family: Family | None) -> None:
        self._recounter = recounter
        self._call = call
        self._family = family
        is_written = family is not None and call.request.operation != "embeddings"
        self._answer = Transcript() if is_written else None

    def add(self, choices: list[Any]) -> None:
        """Choices of a chunk or of a whole answer, as the provider sent them."""
        if self._answer is not None:
            self._answer.add(choices)

    async def fill_in(self, usage: Usage) -> Usage:
        """The usage to charge: where the provider reported none, what we count, if we can."""
        if usage is not NO_USAGE or self._family is None:
            return usage
        try:
            counts = await self._recounter.count(self._job(usage, self._family))
        except Exception:
            logger.exception("recount_failed", call=self._call.opened.public_id)
            return usage
        if counts.prompt_tokens is None or counts.completion_tokens is None:
            return usage
        return Usage(
            prompt_tokens=min(counts.prompt_tokens, self._call.opened.prompt_tokens),
            completion_tokens=min(counts.completion_tokens, self._call.most_tokens),
            source="recount",
        )

    def finish(self, usage: Usage, closed: Closed) -> None:
        """After the answer was sent and charged as a whole."""
        if self._family is None or usage.source != "provider":
            return
        job = self._job(usage, self._family)
        if self._recounter.is_chosen(job, closed.cost):
            self._recounter.queue(job)

    def _job(self, usage: Usage, family: Family) -> _Job:
        request = self._call.request
        prompt = read_prompt(request.body, operation=request.operation)
        return _Job(
            call_pk=self._call.opened.call_pk,
            service_pk=self._call.service.service_pk,
            operation=request.operation,
            usage=usage,
            family=family,
            prompt=prompt,
            answer=self._answer,
        )


def _count_one(job: _Job) -> Counts:
    try:
        return _count(job)
    finally:
        forget_texts()


def _count(job: _Job) -> Counts:
    return count_again(
        job.family,
        job.prompt,
        job.answer,
        hidden_reasoning=job.usage.reasoning_tokens > 0,
    )


def _count_all(batch: Sequence[_Job]) -> list[CountedCall]:
    try:
        return [_describe(job, _count(job)) for job in batch]
    finally:
        forget_texts()


def _describe(job: _Job, counts: Counts) -> CountedCall:
    # What a service adds to chats is learned as its offset, and texts to be continued have none.
    is_plain = job.operation == "completions"
    prompt_reason = "plain_prompt" if is_plain else counts.prompt_reason
    return CountedCall(
        call_pk=job.call_pk,
        service_pk=job.service_pk,
        tokenizer=job.family.name,
        prompt_reported=job.usage.prompt_tokens,
        prompt_counted=None if is_plain else counts.prompt_tokens,
        completion_reported=job.usage.completion_tokens,
        completion_counted=counts.completion_tokens,
        reason=prompt_reason or counts.completion_reason,
        stops=counts.stops,
        has_markup=counts.has_markup,
    )
