"""What bounds the use of a key besides its rights and cap: how fast it may be used, from which
addresses, and by pages of which web sites."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any
from urllib.parse import urlsplit

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts.models import ApiKey
from accounts.services.audit import Actor, record_audit
from accounts.services.key_errors import KeyRejected, KeyRevoked

MAX_REQUESTS_PER_MINUTE = 1_000_000
MAX_TOKENS_PER_MINUTE = 1_000_000_000
MAX_NETWORKS = 50
MAX_ORIGINS = 20

_LONGEST_TEXT = 300
_LONGEST_HOST = 253
_MAPPED_BITS = 96
_USUAL_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyAccess:
    """``…_per_minute``: None leaves it to the site's setting. ``allowed_networks`` in CIDR, none
    for every address; ``allowed_origins`` as browsers send them, none for no web page."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    allowed_networks: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()

    def check(self) -> dict[str, Any]:
        """The fields of a key, as they are stored. Raises KeyRejected."""
        _refuse_rate("requests_per_minute", self.requests_per_minute, MAX_REQUESTS_PER_MINUTE)
        _refuse_rate("tokens_per_minute", self.tokens_per_minute, MAX_TOKENS_PER_MINUTE)
        return {
            "requests_per_minute": self.requests_per_minute,
            "tokens_per_minute": self.tokens_per_minute,
            "allowed_networks": read_networks(self.allowed_networks),
            "allowed_origins": read_origins(self.allowed_origins),
        }


NO_BOUNDS = KeyAccess()


def access_of(key: ApiKey) -> dict[str, Any]:
    """The fields of ``key`` that ``KeyAccess`` sets."""
    return {name: getattr(key, name) for name in KeyAccess.__dataclass_fields__}


def change_key_access(*, key: ApiKey, access: KeyAccess, actor: Actor, now: datetime) -> ApiKey:
    """From a few seconds later on this is what bounds the key. What stays the same is not noted.

    Raises KeyRejected, and KeyRevoked for a key that was ended for good.
    """
    wanted = access.check()
    with transaction.atomic():
        current = (
            ApiKey.objects.select_for_update(of=("self",))
            .select_related("organisation")
            .get(pk=key.pk)
        )
        if current.revoked_at:
            raise KeyRevoked(_("This key is revoked for good. Create a new one."))
        before = access_of(current)
        changed = [name for name in wanted if wanted[name] != before[name]]
        if changed:
            ApiKey.objects.filter(pk=current.pk).update(**{name: wanted[name] for name in changed})
            record_audit(
                organisation=current.organisation,
                actor=actor,
                action="api_key.access_changed",
                target_id=current.public_id,
                target_label=str(current),
                before={name: before[name] for name in changed},
                after={name: wanted[name] for name in changed},
                now=now,
            )
    key.refresh_from_db()
    return key


def read_networks(texts: Iterable[str]) -> list[str]:
    """Addresses and networks in CIDR, each once, in the order given. Raises KeyRejected."""
    networks = list(dict.fromkeys(str(_read_network(text.strip())) for text in texts))
    if len(networks) > MAX_NETWORKS:
        raise KeyRejected(
            _("At most %(most)s addresses or networks.") % {"most": MAX_NETWORKS},
            data={"field": "allowed_networks"},
        )
    return networks


def read_origins(texts: Iterable[str]) -> list[str]:
    """Origins as browsers write them (RFC 6454), each once. Raises KeyRejected."""
    origins = list(dict.fromkeys(_read_origin(text.strip()) for text in texts))
    if len(origins) > MAX_ORIGINS:
        raise KeyRejected(
            _("At most %(most)s web sites.") % {"most": MAX_ORIGINS},
            data={"field": "allowed_origins"},
        )
    return origins


def _read_network(text: str) -> IPv4Network | IPv6Network:
    try:
        # A zone belongs to one machine's wires: it says nothing here.
        network = ip_network(text if "%" not in text else "")
    except ValueError as error:
        raise KeyRejected(
            _("“%(text)s” is no address or network. Write for example 203.0.113.7 or "
              "203.0.113.0/24.") % {"text": text[:_LONGEST_TEXT]},
            data={"field": "allowed_networks"},
        ) from error  # fmt: skip
    # Clients are compared by their IPv4 address however it was written.
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is not None and network.prefixlen >= _MAPPED_BITS:
        return IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))
    return network


def _read_origin(text: str) -> str:
    try:
        if len(text) > _LONGEST_TEXT:
            raise ValueError(text)
        parts = urlsplit(text)
        port = parts.port
        host = _read_host(parts.hostname or "")
        rest = (parts.path.strip("/"), parts.query, parts.fragment, parts.username)
        if parts.scheme not in _USUAL_PORTS or any(rest) or "?" in text or "#" in text:
            raise ValueError(text)
    except ValueError as error:
        raise KeyRejected(
            _("“%(text)s” is no web site's origin. Write for example https://app.example.com.")
            % {"text": text[:_LONGEST_TEXT]},
            data={"field": "allowed_origins"},
        ) from error
    usual = port is None or port == _USUAL_PORTS[parts.scheme]
    return f"{parts.scheme}://{host}" if usual else f"{parts.scheme}://{host}:{port}"


def _read_host(host: str) -> str:
    """As browsers send it: lower case, other alphabets as ``xn--…``. Raises ValueError."""
    if ":" in host:
        return f"[{_read_network(host).network_address}]"
    plain = host if host.isascii() else host.encode("idna").decode("ascii")
    labels = plain.split(".")
    fits = all(label and label.replace("-", "").replace("_", "").isalnum() for label in labels)
    if not fits or len(plain) > _LONGEST_HOST:
        raise ValueError(host)
    return plain.lower()


def _refuse_rate(field: str, rate: int | None, most: int) -> None:
    if rate is not None and not 0 < rate <= most:
        raise KeyRejected(
            _("The limit must be more than zero and at most %(most)s; leave it empty for the usual "
              "one.") % {"most": most},
            data={"field": field},
        )  # fmt: skip
