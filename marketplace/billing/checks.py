"""System checks: what must never start with money in play."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from marketplace.billing.currencies import SALE_CURRENCIES
from marketplace.billing.providers import has_live_payment_keys

# What payment processors accept for the life of a pay page, with room for a retry.
ORDER_MINUTES_RANGE = range(30, 24 * 60 + 1)


@register("billing")
def check_payments(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """The sandbox sells real tokens for no money: only ever on a machine of one's own."""
    problems: list[CheckMessage] = []
    if settings.SANDBOX_PAYMENTS and settings.SERVED_OVER_HTTPS:
        problems.append(
            Error(
                "The sandbox payment provider is on while the site is served over https.",
                hint="Set SANDBOX_PAYMENTS=false (or SITE_URL to an http address of a test).",
                id="billing.E001",
            )
        )
    if settings.SANDBOX_PAYMENTS and _is_reachable():
        problems.append(
            Error(
                "The sandbox payment provider is on while the site answers to others.",
                hint="Set SANDBOX_PAYMENTS=false, or keep BEHIND_TLS_PROXY off and ALLOWED_HOSTS"
                " to names of this machine.",
                id="billing.E005",
            )
        )
    if settings.SANDBOX_PAYMENTS and has_live_payment_keys():
        problems.append(
            Error(
                "The sandbox payment provider is on while keys of a real provider are set.",
                hint="Set SANDBOX_PAYMENTS=false, or remove STRIPE_SECRET_KEY.",
                id="billing.E002",
            )
        )
    if settings.TARIFF_CURRENCY not in SALE_CURRENCIES:
        problems.append(
            Error(
                "TARIFF_CURRENCY is not a currency that packs can be sold in.",
                hint=f"Choose one of {', '.join(SALE_CURRENCIES)}.",
                id="billing.E003",
            )
        )
    if settings.ORDER_MINUTES not in ORDER_MINUTES_RANGE:
        problems.append(
            Error(
                "ORDER_MINUTES must be between 30 and 1440.",
                hint="Payment processors keep a pay page open for half an hour to a day.",
                id="billing.E004",
            )
        )
    return problems


def _is_reachable() -> bool:
    """Behind a TLS proxy, or under a name that is not this machine's."""
    own = {"localhost", "127.0.0.1", "[::1]", "::1", "testserver"}
    return settings.SECURE_PROXY_SSL_HEADER is not None or bool(set(settings.ALLOWED_HOSTS) - own)
