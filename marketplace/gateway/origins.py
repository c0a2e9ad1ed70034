"""Which web pages may call: CORS, off unless a key allows a page's origin (ADR 177).

A browser asks first without the key (the preflight), so it is answered by what any key allows; the
call itself, by what its own key allows.
"""

import re
import time

from django.utils.translation import gettext_lazy as _

from accounts import selectors as accounts
from accounts.services import AuthenticatedKey
from marketplace.gateway.database import Database
from marketplace.gateway.errors import GatewayRefusal
from marketplace.gateway.exchange import Exchange
from portal.kernel.clock import utc_now

_PREFIX = b"access-control-"
# Names of headers, as a browser lists them.
_NAMES = re.compile(rb"[-!#$%&'*+.^_`|~0-9A-Za-z]+(?: *, *[-!#$%&'*+.^_`|~0-9A-Za-z]+)*")
_LONGEST_NAMES = 2000
_PREFLIGHT_SECONDS = 600


class AllowedOrigins:
    """The origins that any usable key allows, remembered for a few seconds."""

    def __init__(self, database: Database, *, seconds: float) -> None:
        self._database = database
        self._seconds = seconds
        self._origins: frozenset[str] = frozenset()
        self._good_until = 0.0

    async def greet(self, exchange: Exchange) -> bool:
        """Let the page read what follows, if any key allows it; whether that was all, as for a
        preflight. Raises GatewayRefusal (403) for the preflight of a page that none allows."""
        origin = read_origin(exchange)
        if origin is None:
            return False
        exchange.answer_headers.append((b"vary", b"Origin"))
        allowed = origin in await self._list()
        if allowed:
            _open(exchange, origin)
        if exchange.method != "OPTIONS":
            return False
        if not allowed:
            raise _refuse(origin)
        await exchange.start_answer(204, b"text/plain", _write_preflight(exchange))
        await exchange.write(b"", more=False)
        return True

    async def _list(self) -> frozenset[str]:
        if time.monotonic() >= self._good_until:
            asked_at = time.monotonic()
            self._origins = await self._database.read(accounts.list_allowed_origins, now=utc_now())
            self._good_until = asked_at + self._seconds
        return self._origins


def check_origin(exchange: Exchange, key: AuthenticatedKey) -> None:
    """Now that the key is known, it alone decides. Raises GatewayRefusal (403)."""
    origin = read_origin(exchange)
    if origin is None:
        return
    exchange.answer_headers = [
        header for header in exchange.answer_headers if not header[0].startswith(_PREFIX)
    ]
    if origin not in key.allowed_origins:
        raise _refuse(origin)
    _open(exchange, origin)


def read_origin(exchange: Exchange) -> str | None:
    """Which other web site's page sends this; None for programs and for our own pages.

    Programs on desktops name origins such as ``null`` or ``file://``. No key can allow those, so
    no browser that keeps to CORS ever sends a call from there.
    """
    origin = exchange.headers.get(b"origin")
    if origin is None or not origin.startswith((b"http://", b"https://")):
        return None
    host = exchange.headers.get(b"host", b"")
    return None if origin.partition(b"://")[2] == host else origin.decode("latin-1")


def _open(exchange: Exchange, origin: str) -> None:
    exchange.answer_headers += [
        (b"access-control-allow-origin", origin.encode("latin-1")),
        # No cookies are ever sent here, so the asterisk means every header.
        (b"access-control-expose-headers", b"*"),
    ]


def _write_preflight(exchange: Exchange) -> list[tuple[bytes, bytes]]:
    """All methods and headers: what a call may do follows from its key."""
    asked = exchange.headers.get(b"access-control-request-headers", b"").strip()
    named = len(asked) <= _LONGEST_NAMES and _NAMES.fullmatch(asked)
    return [
        (b"access-control-allow-methods", b"GET, POST"),
        (b"access-control-allow-headers", asked if named else b"authorization, content-type"),
        (b"access-control-max-age", str(_PREFLIGHT_SECONDS).encode()),
    ]


def _refuse(origin: str) -> GatewayRefusal:
    return GatewayRefusal(
        403,
        "origin_not_allowed",
        _("Pages of %(origin)s may not call with this key: its allowed web sites do not include "
          "them. Nothing was charged."),
        values={"origin": origin[:200]},
    )  # fmt: skip
