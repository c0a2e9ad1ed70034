"""System checks: what must never start with money in play."""

import re
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register
from stdnum import iban

from accounts.tax_ids import TaxIdWrong, clean_tax_id
from marketplace.billing.bank.account import bank_is_set_up, get_account, looks_like_iban
from marketplace.billing.currencies import SALE_CURRENCIES
from marketplace.billing.providers import (
    has_live_payment_keys,
    stripe_is_in_test_mode,
    stripe_is_set_up,
)
from marketplace.billing.services.documents import CREDIT_NOTE_SERIES, TEST_SERIES

# What payment processors accept for the life of a pay page, which outlives its order a little.
ORDER_MINUTES_RANGE = range(30, 23 * 60 + 1)
TRANSFER_DAYS_RANGE = range(1, 91)
_OWN_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]", "::1", "testserver"})


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
                "ORDER_MINUTES must be between 30 and 1380.",
                hint="Payment processors keep a pay page open for half an hour to a day.",
                id="billing.E004",
            )
        )
    return [*problems, *_check_stripe(), *_check_bank()]


def _check_stripe() -> Iterator[CheckMessage]:
    """Whole or not at all; and its test mode, which moves no money, only where the sandbox may."""
    found = bool(settings.STRIPE_SECRET_KEY), bool(settings.STRIPE_WEBHOOK_SECRET)
    if any(found) and not all(found):
        yield Error(
            "Stripe is set up by half: it takes no payments.",
            hint=f"Set {'STRIPE_WEBHOOK_SECRET' if found[0] else 'STRIPE_SECRET_KEY'} too"
            " (docs/payments.md), or neither.",
            id="billing.E006",
        )
    elif any(found) and not stripe_is_set_up():
        yield Error(
            "The secrets for Stripe are not what they should be: it takes no payments.",
            hint="STRIPE_SECRET_KEY begins with sk_live_, rk_live_, sk_test_ or rk_test_ (a"
            " publishable key, pk_…, will not do), STRIPE_WEBHOOK_SECRET with whsec_.",
            id="billing.E007",
        )
    if stripe_is_in_test_mode() and (settings.SERVED_OVER_HTTPS or _is_reachable()):
        yield Error(
            "Stripe is in test mode, where no money moves, while the site answers to others.",
            hint="Set a live key, or keep the site to http and to names of this machine.",
            id="billing.E008",
        )
    address = urlsplit(settings.STRIPE_API_URL)
    if address.scheme != "https" and address.hostname not in _OWN_NAMES:
        yield Error(
            "STRIPE_API_URL would send the key in the clear.",
            hint="Use https, or leave it out.",
            id="billing.E009",
        )


def _check_bank() -> Iterator[CheckMessage]:
    """Whole or not at all, and its number one that money arrives at."""
    account = get_account()
    if any((account.holder, account.number, account.bic, account.bank)) and not bank_is_set_up():
        yield Error(
            "Bank transfer is set up by half: nobody is offered it.",
            hint="Set BANK_TRANSFER_HOLDER, BANK_TRANSFER_ACCOUNT and BANK_TRANSFER_BANK, or none.",
            id="billing.E012",
        )
    if looks_like_iban(account.number) and not iban.is_valid(account.number):
        yield Error(
            "BANK_TRANSFER_ACCOUNT looks like an IBAN and is none.",
            hint="Compare it with what your bank says: a digit is wrong, missing or too many.",
            id="billing.E013",
        )
    if settings.TRANSFER_DAYS not in TRANSFER_DAYS_RANGE:
        yield Error("TRANSFER_DAYS must be between 1 and 90.", id="billing.E014")


def _is_reachable() -> bool:
    """Behind a TLS proxy, or under a name that is not this machine's."""
    return settings.SECURE_PROXY_SSL_HEADER is not None or not _OWN_NAMES.issuperset(
        settings.ALLOWED_HOSTS
    )


@register("billing")
def check_documents(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """What invoices would say wrong for ever, since they never change."""
    problems: list[CheckMessage] = []
    if settings.DOCUMENT_SERIES and not _is_series(settings.DOCUMENT_SERIES):
        problems.append(
            Error(
                "DOCUMENT_SERIES must be 1 to 10 capital letters and digits, and not TEST or CN.",
                hint="Choose a short code of the legal entity that sells, such as NL or ACME.",
                id="billing.E010",
            )
        )
    if settings.TAX_BASIS_POINTS not in range(10_001) or (
        settings.TAX_BASIS_POINTS and not settings.TAX_NAME
    ):
        problems.append(
            Error(
                "TAX_BASIS_POINTS must be between 0 and 10000, and needs a TAX_NAME.",
                hint="19 % is 1900; TAX_NAME is how invoices call it, such as VAT.",
                id="billing.E011",
            )
        )
    if settings.STRIPE_TAX and settings.TAX_BASIS_POINTS:
        problems.append(
            Error(
                "Two taxes would be computed: STRIPE_TAX is on and TAX_BASIS_POINTS is set.",
                hint="Leave out TAX_BASIS_POINTS, or switch STRIPE_TAX off.",
                id="billing.E015",
            )
        )
    try:
        clean_tax_id(settings.SELLER_TAX_ID, country=settings.SELLER_COUNTRY)
    except TaxIdWrong:
        problems.append(
            Warning(
                "SELLER_TAX_ID is not a tax id of SELLER_COUNTRY.",
                hint="Invoices would name it. In the European Union it is the VAT number.",
                id="billing.W001",
            )
        )
    return problems


def _is_series(text: str) -> bool:
    return bool(re.fullmatch(r"[A-Z0-9]{1,10}", text)) and text not in (
        TEST_SERIES,
        CREDIT_NOTE_SERIES,
    )
