"""Looks at the Stripe account as it is set up, before anybody pays. It makes and changes nothing.

For ``manage.py check_payments``; in English, as commands speak.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import stripe
from django.conf import settings

from marketplace.billing.stripe.client import connect
from marketplace.billing.stripe.events import EVENT_TYPES


class Verdict(StrEnum):
    """What was found; only ``WRONG`` keeps people from paying or us from hearing of it."""

    GOOD = "good"
    WRONG = "WRONG"
    UNSEEN = "not seen"


@dataclass(frozen=True, slots=True)
class Seen:
    verdict: Verdict
    text: str


class _Denied(Exception):
    """The key may not do this."""


def inspect_account(*, webhook_url: str, livemode: bool) -> Iterator[Seen]:
    """One line after the other, as it is seen. ``livemode`` is what the key says of itself.

    ``webhook_url`` is where Stripe has to post its events to.
    """
    client = connect(settings.STRIPE_SECRET_KEY, settings.STRIPE_API_URL)
    try:
        money = "real money moves" if livemode else "test mode, no money moves"
        _ask(lambda: client.v1.events.list({"limit": 1}))
        yield Seen(Verdict.GOOD, f"The key opens the account: {money}.")
    except _Denied:
        yield Seen(Verdict.WRONG, "The key may not read Events.")
    except stripe.AuthenticationError:
        yield Seen(Verdict.WRONG, "Stripe does not know the key.")
        return
    except stripe.StripeError as error:
        yield Seen(Verdict.WRONG, f"Stripe cannot be asked now: {type(error).__name__}.")
        return
    for look in (_see_permissions, _see_account, _see_methods):
        yield from look(client)
    if settings.STRIPE_TAX:
        yield from _see_tax(client)
    yield from _see_webhook(client, webhook_url, livemode)


def _see_permissions(client: stripe.StripeClient) -> Iterator[Seen]:
    """Writing is tried with what Stripe always refuses, once it has looked at the permission."""
    tries: dict[str, Callable[[], object]] = {
        "read Checkout Sessions with their PaymentIntents": lambda: (
            client.v1.checkout.sessions.list({"limit": 1, "expand": ["data.payment_intent"]})
        ),
        "write Checkout Sessions": lambda: client.v1.checkout.sessions.create({}),
        "write PaymentIntents": lambda: client.v1.payment_intents.cancel("pi_0"),
        "write Customers": lambda: client.v1.customers.update("cus_0", {}),
        "write PaymentMethods": lambda: client.v1.payment_methods.detach("pm_0"),
        "read SetupIntents": lambda: client.v1.setup_intents.list({"limit": 1}),
        "read Charges": lambda: client.v1.charges.list({"limit": 1}),
        "read Refunds": lambda: client.v1.refunds.list({"limit": 1}),
        "write Refunds": lambda: client.v1.refunds.create({"payment_intent": "pi_0"}),
        "read Disputes": lambda: client.v1.disputes.list({"limit": 1}),
        "read Balance transaction sources": lambda: client.v1.balance_transactions.list(
            {"limit": 1, "expand": ["data.source"]}
        ),
    }
    for what, call in tries.items():
        try:
            _ask(call)
        except _Denied:
            yield Seen(Verdict.WRONG, f"The key may not {what}.")
        except stripe.InvalidRequestError:
            yield Seen(Verdict.GOOD, f"The key may {what}.")
        except stripe.StripeError as error:
            yield Seen(Verdict.WRONG, f"To {what} failed: {type(error).__name__}.")
        else:
            yield Seen(Verdict.GOOD, f"The key may {what}.")


def _see_account(client: stripe.StripeClient) -> Iterator[Seen]:
    account = _look(client.v1.accounts.retrieve_current)
    if account is None:
        yield Seen(Verdict.UNSEEN, "Whether the account is complete: see its dashboard.")
    elif not account.get("charges_enabled"):
        yield Seen(Verdict.WRONG, "The account may not take payments yet: complete its profile.")
    else:
        yield Seen(Verdict.GOOD, "The account may take payments.")


def _see_methods(client: stripe.StripeClient) -> Iterator[Seen]:
    found = _look(lambda: client.v1.payment_method_configurations.list({"limit": 100}))
    defaults = [one for one in (found or {}).get("data", ()) if one.get("is_default")]
    if not defaults:
        yield Seen(Verdict.UNSEEN, "Which payment methods are on: see Settings, Payment methods.")
        return
    for method in settings.STRIPE_PAYMENT_METHODS:
        if any((one.get(method) or {}).get("available") for one in defaults):
            yield Seen(Verdict.GOOD, f"Buyers can pay by {method}.")
        else:
            yield Seen(
                Verdict.WRONG,
                f"Payment by {method} is not on: switch it on, or take it out of"
                " STRIPE_PAYMENT_METHODS.",
            )


def _see_tax(client: stripe.StripeClient) -> Iterator[Seen]:
    tax = _look(client.v1.tax.settings.retrieve)
    if tax is None:
        yield Seen(Verdict.UNSEEN, "Whether Stripe Tax is set up: see Tax, Registrations.")
    elif tax.get("status") != "active":
        yield Seen(Verdict.WRONG, "STRIPE_TAX is on, and Stripe Tax is not set up.")
    else:
        yield Seen(Verdict.GOOD, "Stripe Tax is set up.")


def _see_webhook(client: stripe.StripeClient, url: str, livemode: bool) -> Iterator[Seen]:
    found = _look(lambda: client.v1.webhook_endpoints.list({"limit": 100}))
    if found is None:
        yield Seen(Verdict.UNSEEN, f"Whether events are sent to {url}: see Webhooks.")
        return
    here = [one for one in found["data"] if one["url"].rstrip("/") == url.rstrip("/")]
    if not here:
        yield Seen(
            Verdict.WRONG,
            f"No webhook endpoint for {url}. (One for thin payloads is not seen from here.)",
        )
    for one in here:
        told = set(one["enabled_events"])
        missing = [] if "*" in told else sorted(EVENT_TYPES.keys() - told)
        if one["url"] != url:
            yield Seen(Verdict.WRONG, f"The endpoint's address must end as here: {url}")
        if one["status"] != "enabled":
            yield Seen(Verdict.WRONG, "The webhook endpoint is switched off.")
        if one["livemode"] != livemode:
            yield Seen(Verdict.WRONG, "The webhook endpoint is of the other mode than the key.")
        if missing:
            yield Seen(Verdict.WRONG, f"The endpoint is not told of: {', '.join(missing)}.")
        else:
            yield Seen(Verdict.GOOD, f"Events are sent to {url}.")
    if len(here) > 1:
        yield Seen(Verdict.WRONG, "Several endpoints have this address; each signs differently.")


def _look(call: Callable[[], Any]) -> Any:
    """As plain data; None where it is not shown."""
    try:
        return _ask(call).to_dict()
    except (_Denied, stripe.StripeError):
        return None


def _ask(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except stripe.PermissionError:
        raise _Denied from None
