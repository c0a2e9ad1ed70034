"""The embedded broker: what is published by several processes arrives once each, whole."""

import multiprocessing
import os
import time
from pathlib import Path
from queue import Empty

import pytest
from kombu import Connection, Exchange, Queue

from portal.kernel.file_broker import AtomicFilesystemTransport, prune

PUBLISHERS, EACH = 4, 150
# Large enough that writing takes more than one block.
PADDING = "x" * 20_000


def connect(folder: Path) -> Connection:
    return Connection(
        transport=AtomicFilesystemTransport,
        transport_options={
            "data_folder_in": str(folder / "queue"),
            "data_folder_out": str(folder / "queue"),
            "control_folder": str(folder / "control"),
            "processed_folder": str(folder / "processed"),
            "store_processed": True,
            "polling_interval": 0.01,
        },
    )


def publish(folder: Path, publisher: int) -> None:
    with connect(folder) as connection, connection.SimpleQueue("work") as queue:
        for number in range(EACH):
            queue.put({"id": publisher * EACH + number, "padding": PADDING})


def consume(folder: Path, results: "multiprocessing.Queue[int]") -> None:
    with connect(folder) as connection, connection.SimpleQueue("work") as queue:
        quiet_since = time.monotonic()
        while time.monotonic() - quiet_since < 5:
            try:
                message = queue.get(timeout=0.2)
            except Empty:
                continue
            assert message.payload["padding"] == PADDING
            results.put(message.payload["id"])
            message.ack()
            quiet_since = time.monotonic()


def test_nothing_is_lost_or_doubled_between_processes(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    results = spawn.Queue()
    processes = [spawn.Process(target=consume, args=(tmp_path, results)) for _ in range(2)]
    processes += [spawn.Process(target=publish, args=(tmp_path, n)) for n in range(PUBLISHERS)]
    for process in processes:
        process.start()
    received = []
    for _ in range(PUBLISHERS * EACH):
        received.append(results.get(timeout=60))
    for process in processes:
        process.join(60)

    assert sorted(received) == list(range(PUBLISHERS * EACH))
    assert [process.exitcode for process in processes] == [0] * len(processes)
    assert not list((tmp_path / "queue").iterdir())


def test_message_waits_for_a_consumer_that_comes_later(tmp_path: Path) -> None:
    with connect(tmp_path) as connection, connection.SimpleQueue("later") as queue:
        queue.put({"id": 1})

    with connect(tmp_path) as connection, connection.SimpleQueue("later") as queue:
        message = queue.get(timeout=5)
        assert message.payload == {"id": 1}
        message.ack()
        with pytest.raises(Empty):
            queue.get(timeout=0.05)


def test_bindings_of_two_queues_survive_each_other(tmp_path: Path) -> None:
    exchange = Exchange("shared", type="direct")
    with connect(tmp_path) as connection:
        channel = connection.channel()
        for name in ("one", "two", "one"):
            Queue(name, exchange=exchange, routing_key=name, channel=channel).declare()
        assert sorted(row.queue for row in channel.get_table("shared")) == ["one", "two"]

        Queue("one", exchange=exchange, routing_key="one", channel=channel).delete()
        assert [row.queue for row in channel.get_table("shared")] == ["two"]


def test_prune_keeps_what_was_delivered_lately(tmp_path: Path) -> None:
    message = tmp_path / "1_a.celery.msg"
    message.write_text("{}")
    # Written long ago, but taken (renamed) just now.
    os.utime(message, (0, 0))

    prune(tmp_path, older_than_seconds=60)
    assert message.exists()

    prune(tmp_path, older_than_seconds=-60)
    assert not message.exists()
