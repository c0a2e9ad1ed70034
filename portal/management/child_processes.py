"""The processes beside the web server: started, watched, restarted, stopped as one."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

WITH_PARENT = Path(__file__).with_name("with_parent.py")
WATCH_EVERY_SECONDS = 0.5
RESTART_AFTER_SECONDS = 2.0
MOST_RESTARTS = 5
STOP_SECONDS = 10.0


class ChildProcess:
    """One command in a session of its own: Ctrl-C on the terminal reaches only the parent, which
    then stops its children in order; the group lets a killed child's own children be ended too."""

    def __init__(self, name: str, command: Sequence[str]) -> None:
        self.name = name
        self.restarts = 0
        self._command = [
            *(sys.executable, "-I", "-S", str(WITH_PARENT), str(os.getpid())),
            *command,
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.DEVNULL, start_new_session=True
        )

    def ended_with(self) -> int | None:
        """The exit code once the process has ended by itself, else None."""
        return self._process.poll() if self._process else None

    def ask_to_stop(self) -> None:
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def end(self, *, within_seconds: float) -> None:
        """Wait for an orderly end, then end whatever is left of the group."""
        if not self._process:
            return
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(max(within_seconds, 0))
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None


class ChildProcesses:
    """Children of this process; ``say`` tells the person at the terminal what became of one."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._children: list[ChildProcess] = []

    def start(self, name: str, command: Sequence[str]) -> ChildProcess:
        child = ChildProcess(name, command)
        self._children.append(child)
        child.start()
        return child

    async def watch(self) -> None:
        """Restart what ends by itself, a bounded number of times; runs until cancelled."""
        while True:
            await asyncio.sleep(WATCH_EVERY_SECONDS)
            for child in list(self._children):
                code = child.ended_with()
                if code is None:
                    continue
                child.end(within_seconds=0)
                if child.restarts >= MOST_RESTARTS:
                    self._say(f"The {child.name} ended again (code {code}) and stays down.")
                    self._children.remove(child)
                    continue
                self._say(f"The {child.name} ended (code {code}) and is started again.")
                await asyncio.sleep(RESTART_AFTER_SECONDS)
                child.restarts += 1
                child.start()

    def stop(self) -> None:
        for child in self._children:
            child.ask_to_stop()
        give_up_at = time.monotonic() + STOP_SECONDS
        for child in self._children:
            child.end(within_seconds=give_up_at - time.monotonic())
        self._children.clear()
