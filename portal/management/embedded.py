"""What the one-command start agrees on with everything that it starts.

``manage.py up`` calls ``prepare_environment`` before the settings are read, so that the web
process, the worker and the commands all see the same address and the same demo ports.
"""

import fcntl
import os
import socket
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from pathlib import Path

HOST = "127.0.0.1"
DEFAULT_PORT = 8000
DEMO_PORTS = {"DEMO_CHAT_PORT": 8011, "DEMO_EMBEDDINGS_PORT": 8012}


class CannotStart(Exception):
    """Says in one sentence what is in the way and what to do about it."""


def prepare_environment(
    arguments: Sequence[str], environment: MutableMapping[str, str] = os.environ
) -> None:
    """Set PORT, SITE_URL, the demo ports and the leave to call them; what is set stays."""
    port = _read_port(_option(arguments, "--port") or environment.get("PORT") or str(DEFAULT_PORT))
    environment["PORT"] = str(port)
    environment.setdefault("SITE_URL", f"http://localhost:{port}")
    allowed = [pair for pair in environment.get("OUTBOUND_ALLOWED_PRIVATE", "").split(",") if pair]
    for name, default in DEMO_PORTS.items():
        demo_port = _read_port(environment.setdefault(name, str(default)))
        allowed.append(f"{HOST}:{demo_port}")
    environment["OUTBOUND_ALLOWED_PRIVATE"] = ",".join(dict.fromkeys(allowed))


def bind_port(port: int) -> socket.socket:
    """The web server's address, taken before anything is started."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as refused:
        listener.close()
        raise CannotStart(
            f"Port {port} is in use ({refused.strerror}). Stop what uses it, or choose another: "
            f"PORT={port + 1} make up"
        ) from refused
    return listener


def is_port_free(port: int) -> bool:
    try:
        bind_port(port).close()
    except CannotStart:
        return False
    return True


@contextmanager
def only_one(var: Path) -> Iterator[None]:
    """Two starts on one ``var`` folder would run two schedulers: the second is refused."""
    try:
        var.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (var / "up.lock").open("w")
    except OSError as refused:
        raise CannotStart(f"The folder {var} cannot be written: {refused.strerror}.") from refused
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise CannotStart(
                f"Tokenworks is running already on the data in {var}. Stop it first, or set "
                "TOKENWORKS_VAR to another folder."
            ) from None
        yield


def _option(arguments: Sequence[str], name: str) -> str | None:
    for position, argument in enumerate(arguments):
        if argument == name and position + 1 < len(arguments):
            return arguments[position + 1]
        if argument.startswith(f"{name}="):
            return argument.partition("=")[2]
    return None


def _read_port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 65536:
        raise CannotStart(f"A port is a number from 1 to 65535, not {text!r}.")
    return int(text)
