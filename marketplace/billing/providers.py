"""Which payment providers this installation has."""

from django.conf import settings

from marketplace.billing.bank.account import bank_is_set_up
from marketplace.billing.bank.adapter import BankProvider
from marketplace.billing.payment_provider import (
    NO_PROVIDER,
    PaymentProvider,
    PaymentsUnavailable,
    ProviderSwitchedOff,
)
from marketplace.billing.sandbox.adapter import SandboxProvider
from marketplace.billing.stripe.adapter import (
    LIVE_KEY_PREFIXES,
    TEST_KEY_PREFIXES,
    StripeProvider,
)

_SIGNING_KEY_PREFIX = "whsec_"
# One that could be guessed would let anybody speak for Stripe.
_SHORTEST_SIGNING_KEY = 32


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


def stripe_is_set_up() -> bool:
    """Both of its secrets are there and are of the right kind; one alone is of no use."""
    signing_key = settings.STRIPE_WEBHOOK_SECRET
    return (
        settings.STRIPE_SECRET_KEY.startswith(LIVE_KEY_PREFIXES + TEST_KEY_PREFIXES)
        and signing_key.startswith(_SIGNING_KEY_PREFIX)
        and len(signing_key) >= _SHORTEST_SIGNING_KEY
    )


def stripe_is_in_test_mode() -> bool:
    """Its payments move no money either: the sandbox's rule holds for them (docs/adr/0091)."""
    return settings.STRIPE_SECRET_KEY.startswith(TEST_KEY_PREFIXES)


def stripe_is_allowed() -> bool:
    """Set up, and not giving tokens away for played payments on a public https site."""
    return stripe_is_set_up() and not (settings.SERVED_OVER_HTTPS and stripe_is_in_test_mode())


def tax_is_computed_on_payment() -> bool:
    """By the provider, which alone knows where the buyer is (docs/adr/0156)."""
    return settings.STRIPE_TAX and stripe_is_allowed()


def transfer_is_offered() -> bool:
    """Not where Stripe alone can say how much of a price is tax."""
    return bank_is_set_up() and not tax_is_computed_on_payment()


def list_payment_providers() -> list[PaymentProvider]:
    """Those that are switched on, the preferred one first."""
    providers: list[PaymentProvider] = []
    if stripe_is_allowed():
        providers.append(StripeProvider())
    if sandbox_is_allowed():
        providers.append(SandboxProvider())
    if bank_is_set_up():
        providers.append(BankProvider())
    return providers


def list_online_providers() -> list[PaymentProvider]:
    """Those that have a page to pay on."""
    return [one for one in list_payment_providers() if one.name != BankProvider.name]


def get_default_provider() -> PaymentProvider:
    """Where new orders are paid unless the buyer chooses to transfer the money. Raises
    PaymentsUnavailable when there is none."""
    providers = list_online_providers()
    if not providers:
        raise PaymentsUnavailable(NO_PROVIDER, code="payments_not_set_up")
    return providers[0]


def get_transfer_provider() -> PaymentProvider:
    """Where orders are paid that buyers transfer the money for. Raises PaymentsUnavailable."""
    if not transfer_is_offered():
        raise PaymentsUnavailable(NO_PROVIDER, code="payments_not_set_up")
    return BankProvider()


def get_payment_provider(name: str) -> PaymentProvider:
    """By name, as orders and webhooks carry it. Raises ProviderSwitchedOff."""
    for provider in list_payment_providers():
        if provider.name == name:
            return provider
    raise ProviderSwitchedOff
