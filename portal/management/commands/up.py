"""The whole market with one command: database, demo data, web server, worker, demo models."""

import asyncio
import os
import signal
import socket
import sys
import urllib.request
from argparse import ArgumentParser
from contextlib import suppress
from pathlib import Path
from typing import Any

import uvicorn
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection, connections
from django.db.migrations.executor import MigrationExecutor

from portal.management import demo_guide, demo_servers
from portal.management.child_processes import ChildProcesses
from portal.management.embedded import (
    DEFAULT_PORT,
    HOST,
    CannotStart,
    bind_port,
    is_port_free,
    only_one,
)
from portal.management.translations import compile_translations

GRACEFUL_STOP_SECONDS = 10
DEMO_READY_SECONDS = 60


class Command(BaseCommand):
    help = "Start everything on this machine; Ctrl-C stops everything."

    def add_arguments(self, parser: ArgumentParser) -> None:
        # manage.py has settled it, and written it where the settings and children see it.
        parser.add_argument("--port", type=int, default=os.environ.get("PORT", DEFAULT_PORT))
        parser.add_argument("--no-demo", action="store_true", help="neither demo data nor models")

    def handle(self, *, port: int, no_demo: bool, **_options: Any) -> None:
        signal.signal(signal.SIGTERM, _exit_quietly)
        var = Path(settings.VAR_DIR)
        children = ChildProcesses(self._say)
        try:
            with only_one(var), bind_port(port) as listener:
                self._prepare(with_demo=not no_demo)
                children.start("worker", worker_command(var))
                self._serve(listener, children, with_demo=not no_demo)
        except CannotStart as reason:
            raise CommandError(str(reason)) from reason
        except KeyboardInterrupt:
            self._say("Interrupted.")
        finally:
            # From here on nothing interrupts: every child is ended before this process is.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            children.stop()
        self._say("Stopped.")

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()

    def _prepare(self, *, with_demo: bool) -> None:
        compile_translations(settings.LOCALE_PATHS)
        try:
            if _has_pending_migrations():
                self._say("Preparing the database …")
                call_command("migrate", interactive=False, verbosity=0)
        except Exception as failed:
            kind = type(failed).__name__
            raise CannotStart(
                f"The database could not be migrated: {kind}: {failed} "
                "(`.venv/bin/python manage.py migrate --traceback` shows where)."
            ) from failed
        if with_demo:
            call_command("load_demo", stdout=self.stdout)
        # Children and server threads open their own.
        connections.close_all()

    def _serve(self, listener: socket.socket, children: ChildProcesses, *, with_demo: bool) -> None:
        from portal.asgi import application

        config = uvicorn.Config(
            application,
            log_config=None,
            log_level="warning",
            access_log=False,
            lifespan="on",
            ws="none",
            server_header=False,
            # TRUSTED_PROXY_COUNT alone says what of X-Forwarded-For is believed.
            proxy_headers=False,
            timeout_graceful_shutdown=GRACEFUL_STOP_SECONDS,
        )
        server = Site(config, self, children, with_demo=with_demo)
        # uvicorn raises the signal that stopped it once more, when it is done.
        signal.signal(signal.SIGINT, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: None)
        server.run(sockets=[listener])
        if not server.started:
            raise CannotStart("The web server did not start; the reason is above.")


class Site(uvicorn.Server):
    """uvicorn in this process, which begins the rest once it answers."""

    def __init__(
        self, config: uvicorn.Config, command: Command, children: ChildProcesses, *, with_demo: bool
    ) -> None:
        super().__init__(config)
        self._command = command
        self._children = children
        self._with_demo = with_demo
        self._tasks: list[asyncio.Task[None]] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets=sockets)
        except SystemExit:
            # uvicorn has logged why; the command says it and stops the children.
            self.should_exit = True
        if self.should_exit:
            return
        self._say(f"\n  Tokenworks runs at {settings.SITE_URL}  (Ctrl-C stops all of it)\n")
        demo = demo_guide.read_demo(Path(settings.VAR_DIR)) if self._with_demo else None
        if demo:
            self._say(demo_guide.describe_logins(demo, settings.SITE_URL) + "\n")
            self._say(demo_guide.describe_calls(demo, settings.SITE_URL))
        if self._with_demo:
            self._start_models()
        self._tasks.append(asyncio.create_task(self._children.watch()))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        self._say("Stopping …")
        await super().shutdown(sockets=sockets)

    def _say(self, text: str) -> None:
        self._command._say(text)

    def _start_models(self) -> None:
        ports = {"chat": settings.DEMO_CHAT_PORT, "embeddings": settings.DEMO_EMBEDDINGS_PORT}
        for kind, port in ports.items():
            if missing := demo_servers.missing_packages(kind):
                self._say(f"No {kind} demo model: {', '.join(missing)} is not installed.")
            elif not is_port_free(port):
                self._say(f"No {kind} demo model: port {port} is in use.")
            else:
                module = "portal.management.demo_servers"
                self._children.start(
                    f"{kind} demo model", [sys.executable, "-m", module, kind, str(port)]
                )
                self._tasks.append(asyncio.create_task(self._announce(kind, port)))

    async def _announce(self, kind: str, port: int) -> None:
        for _ in range(DEMO_READY_SECONDS * 2):
            if await asyncio.to_thread(_is_healthy, port):
                self._say(f"The {kind} demo model answers.")
                return
            await asyncio.sleep(0.5)
        self._say(f"The {kind} demo model does not answer yet.")


def worker_command(var: Path) -> list[str]:
    """Worker and scheduler in one; its schedule is state, so it lies with the data."""
    (var / "beat").mkdir(exist_ok=True)
    return [
        # As root in a container is fine here: tasks are JSON of ids, never pickles.
        *(sys.executable, "-W", "ignore:You're running the worker with superuser privileges"),
        *("-m", "celery", "--quiet", "--app", "portal", "worker", "--beat"),
        *("--schedule", str(var / "beat" / "schedule"), "--pool", "threads", "--concurrency", "2"),
        *("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING"),
    ]


def _has_pending_migrations() -> bool:
    executor = MigrationExecutor(connection)
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def _is_healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}/health", timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False


def _exit_quietly(*_: object) -> None:
    raise SystemExit(0)
