"""Database work of the gateway: a few threads, each with one lasting connection.

SQLite lets one writer in at a time, so there writes go through a single thread of their own and
wait in order, instead of for each other's lock.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

import structlog
from django.db import InterfaceError, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

P = ParamSpec("P")
T = TypeVar("T")

logger = structlog.get_logger(__name__)

_PAUSES_SECONDS = (0.05, 0.2, 0.5, 1.0, 2.0, 4.0)


class Database:
    """Runs synchronous functions off the event loop. Close it at the end."""

    def __init__(self, *, threads: int, one_writer: bool) -> None:
        self._connections: list[BaseDatabaseWrapper] = []
        self._readers = self._start(threads, "gateway-database")
        self._writers = self._start(1, "gateway-writer") if one_writer else self._readers

    async def read(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Once more after an error of the connection or a deadlock."""
        return await self._run(self._readers, 1, partial(work, *args, **kwargs))

    async def write(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The same. A write whose commit was answered by silence is then done again, so only for
        work that is safe to repeat, or that the call's end puts right (an extension of its hold).
        """
        return await self._run(self._writers, 1, partial(work, *args, **kwargs))

    async def write_surely(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Again and again for some seconds, so only for work that is safe to repeat."""
        return await self._run(self._writers, len(_PAUSES_SECONDS), partial(work, *args, **kwargs))

    def close(self) -> None:
        """Waits for what is running."""
        for executor in {self._readers, self._writers}:
            executor.shutdown(wait=True)
        for connection in self._connections:
            connection.close()

    async def _run(self, executor: ThreadPoolExecutor, retries: int, work: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        for pause in _PAUSES_SECONDS[:retries]:
            try:
                return await loop.run_in_executor(executor, _work_on_connection, work)
            except (OperationalError, InterfaceError) as error:
                logger.warning("database_retry", error=type(error).__name__)
            await asyncio.sleep(pause)
        return await loop.run_in_executor(executor, _work_on_connection, work)

    def _start(self, threads: int, name: str) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(threads, thread_name_prefix=name, initializer=self._adopt)

    def _adopt(self) -> None:
        connection = connections["default"]
        _never_scan(connection)
        # Closed at the end by another thread than the one that uses it.
        connection.inc_thread_sharing()
        self._connections.append(connection)


def _never_scan(connection: BaseDatabaseWrapper) -> None:
    """Have PostgreSQL plan every statement of this thread's connections with indexes.

    Plans are kept, and those of the foreign keys' and triggers' own queries cannot be told how
    large a table will be: made while it is small, they would scan it whole for every row written,
    until it is analysed. A pooler that does not know sessions would not know their settings either.
    """
    options = connection.settings_dict["OPTIONS"]
    if connection.vendor == "postgresql" and options.get("prepare_threshold") is not None:
        settings = f"{options.get('options', '')} -c enable_seqscan=off".strip()
        connection.settings_dict = {
            **connection.settings_dict,
            "OPTIONS": {**options, "options": settings},
        }


def _work_on_connection(work: Callable[[], T]) -> T:
    """On this thread's connection, or a new one where that turns out to be broken.

    When the server restarts, every thread finds a broken connection of its own; so the second try
    is made here, and not by another thread.
    """
    connection = connections["default"]
    link = connection.connection
    try:
        return work()
    except (OperationalError, InterfaceError):
        # Leaving atomic(), Django may have replaced the broken one already.
        if link is None or (connection.connection is link and connection.is_usable()):
            raise
        if connection.connection is link:
            connection.close()
        return work()
    finally:
        # Django's request signals do this for views: an old connection is replaced.
        if connection.connection is not None and not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()
            # Asking the server before every call whether it is there would cost a round trip.
            connection.health_check_done = True  # type: ignore[attr-defined]
