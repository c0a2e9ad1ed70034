"""The gateway on a real socket in a thread of the test process: as real as a process to its
clients, but quick to start and governed by pytest's ``settings``."""

import threading
import time

import uvicorn

from marketplace.gateway.app import GatewayApplication
from marketplace.gateway.health import Health
from tests.fakes.upstream import FakeUpstream

START_SECONDS = 20.0
GRACE_SECONDS = 3


class ThreadSite:
    """``api_url`` as LiveSite has it; ``stop`` ends it in order, as SIGTERM does."""

    def __init__(self, upstream: FakeUpstream) -> None:
        """As `up` and deployments do, stopping waits for requests, but not for ever."""
        self.upstream = upstream
        self._application = GatewayApplication()
        self._server = uvicorn.Server(
            uvicorn.Config(
                self._application,
                host="127.0.0.1",
                port=0,
                lifespan="on",
                log_config=None,
                proxy_headers=False,
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
        )
        self._thread = threading.Thread(target=self._server.run, name="gateway", daemon=True)

    @property
    def started(self) -> bool:
        return self._server.started

    def start(self) -> None:
        self._thread.start()
        give_up_at = time.monotonic() + START_SECONDS
        while not self._server.started:
            assert time.monotonic() < give_up_at, "the gateway did not start"
            time.sleep(0.005)
        self.port = self._server.servers[0].sockets[0].getsockname()[1]

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def api_url(self) -> str:
        return f"{self.url}/v1"

    def forget_health(self) -> None:
        """As if no service had been called yet: what failed is tried first again."""
        gateway = self._application._gateway
        assert gateway is not None
        gateway.health = Health()

    def refuse_new_calls(self) -> None:
        """As from the signal to stop on, while running calls may end."""
        gateway = self._application._gateway
        assert gateway is not None
        gateway.stopping = True

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(START_SECONDS)
        assert not self._thread.is_alive(), "the gateway did not stop"
