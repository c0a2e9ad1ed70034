"""From where a key may be used: its allowed addresses."""

from django.utils.translation import gettext_lazy as _

from accounts.services import Address, AuthenticatedKey, find_client_address
from marketplace.gateway.errors import GatewayRefusal
from marketplace.gateway.exchange import Exchange, Scope


def check_place(exchange: Exchange, key: AuthenticatedKey) -> None:
    """Raises GatewayRefusal (403) that tells the caller the address that was seen."""
    if not key.allowed_networks:
        return
    address = _read_address(exchange.scope)
    if not key.admits(address):
        raise GatewayRefusal(
            403,
            "address_not_allowed",
            _("This key may not be used from your address, %(address)s. Nothing was charged."),
            values={"address": address or _("unknown")},
        )


def _read_address(scope: Scope) -> Address | None:
    peer = scope.get("client")
    # Proxies may each add a line of their own instead of an entry to the last one.
    lines = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
    return find_client_address(
        peer=peer[0] if peer else "", forwarded_for=b",".join(lines).decode("latin-1")
    )
