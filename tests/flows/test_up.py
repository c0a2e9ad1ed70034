"""``manage.py up`` as a newcomer meets it: it starts, explains itself, stops without a trace."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OWN_SETTINGS = ("DATABASE_URL", "SECRET_KEY", "ENCRYPTION_KEYS", "SITE_URL", "PORT")
# Two cores may be running the other worker's tests; alone it takes a quarter of that.
START_SECONDS = 90

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="processes are counted in /proc"),
    pytest.mark.only_on("sqlite", why="the one-command start is SQLite's"),
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Start:
    """One installation: a ``var`` folder and ports that stay the same over its starts."""

    def __init__(self, folder: Path) -> None:
        self.var = folder / "var"
        self.output = folder / "output.txt"
        self.port = free_port()
        self.url = f"http://localhost:{self.port}"
        self.environment = {
            **{name: value for name, value in os.environ.items() if name not in OWN_SETTINGS},
            "TOKENWORKS_VAR": str(self.var),
            "PORT": str(self.port),
            "DEMO_CHAT_PORT": str(free_port()),
            "DEMO_EMBEDDINGS_PORT": str(free_port()),
        }
        self.process: subprocess.Popen[bytes] | None = None

    def up(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "up", *arguments],
                cwd=ROOT,
                env={**self.environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        return self.process

    def fails(self, *arguments: str, **environment: str) -> str:
        """What a start that must fail says; it leaves no process behind."""
        code = self.up(*arguments, **environment).wait(START_SECONDS)
        assert code not in (0, None), self.read_output()
        assert self.pids() == []
        return self.read_output()

    def wait_until_it_answers(self) -> None:
        self.wait_for(lambda: self.get("/healthz/live")[0] == 200)

    def wait_for(self, condition: Callable[[], bool], seconds: float = START_SECONDS) -> None:
        give_up_at = time.monotonic() + seconds
        while not condition():
            assert self.process is not None
            assert self.process.poll() is None, self.read_output()
            assert time.monotonic() < give_up_at, self.read_output()
            time.sleep(0.1)

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        request = urllib.request.Request(self.url + path, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read().decode()
        except OSError:
            return 0, ""

    def read_output(self) -> str:
        return self.output.read_text(errors="replace")

    def pids(self) -> list[int]:
        """Every process that runs on this installation's data."""
        mark = f"TOKENWORKS_VAR={self.var}".encode()
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
            except OSError:
                continue
        return found

    def assert_all_gone(self, seconds: float = 15) -> None:
        give_up_at = time.monotonic() + seconds
        while left := self.pids():
            assert time.monotonic() < give_up_at, f"left behind: {left}"
            time.sleep(0.1)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    start = Start(tmp_path)
    yield start
    for pid in start.pids():
        os.kill(pid, signal.SIGKILL)


def test_first_start_explains_itself_and_the_printed_snippets_work(start: Start) -> None:
    process = start.up()
    start.wait_until_it_answers()

    start.wait_for(lambda: "api_key=" in start.read_output())
    printed = start.read_output()
    demo = json.loads((start.var / "demo.json").read_text())
    assert start.url in printed
    assert all(login["email"] in printed for login in demo["logins"])
    assert all(login["password"] in printed for login in demo["logins"])
    assert stat.S_IMODE((start.var / "demo.json").stat().st_mode) == 0o600
    assert start.get("/healthz/ready")[0] == 200
    status, models = start.get("/v1/models", Authorization=f"Bearer {demo['api_key']}")
    assert (status, demo["chat_model"] in models) == (200, True)

    if "demo model: " not in printed:
        start.wait_for(lambda: "The chat demo model answers." in start.read_output())
        curl = re.search(r"^curl .*?\n$", printed, re.MULTILINE | re.DOTALL)
        assert curl is not None
        answer = subprocess.run(
            ["sh", "-c", curl[0]], capture_output=True, text=True, timeout=60, check=True
        )
        assert json.loads(answer.stdout)["usage"]["completion_tokens"] > 0
        snippet = printed[printed.index("from openai import OpenAI") :].split("\n{")[0]
        code = "\n".join(snippet.splitlines()[:4])
        said = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
        )
        assert said.returncode == 0, said.stderr
        assert "prompt_tokens" in said.stdout

    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    assert "Stopped." in start.read_output()
    start.assert_all_gone(0)

    # The second start finds everything in place, and prints the same key again.
    process = start.up()
    start.wait_until_it_answers()
    start.wait_for(lambda: demo["api_key"] in start.read_output())
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    start.assert_all_gone(0)


def test_children_die_with_a_killed_parent_and_a_killed_child_is_restarted(start: Start) -> None:
    process = start.up("--no-demo")
    start.wait_until_it_answers()
    # The scheduler, a child of the worker, writes its state once it runs.
    start.wait_for(lambda: bool(list((start.var / "beat").glob("schedule*"))))
    worker = next(pid for pid in start.pids() if pid != process.pid)

    os.kill(worker, signal.SIGKILL)
    start.wait_for(lambda: "The worker ended (code -9)" in start.read_output())
    start.wait_for(lambda: len(set(start.pids()) - {process.pid, worker}) > 0)

    process.kill()
    process.wait()
    start.assert_all_gone()


def test_port_in_use_is_said_and_nothing_is_left(start: Start) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", start.port))
        other.listen()
        said = start.fails("--no-demo")

    assert f"Port {start.port} is in use" in said
    assert "Traceback" not in said
    assert not (start.var / "tokenworks.sqlite3").exists()


@pytest.mark.parametrize("port", ["eighty", "0", "70000"])
def test_impossible_port_is_said(start: Start, port: str) -> None:
    said = start.fails(PORT=port)

    assert f"A port is a number from 1 to 65535, not {port!r}" in said
    assert "Traceback" not in said


def test_second_start_on_the_same_data_is_refused(start: Start) -> None:
    first = start.up("--no-demo")
    start.wait_until_it_answers()
    said = subprocess.run(
        [sys.executable, "manage.py", "up", "--no-demo"],
        cwd=ROOT,
        env={**start.environment, "PORT": str(free_port())},
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )
    assert said.returncode != 0
    assert "running already" in said.stderr
    assert start.get("/healthz/live")[0] == 200

    first.send_signal(signal.SIGINT)
    assert first.wait(30) == 0


def test_failed_migration_is_said_and_nothing_is_left(start: Start) -> None:
    start.var.mkdir()
    (start.var / "tokenworks.sqlite3").write_text("This is no database. " * 100)

    said = start.fails("--no-demo")

    assert "The database could not be migrated" in said
    assert "Traceback" not in said


def test_missing_module_is_said(start: Start, tmp_path: Path) -> None:
    (tmp_path / "uvicorn.py").write_text(
        "raise ModuleNotFoundError('No module named uvicorn', name='uvicorn')"
    )
    said = start.fails("--no-demo", PYTHONPATH=str(tmp_path))

    assert "The Python module uvicorn is not installed" in said
    assert "make up" in said
    assert "Traceback" not in said
