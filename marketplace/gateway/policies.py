"""What a key may call: the services that it is confined to, and its organisation's policy and its
own. Both are read with the key, so a change is noticed as fast as a suspension."""

from collections.abc import Sequence

from django.utils.translation import gettext_lazy as _

from accounts.services import AuthenticatedKey
from marketplace.catalog import selectors as catalog
from marketplace.catalog.selectors import CallableService
from marketplace.gateway.errors import GatewayRefusal


def list_permitted(
    services: Sequence[CallableService], key: AuthenticatedKey
) -> list[CallableService]:
    """Those that the key may call, in the given order; possibly none."""
    return catalog.keep_permitted(_keep_listed(services, key), key.policies)[0]


def keep_permitted(
    services: Sequence[CallableService], key: AuthenticatedKey
) -> list[CallableService]:
    """Those that the key may call, in the given order; at least one.

    Raises GatewayRefusal (403) naming the rule that excluded the last.
    """
    listed = _keep_listed(services, key)
    if not listed:
        raise GatewayRefusal(
            403,
            "policy_violation",
            _("This key may not use this model: its allowed services do not include it."),
            param="model",
        )
    permitted, broken = catalog.keep_permitted(listed, key.policies)
    if broken is None:
        return permitted
    raise GatewayRefusal(
        403,
        "policy_violation",
        _("This key's policy allows no service of this model (%(rule)s). Nothing was charged.")
        if broken.owner == "key"
        else _("Your organisation's policy allows no service of this model (%(rule)s). Nothing "
               "was charged."),
        values={"rule": broken.words},
        param="model",
    )  # fmt: skip


def _keep_listed(
    services: Sequence[CallableService], key: AuthenticatedKey
) -> Sequence[CallableService]:
    if not key.allowed_services:
        return services
    return [service for service in services if service.public_id in key.allowed_services]
