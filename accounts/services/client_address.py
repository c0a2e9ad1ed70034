"""From which address a request comes, behind the proxies that the operator trusts."""

from ipaddress import IPv4Address, IPv6Address, ip_address

from django.conf import settings

Address = IPv4Address | IPv6Address


def find_client_address(*, peer: str, forwarded_for: str) -> Address | None:
    """Who speaks to the outermost trusted proxy (``TRUSTED_PROXY_COUNT``), or None if unreadable.

    ``peer`` is who speaks to this process; ``forwarded_for`` the request's ``X-Forwarded-For``,
    all lines of it. Each trusted proxy adds one entry at the end; what stands before those is the
    client's own and is not believed.
    """
    trusted = settings.ALLAUTH_TRUSTED_PROXY_COUNT
    if trusted <= 0 or not forwarded_for:
        return _read(peer)
    entries = forwarded_for.split(",")
    return _read(entries[-trusted]) if len(entries) >= trusted else None


def _read(text: str) -> Address | None:
    """Some proxies add the port: ``203.0.113.7:4711``, ``[2001:db8::7]:4711``."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    # A socket for both families shows IPv4 clients as ::ffff:203.0.113.7.
    return getattr(address, "ipv4_mapped", None) or address
