"""Processes of a benchmark: on which core they run, what they use of it, and how fast the disk is.

The measured server has the first core, everything else the last; with one core all share it.
"""

import base64
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from tests.benchmarks.load_client import Load, Plan

START_SECONDS = 60.0
STOP_SECONDS = 15.0
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_CORES = sorted(os.sched_getaffinity(0))
SERVER_CORES = {_CORES[0]}
OTHER_CORES = {_CORES[-1]}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class ServerProcess:
    """A Python module in a process of its own, until the end of the ``with`` block."""

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        port: int,
        cores: set[int],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.port = port
        self._arguments = arguments
        self._cores = cores
        self._environment = {**os.environ, **(environment or {})}

    def __enter__(self) -> "ServerProcess":
        self._log = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [sys.executable, *self._arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
            preexec_fn=lambda: os.sched_setaffinity(0, self._cores),
        )
        give_up_at = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > give_up_at:
                raise RuntimeError(f"{self._arguments} did not start:\n{self.read_log()}")
            time.sleep(0.05)
        return self

    def __exit__(self, *_error: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def read_log(self) -> str:
        self._log.seek(0)
        return self._log.read()[-4000:].decode(errors="replace")

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True


def uvicorn_arguments(application: str, port: int) -> list[str]:
    """As `up` starts it, one worker."""
    return [
        *("-m", "uvicorn", application, "--host", "127.0.0.1", "--port", str(port)),
        *("--no-access-log", "--log-level", "warning", "--ws", "none", "--lifespan", "auto"),
    ]


def build_request(method: str, path: str, *, headers: Mapping[str, str], body: bytes = b"") -> str:
    """A whole HTTP request as Plan takes it."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return base64.b64encode("\r\n".join([*lines, "", ""]).encode() + body).decode()


def run_load(plan: Plan) -> Load:
    """In a process of its own. Raises RuntimeError when any answer was not 200."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.load_client"],
        input=orjson.dumps(asdict(plan)),
        capture_output=True,
        check=False,
        preexec_fn=lambda: os.sched_setaffinity(0, OTHER_CORES),
    )
    if done.returncode:
        raise RuntimeError(done.stderr.decode())
    load = Load(**orjson.loads(done.stdout))
    if load.failed:
        raise RuntimeError(f"{load.failed} answers were not 200: {load.first_failure}")
    return load


@dataclass(frozen=True)
class CpuTimes:
    """CPU seconds used so far: by a process, by its first thread alone, and by a family."""

    process: float
    first_thread: float
    family: float

    def __sub__(self, other: "CpuTimes") -> "CpuTimes":
        return CpuTimes(
            self.process - other.process,
            self.first_thread - other.first_thread,
            self.family - other.family,
        )


def read_cpu_times(pid: int, *, family_of: int) -> CpuTimes:
    """``family_of`` and all its children (a PostgreSQL server's first process)."""
    family = _read_ticks(Path(f"/proc/{family_of}/stat"))
    for stat in Path("/proc").glob("[0-9]*/stat"):
        fields = _read_fields(stat)
        if fields and fields[1] == str(family_of):
            family += int(fields[11]) + int(fields[12])
    return CpuTimes(
        process=_read_ticks(Path(f"/proc/{pid}/stat")) / _TICKS_PER_SECOND,
        first_thread=_read_ticks(Path(f"/proc/{pid}/task/{pid}/stat")) / _TICKS_PER_SECOND,
        family=family / _TICKS_PER_SECOND,
    )


def pin_family(pid: int, cores: set[int]) -> None:
    """A server's first process and the children that it has; later ones inherit."""
    os.sched_setaffinity(pid, cores)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        fields = _read_fields(stat)
        if fields and fields[1] == str(pid):
            os.sched_setaffinity(int(stat.parent.name), cores)


def _read_ticks(path: Path) -> int:
    fields = _read_fields(path)
    return int(fields[11]) + int(fields[12]) if fields else 0


def _read_fields(path: Path) -> list[str]:
    """From the state on: parent is 1, user time 11, system time 12. Empty when it has gone."""
    try:
        return path.read_text().rpartition(")")[2].split()
    except OSError:
        return []


def measure_syncs(folder: Path, seconds: float = 1.0) -> float:
    """How many blocks a second reach the disk for good, one after the other."""
    path = folder / "sync"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, bytes(8192 * 128))
        os.fsync(descriptor)
        count, started_at = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - started_at) < seconds:
            os.pwrite(descriptor, b"x" * 8192, count % 128 * 8192)
            os.fdatasync(descriptor)
            count += 1
        return count / elapsed
    finally:
        os.close(descriptor)
        path.unlink()


def describe_machine() -> str:
    """Cores, load and Python; no names."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        "unknown processor",
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{len(_CORES)} cores ({model}), {memory:.0f} GiB, Python {sys.version.split()[0]}, "
        f"load average {os.getloadavg()[0]:.1f}"
    )
