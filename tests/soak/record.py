"""What clients were told, kept outside the database: one line an answer, on the disk before the
client goes on."""

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class OutsideRecord:
    """Appends JSON lines; ``counts`` tells how many of each kind there are."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.counts: Counter[str] = Counter()
        self._file = path.open("ab", buffering=0)

    def note(self, kind: str, **facts: Any) -> None:
        self._file.write(json.dumps({"kind": kind, **facts}).encode() + b"\n")
        os.fsync(self._file.fileno())
        self.counts[kind] += 1

    def read(self, kind: str) -> Iterator[dict[str, Any]]:
        with self.path.open() as lines:
            for line in lines:
                if (facts := json.loads(line))["kind"] == kind:
                    yield facts

    def close(self) -> None:
        self._file.close()
