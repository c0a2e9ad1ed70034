"""Addresses that other people typed in: only public ones are called."""

import asyncio
import ipaddress
import socket
from typing import Any

import aiohttp
import pytest

from portal.kernel.outbound import (
    AddressRefused,
    GuardedResolver,
    is_public,
    open_session,
    refuse_bad_address,
)

REFUSED = """
http://example.com/ ftp://example.com/ //example.com/ example.com https:// https:///path
https://user@example.com/ https://user:secret@example.com/ https://localhost/ https://LOCALHOST./
https://a.localhost/ https://127.0.0.1/ https://127.1/ https://2130706433/ https://0x7f000001/
https://0177.0.0.1/ https://10.1.2.3/ https://192.168.0.1/ https://172.16.0.1/ https://100.64.0.1/
https://169.254.169.254/ https://0.0.0.0/ https://224.0.0.1/ https://255.255.255.255/
https://[::1]/ https://[::]/ https://[fe80::1]/ https://[fc00::1]/ https://[::ffff:127.0.0.1]/
https://[::ffff:10.0.0.1]/ https://[64:ff9b::7f00:1]/ https://[2002:7f00:1::]/ https://[fec0::1]/
https://127.0.0.１/ https://127。0。0。1/ https://169.254.169.２５４/ https://127.0.0.%31/
https://192.0.2.1/ https://198.18.0.1/ https://example.com:99999/ https://[::1
""".split()
ACCEPTED = """
https://example.com/v1 https://example.com:8443/v1 https://93.184.216.34/ https://[2606:4700::1111]/
""".split()


@pytest.mark.parametrize("url", REFUSED)
def test_refused(url: str) -> None:
    with pytest.raises(AddressRefused):
        refuse_bad_address(url, allowed_private=[])


@pytest.mark.parametrize(
    "url", ["https://exam ple.com/", "https://example.com/\n", "https://e\tx.com"]
)
def test_refused_characters(url: str) -> None:
    with pytest.raises(AddressRefused):
        refuse_bad_address(url, allowed_private=[])


@pytest.mark.parametrize("url", ACCEPTED)
def test_accepted(url: str) -> None:
    refuse_bad_address(url, allowed_private=[])


def test_the_operator_can_allow_an_address() -> None:
    allowed = ["127.0.0.1:9000"]
    refuse_bad_address("http://127.0.0.1:9000/v1", allowed_private=allowed)
    for url in ("http://127.0.0.1:9001/v1", "ftp://127.0.0.1:9000/", "http://127.0.0.1/"):
        with pytest.raises(AddressRefused):
            refuse_bad_address(url, allowed_private=allowed)


def test_public_addresses() -> None:
    assert is_public(ipaddress.ip_address("93.184.216.34"))
    assert not is_public(ipaddress.ip_address("::ffff:192.168.1.1"))


async def test_names_are_judged_by_where_they_lead(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name with one private address among public ones is refused, at the connection itself."""
    answers: dict[str, list[str]] = {
        "good.example": ["93.184.216.34"],
        "mixed.example": ["93.184.216.34", "10.0.0.1"],
        "metadata.example": ["169.254.169.254"],
    }

    async def getaddrinfo(host: str, port: int, **_options: Any) -> list[Any]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in answers[host]
        ]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    resolver = GuardedResolver(allowed_private=[])
    assert [found["host"] for found in await resolver.resolve("good.example", 443)] == [
        "93.184.216.34"
    ]
    for name in ("mixed.example", "metadata.example"):
        with pytest.raises(OSError, match="not a public address"):
            await resolver.resolve(name, 443)
    async with open_session(connections=1, connections_per_host=1, allowed_private=[]) as session:
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get("https://metadata.example/", allow_redirects=False)
