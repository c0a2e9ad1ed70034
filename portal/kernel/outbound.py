"""The one guarded way out: HTTP requests to addresses that other people typed in.

Only https, except towards ``host:port`` pairs that the operator allowed
(``OUTBOUND_ALLOWED_PRIVATE``, the demo providers). A name is resolved by our own resolver, which
refuses private, loopback, link-local and other special addresses, and the connection goes to the
very addresses that it approved, so a second answer of the name server changes nothing. Redirects
are not followed, cookies are not kept, proxies from the environment are not used, and compressed
answers are neither asked for nor unpacked.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Collection
from functools import lru_cache
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from django.conf import settings
from django.utils.translation import gettext_lazy as _

from portal.kernel.errors import DomainError

DEFAULT_PORTS = {"https": 443, "http": 80}
# Embedded IPv4 in IPv6 that a gateway could still carry to a private network.
_CARRIERS = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))


class AddressRefused(DomainError):
    """Requests may not be sent to this address."""

    code, kind = "address_refused", "rejected"


class AddressRefusedByResolver(OSError):
    """Raised inside aiohttp, which wraps it in its own connection error."""


def refuse_bad_address(url: str, *, allowed_private: Collection[str] | None = None) -> None:
    """Raises AddressRefused unless ``url`` may be called, as far as can be told without a lookup.

    Use it when somebody saves an address; every request checks again. ``allowed_private`` are
    ``host:port`` pairs, by default those of the settings.
    """
    _judge(url, _allowed(allowed_private))


@lru_cache(maxsize=1024)
def _judge(url: str, allowed: frozenset[str]) -> None:
    """Remembered for addresses that are good, since every call asks."""
    try:
        parts = urlsplit(url)
        port = parts.port or DEFAULT_PORTS.get(parts.scheme, 0)
    except ValueError as error:
        raise AddressRefused(_("This is not a complete web address.")) from error
    host = parts.hostname or ""
    # aiohttp folds other digits and dots into ASCII after this check: names must come as they are.
    if not host.isascii() or "%" in host:
        raise AddressRefused(_("Write the host in ASCII (punycode for other letters)."))
    if not host or any(character.isspace() or ord(character) < 32 for character in url):
        raise AddressRefused(_("This is not a complete web address."))
    if parts.username or parts.password:
        raise AddressRefused(_("The address must not contain a user name or password."))
    if f"{host}:{port}" in allowed and parts.scheme in DEFAULT_PORTS:
        return
    if parts.scheme != "https":
        raise AddressRefused(_("The address must begin with https://."))
    address = _literal(host)
    if (address and not is_public(address)) or host.rstrip(".").lower().endswith("localhost"):
        raise AddressRefused(_("The address must be reachable from the public internet."))


def is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether the address belongs to the public internet, also when IPv4 hides in IPv6."""
    if isinstance(address, ipaddress.IPv6Address):
        if any(address in network for network in _CARRIERS):
            return False
        inner = address.ipv4_mapped or address.sixtofour
        if inner is not None:
            return is_public(inner)
        if address.teredo is not None or address.is_site_local:
            return False
    return address.is_global and not address.is_multicast


class GuardedResolver(AbstractResolver):
    """Resolves a name once and hands on public addresses only."""

    def __init__(self, allowed_private: Collection[str] | None = None) -> None:
        self._allowed = _allowed(allowed_private)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """All addresses of ``host``. Raises AddressRefusedByResolver if any is not public."""
        found = await asyncio.get_running_loop().getaddrinfo(
            host, port, family=family, type=socket.SOCK_STREAM
        )
        results: list[ResolveResult] = []
        for found_family, _kind, protocol, _name, target in found:
            address = ipaddress.ip_address(str(target[0]).partition("%")[0])
            if f"{host}:{port}" not in self._allowed and not is_public(address):
                raise AddressRefusedByResolver(f"{host} is not a public address")
            results.append(
                ResolveResult(
                    hostname=host,
                    host=str(target[0]),
                    port=port,
                    family=found_family,
                    proto=protocol,
                    flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
                )
            )
        if not results:
            raise OSError(f"{host} has no address")
        return results

    async def close(self) -> None:
        """Nothing is held open."""


def open_session(
    *,
    connections: int,
    connections_per_host: int,
    allowed_private: Collection[str] | None = None,
) -> aiohttp.ClientSession:
    """A session for guarded requests; the caller closes it.

    Call ``refuse_bad_address`` before each request too (aiohttp resolves no literal addresses),
    and pass ``allow_redirects=False`` and a time-out with each.
    """
    connector = aiohttp.TCPConnector(
        resolver=GuardedResolver(allowed_private),
        limit=connections,
        limit_per_host=connections_per_host,
        ttl_dns_cache=60,
        keepalive_timeout=30,
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        requote_redirect_url=False,
        headers={"User-Agent": "Tokenworks", "Accept-Encoding": "identity"},
    )


def _allowed(given: Collection[str] | None) -> frozenset[str]:
    return frozenset(settings.OUTBOUND_ALLOWED_PRIVATE if given is None else given)


def _literal(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address if ``host`` is one, in any spelling that a C library would accept."""
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        pass
    try:
        # 127.1, 0x7f000001, 2130706433 and the like.
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, ValueError):
        return None
