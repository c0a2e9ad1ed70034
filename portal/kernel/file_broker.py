"""A Celery broker in the file system that loses nothing, for the embedded installation.

kombu's stock transport writes a message in place, so a consumer can take a file that is half
written and drop it (1.4-2 % under load). Here a message, and the table of queues, is written
beside and renamed: a reader sees all of it or nothing. Production sets CELERY_BROKER_URL to a
real broker (docs/configuration.md).
"""

import fcntl
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from kombu.transport import filesystem
from kombu.utils.json import dumps, loads

PRUNE_EVERY_SECONDS = 60.0
KEEP_PROCESSED_SECONDS = 600.0


class AtomicFilesystemChannel(filesystem.Channel):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._pruned_at = time.monotonic()
        for folder in (
            self.data_folder_in,
            self.data_folder_out,
            self.processed_folder,
            self.control_folder,
        ):
            Path(folder).mkdir(mode=0o700, parents=True, exist_ok=True)

    def get_table(self, exchange: str) -> list[filesystem.exchange_queue_t]:
        try:
            rows = loads(self._exchange_file(exchange).read_text())
        except FileNotFoundError:
            return []
        return [filesystem.exchange_queue_t(*row) for row in rows]

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        row = filesystem.exchange_queue_t(routing_key or "", pattern or "", queue or "")
        with self._table_locked(exchange):
            table = self.get_table(exchange)
            if row not in table:
                _write_whole(self._exchange_file(exchange), dumps([row, *table]))

    def _delete(
        self, queue: str, exchange: str, routing_key: str, pattern: str, *args: Any, **kwargs: Any
    ) -> None:
        self._purge(queue)
        row = filesystem.exchange_queue_t(routing_key or "", pattern or "", queue or "")
        with self._table_locked(exchange):
            table = self.get_table(exchange)
            if row in table:
                table.remove(row)
                _write_whole(self._exchange_file(exchange), dumps(table))

    def _put(self, queue: str, payload: Any, **_kwargs: Any) -> None:
        # Names sort by time, which is the order of delivery; wall time survives a restart.
        name = f"{time.time_ns():020d}_{uuid.uuid4()}.{queue}.msg"
        _write_whole(Path(self.data_folder_out) / name, dumps(payload))

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        if time.monotonic() - self._pruned_at > PRUNE_EVERY_SECONDS:
            self._pruned_at = time.monotonic()
            prune(Path(self.processed_folder), older_than_seconds=KEEP_PROCESSED_SECONDS)
        return super()._get(queue)

    @contextmanager
    def _table_locked(self, exchange: str) -> Iterator[None]:
        with self._exchange_file(exchange).with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


class AtomicFilesystemTransport(filesystem.Transport):
    """Named in settings.CELERY_BROKER_TRANSPORT."""

    Channel = AtomicFilesystemChannel
    polling_interval = 0.25


def prune(folder: Path, *, older_than_seconds: float) -> None:
    """Remove delivered messages; two processes may prune at once."""
    oldest_kept = time.time() - older_than_seconds
    for file in folder.glob("*.msg"):
        with suppress(FileNotFoundError):
            # Taking a message renames its file, which sets ctime: the age since delivery, so
            # nobody prunes one that waited long and is being read just now.
            if file.stat().st_ctime < oldest_kept:
                file.unlink()


def _write_whole(path: Path, text: str) -> None:
    """All or nothing; the draft's suffix is one that no reader looks for."""
    draft = path.with_name(f"{path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.draft")
    draft.write_text(text)
    draft.rename(path)
