"""From which addresses and by which web pages a key may be used."""

import urllib.error
import urllib.request
from ipaddress import ip_address
from typing import Any

import pytest
from django.conf import LazySettings

from accounts.services import KeyAccess, find_client_address
from marketplace.gateway.app import _ROUTES
from marketplace.metering.models import Call
from tests.cast import make_key
from tests.gateway.market import CHAT_PATH, GOOD, STREAM, Market

PAGE = "https://app.example.com"


def make(market: Market, **access: Any) -> str:
    _key, secret = make_key(market.acme, access=KeyAccess(**access))
    return secret


def test_a_key_works_from_its_addresses_only(market: Market) -> None:
    here = make(market, allowed_networks=("127.0.0.0/8", "::1"))
    elsewhere = make(market, allowed_networks=("203.0.113.0/24", "2001:db8::/32"))
    assert market.post(CHAT_PATH, GOOD, secret=here)[0] == 200
    calls = Call.objects.count()
    status, _headers, answer = market.post(CHAT_PATH, GOOD, secret=elsewhere)
    assert (status, answer["error"]["code"]) == (403, "address_not_allowed")
    assert answer["error"]["type"] == "permission_error"
    assert "127.0.0.1" in answer["error"]["message"] or "::1" in answer["error"]["message"]
    # What a client writes itself is not believed.
    forged = market.post(CHAT_PATH, GOOD, secret=elsewhere, **{"X-Forwarded-For": "203.0.113.7"})
    assert forged[0] == 403
    assert Call.objects.count() == calls


def test_the_proxy_in_front_tells_the_address(market: Market, settings: LazySettings) -> None:
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    secret = make(market, allowed_networks=("203.0.113.0/24",))
    seen = {"203.0.113.7": 200, "198.51.100.1, 203.0.113.7": 200, "203.0.113.7, 198.51.100.1": 403}
    for forwarded, status in seen.items():
        headers = {"X-Forwarded-For": forwarded}
        assert market.post(CHAT_PATH, GOOD, secret=secret, **headers)[0] == status, forwarded


@pytest.mark.parametrize(
    ("proxies", "peer", "forwarded_for", "address"),
    [
        (0, "203.0.113.7", "198.51.100.1", "203.0.113.7"),
        (1, "127.0.0.1", "", "127.0.0.1"),
        (1, "127.0.0.1", "x, 203.0.113.7", "203.0.113.7"),
        (2, "127.0.0.1", "x, 203.0.113.7, 198.51.100.1", "203.0.113.7"),
        (2, "127.0.0.1", "203.0.113.7", None),
        (1, "127.0.0.1", "203.0.113.7:4711", "203.0.113.7"),
        (1, "127.0.0.1", "[2001:db8::7]:4711", "2001:db8::7"),
        (0, "::ffff:203.0.113.7", "", "203.0.113.7"),
        (0, "fe80::1%eth0", "", "fe80::1"),
        (0, "", "", None),
        (1, "127.0.0.1", "unknown", None),
    ],
)
def test_whose_address_is_believed(
    settings: LazySettings, proxies: int, peer: str, forwarded_for: str, address: str | None
) -> None:
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = proxies
    found = find_client_address(peer=peer, forwarded_for=forwarded_for)
    assert found == (ip_address(address) if address else None)


@pytest.mark.parametrize("path", sorted(_ROUTES))
def test_every_route_asks_from_where(market: Market, path: str) -> None:
    method, _handler = _ROUTES[path]
    secret = make(market, allowed_networks=("203.0.113.0/24",))
    send = market.get if method == "GET" else lambda path, **more: market.post(path, GOOD, **more)
    status, _headers, answer = send(path, secret=secret)
    assert (status, answer["error"]["code"]) == (403, "address_not_allowed")
    other = make(market, allowed_origins=(PAGE,))
    if method == "POST":
        status, _headers, answer = market.post(
            path, GOOD, secret=other, Origin="https://evil.example"
        )
        assert (status, answer["error"]["code"]) == (403, "origin_not_allowed")


def ask_first(market: Market, origin: str, headers: str = "authorization") -> Any:
    """A browser's preflight, which carries no key: status and headers."""
    request = urllib.request.Request(
        market.site.url + CHAT_PATH,
        method="OPTIONS",
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": headers,
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, {k.lower(): v for k, v in answer.headers.items()}
    except urllib.error.HTTPError as error:
        return error.code, {k.lower(): v for k, v in error.headers.items()}


def test_a_page_may_call_with_a_key_that_allows_it(market: Market) -> None:
    secret = make(market, allowed_origins=(PAGE,))
    asked = "authorization,content-type,x-stainless-lang"
    status, headers = ask_first(market, PAGE, asked)
    assert status == 204
    assert headers["access-control-allow-origin"] == PAGE
    assert headers["access-control-allow-headers"] == asked
    assert "POST" in headers["access-control-allow-methods"]
    assert "access-control-allow-credentials" not in headers
    assert headers["vary"] == "Origin"

    status, headers, _answer = market.post(CHAT_PATH, GOOD, secret=secret, Origin=PAGE)
    assert status == 200
    assert headers["access-control-allow-origin"] == PAGE
    assert headers["access-control-expose-headers"] == "*"
    assert headers["vary"] == "Origin"

    # Refusals can be read by the page as well, those of a wrong key too.
    for broken, body, code in ((secret, {}, 400), (secret + "x", GOOD, 401)):
        status, headers, _answer = market.post(CHAT_PATH, body, secret=broken, Origin=PAGE)
        assert (status, headers["access-control-allow-origin"]) == (code, PAGE)


def test_no_page_may_call_with_any_other_key(market: Market) -> None:
    assert ask_first(market, PAGE)[0] == 403, "nobody allows it"
    make(market, allowed_origins=(PAGE,))
    for origin in (PAGE, "https://evil.example", "https://app.example.com.evil.example"):
        for body in (GOOD, STREAM):
            status, headers, answer = market.post(CHAT_PATH, body, Origin=origin)
            assert (status, answer["error"]["code"]) == (403, "origin_not_allowed")
            assert "access-control-allow-origin" not in headers
    status, headers = ask_first(market, "https://evil.example")
    assert (status, headers.get("access-control-allow-origin")) == (403, None)
    assert not Call.objects.exists()


def test_our_own_pages_and_programs_are_no_strangers(market: Market) -> None:
    for origin in (market.site.url, "null", "file://", "app://-"):
        status, headers, _answer = market.post(CHAT_PATH, GOOD, Origin=origin)
        assert (status, headers.get("access-control-allow-origin")) == (200, None), origin


def test_what_a_preflight_asks_for_is_not_echoed_unread(market: Market) -> None:
    make(market, allowed_origins=(PAGE,))
    _status, headers = ask_first(market, PAGE, 'authorization, "<script>"')
    assert headers["access-control-allow-headers"] == "authorization, content-type"
