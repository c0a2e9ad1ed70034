"""The connection to Stripe: one client per key, and its errors in our words.

Nothing that Stripe or the SDK says in prose is logged or passed on, since it may quote what was
sent: only the kind of error, its code and the request's id, by which Stripe finds the rest.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import stripe
import structlog

from marketplace.billing.payment_provider import (
    PaymentOutcomeUnknown,
    PaymentRefused,
    PaymentsUnavailable,
    SessionUnknown,
)
from portal.kernel.errors import DomainError

_log = structlog.get_logger(__name__)

# Telemetry keeps an id in the home directory, which a service's user may not have.
stripe.enable_telemetry = False

# To connect, and between two bytes. Three tries of these are all that a buyer ever waits.
TIMEOUT_SECONDS = (5.0, 20.0)
RETRIES = 2

# What the SDK itself stumbles over in an answer that a proxy or a broken line made up.
_BROKEN_ANSWER = (AttributeError, KeyError, TypeError, ValueError)


class StripeFailed(PaymentOutcomeUnknown):
    """Stripe answered with an error of its own (5xx).

    It keeps that answer under the request's key: ``is_replay`` says that it did so before, and
    that the same key will never be answered otherwise.
    """

    def __init__(self, *, is_replay: bool) -> None:
        super().__init__()
        self.is_replay = is_replay


@lru_cache(maxsize=4)
def connect(secret_key: str, api_url: str) -> stripe.StripeClient:
    """The process's client for this key; it keeps connections open, one pool per thread."""
    return stripe.StripeClient(
        secret_key,
        base_addresses={"api": api_url},
        http_client=stripe.RequestsClient(timeout=TIMEOUT_SECONDS),
        max_network_retries=RETRIES,
    )


@contextmanager
def creating() -> Iterator[None]:
    """Around a call that makes something.

    Raises PaymentOutcomeUnknown (StripeFailed for a 5xx), PaymentsUnavailable, PaymentRefused.
    """
    with _sdk_errors_named():
        try:
            yield
        except stripe.IdempotencyError as error:
            raise _named(error, PaymentRefused(code="idempotency_key_reused")) from None
        except (stripe.InvalidRequestError, stripe.CardError) as error:
            code = error.code or PaymentRefused.code
            raise _named(error, PaymentRefused(code=code)) from None


@contextmanager
def asking() -> Iterator[None]:
    """Around a call that only looks, or that may be made any number of times.

    Raises SessionUnknown, PaymentsUnavailable.
    """
    with _sdk_errors_named():
        try:
            yield
        except stripe.InvalidRequestError as error:
            unknown = error.http_status == 404 or error.code == "resource_missing"
            raise _named(error, SessionUnknown() if unknown else PaymentsUnavailable()) from None


@contextmanager
def _sdk_errors_named() -> Iterator[None]:
    try:
        yield
    except (stripe.RateLimitError, stripe.AuthenticationError, stripe.PermissionError) as error:
        # Turned away before anything was done.
        raise _named(error, PaymentsUnavailable()) from None
    except stripe.StripeError as error:
        if (error.http_status or 0) >= 500:
            is_replay = (error.headers or {}).get("Idempotent-Replayed") == "true"
            raise _named(error, StripeFailed(is_replay=is_replay)) from None
        raise _named(error, PaymentOutcomeUnknown()) from None
    except _BROKEN_ANSWER as error:
        _log.warning("stripe_answer_broken", error=type(error).__name__)
        raise PaymentOutcomeUnknown from None


def _named(error: stripe.StripeError, ours: DomainError) -> DomainError:
    _log.warning(
        "stripe_refused" if isinstance(ours, PaymentRefused) else "stripe_failed",
        error=type(error).__name__,
        status=error.http_status,
        code=error.code,
        request_id=error.request_id,
    )
    return ours
