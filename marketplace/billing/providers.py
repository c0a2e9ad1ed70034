"""Which payment providers this installation has."""

from django.conf import settings

from marketplace.billing.payment_provider import (
    NO_PROVIDER,
    PaymentProvider,
    PaymentsUnavailable,
    ProviderSwitchedOff,
)
from marketplace.billing.sandbox.adapter import SandboxProvider


def sandbox_is_allowed() -> bool:
    """Switched on, and neither on a public https site nor beside keys that move real money.

    The system check says so loudly at start-up; this is the same rule where it matters, since
    not every way of starting the server runs the checks.
    """
    return (
        settings.SANDBOX_PAYMENTS and not settings.SERVED_OVER_HTTPS and not has_live_payment_keys()
    )


def has_live_payment_keys() -> bool:
    return bool(settings.STRIPE_SECRET_KEY)


def list_payment_providers() -> list[PaymentProvider]:
    """Those that are switched on, the preferred one first."""
    return [SandboxProvider()] if sandbox_is_allowed() else []


def get_default_provider() -> PaymentProvider:
    """Where new orders are paid. Raises PaymentsUnavailable when there is none."""
    providers = list_payment_providers()
    if not providers:
        raise PaymentsUnavailable(NO_PROVIDER, code="payments_not_set_up")
    return providers[0]


def get_payment_provider(name: str) -> PaymentProvider:
    """By name, as orders and webhooks carry it. Raises ProviderSwitchedOff."""
    for provider in list_payment_providers():
        if provider.name == name:
            return provider
    raise ProviderSwitchedOff
