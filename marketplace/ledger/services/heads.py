"""Heads of the checkpoints, handed to places that the database's owner cannot edit: a file, an
address. Who has kept one can tell later whether the chain still contains it.
"""

import fcntl
import os
import re
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import IO, NamedTuple

from django.conf import settings
from django.db.backends.utils import CursorWrapper
from django.db.models import Max

from marketplace.ledger.chains import format_moment
from marketplace.ledger.models import Checkpoint, HeadDelivery
from portal.kernel.webhooks import send_webhook

_HEAD = re.compile(r"([1-9][0-9]{0,17}):([0-9a-f]{64})")
# In one go; the rest goes next time.
_MOST_DELIVERIES = 100

_NEWEST = "SELECT number, hash FROM ledger_checkpoint ORDER BY number DESC LIMIT 1"


class Head(NamedTuple):
    """A checkpoint in short, written "NUMBER:HASH"."""

    number: int
    hash: str

    def __str__(self) -> str:
        return f"{self.number}:{self.hash}"


class HeadsDisagree(Exception):
    """A head that was kept elsewhere is not in the chain."""


def parse_head(text: str) -> Head:
    """Raises ValueError for anything but "NUMBER:HASH"."""
    match = _HEAD.fullmatch(text.strip())
    if match is None:
        raise ValueError("a head is NUMBER:HASH, as verify_ledger prints it")
    return Head(int(match[1]), match[2])


def find_newest_head(cursor: CursorWrapper) -> Head | None:
    """As the cursor's snapshot has it; None before the first checkpoint."""
    cursor.execute(_NEWEST)
    row = cursor.fetchone()
    return Head(*row) if row else None


def find_missing_heads(heads: Iterable[Head]) -> list[Head]:
    """Those that are not in the chain: its tail was cut off, or it was rewritten."""
    wanted = set(heads)
    present = {
        Head(number, digest)
        for number, digest in Checkpoint.objects.filter(
            hash__in={head.hash for head in wanted}
        ).values_list("number", "hash")
    }
    return sorted(wanted - present)


def append_heads(path: Path) -> int:
    """Append the heads that the file lacks, one a line; how many. Safe with several writers.

    Raises HeadsDisagree, and appends nothing, when the file's last head is not in the chain, and
    ValueError when its last line is none.
    """
    with path.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        last = _confirm_last_head(file)
        after = last.number if last else 0
        count = 0
        for head in Checkpoint.objects.filter(number__gt=after).order_by("number").iterator():
            file.write(f"{head}\n")
            count += 1
        file.flush()
        os.fsync(file.fileno())
    return count


def confirm_heads_file(path: Path) -> None:
    """Raises HeadsDisagree and ValueError as ``append_heads`` does, OSError for a file that cannot
    be read. One that is not there yet says nothing."""
    if path.exists():
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH)  # not while a line is being written
            _confirm_last_head(file)


def _confirm_last_head(file: IO[str]) -> Head | None:
    """The head that the file ends with, which commits to those before it; None of an empty one."""
    file.seek(max(0, file.seek(0, os.SEEK_END) - 200))
    *_, line = file.read().splitlines() or [""]
    last = parse_head(line) if line else None
    if last and find_missing_heads([last]):
        raise HeadsDisagree(f"{file.name} ends with {last}, which is not in the chain")
    return last


def deliver_heads(*, now: datetime) -> int:
    """Send the heads that were not yet delivered to LEDGER_HEADS_WEBHOOK_URL, in order; how many.

    Each at least once: one that was taken when the process died is sent again, under the same id.
    Raises what ``send_webhook`` raises; then this head and those after it are still to come.
    """
    if not settings.LEDGER_HEADS_WEBHOOK_URL:
        return 0
    after = HeadDelivery.objects.aggregate(last=Max("checkpoint"))["last"] or 0
    due = Checkpoint.objects.filter(number__gt=after).order_by("number")[:_MOST_DELIVERIES]
    for checkpoint in due:
        send_webhook(
            settings.LEDGER_HEADS_WEBHOOK_URL,
            settings.LEDGER_HEADS_WEBHOOK_SECRET,
            f"head_{checkpoint.number}",
            "ledger.head_sealed",
            {
                "number": checkpoint.number,
                "hash": checkpoint.hash,
                "sealed_at": format_moment(checkpoint.sealed_at),
                "chains": checkpoint.chains,
            },
        )
        HeadDelivery.objects.bulk_create(
            [HeadDelivery(checkpoint=checkpoint, delivered_at=now)], ignore_conflicts=True
        )
    return len(due)
