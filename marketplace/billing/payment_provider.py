"""What billing asks of a payment provider: our own words, no provider's object passes this door.

The sandbox and Stripe implement it. All methods but ``parse_event`` go over a network,
so none is called inside a database transaction. Amounts are integers in the currency's minor
unit; ``livemode`` says whether real money moves.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol, Self

from django.utils.translation import gettext_lazy as _

from marketplace.billing.money_back import ReversingProvider
from marketplace.billing.money_moved import AccountedProvider
from marketplace.billing.saved_cards import SavingProvider
from portal.kernel.errors import DomainError, NotFound, Rejected


class PaymentsUnavailable(DomainError):
    """The provider cannot be reached, or does not answer as it should."""

    code, kind = "payments_unavailable", "unavailable"
    sentence = _(
        "The payment provider cannot be reached; nothing was charged. Try again in a minute."
    )


class ProviderSwitchedOff(PaymentsUnavailable):
    """Orders of a provider that this site no longer uses."""

    code = "payment_provider_off"
    sentence = _("Payments by this provider are switched off on this site; nothing was charged.")


class PaymentOutcomeUnknown(PaymentsUnavailable):
    """The call may or may not have arrived (time-out, 5xx): ask again under the same key."""

    code = "payment_outcome_unknown"


class PaymentRefused(Rejected):
    """The provider refused the request for good; the same parameters will never pass."""

    code = "payment_refused"


class SessionUnknown(NotFound):
    """The provider knows no such session or payment."""

    code = "session_unknown"


class NoPayment(SessionUnknown):
    """A visit that only saves a card: nothing is ever paid by it."""

    code = "no_payment"


class EventRefused(Rejected):
    """Not a genuine event: forged, stale, or not what the provider sends."""

    code = "event_refused"


class SessionState(StrEnum):
    """Where the buyer's visit to the pay page stands."""

    OPEN = "open"
    COMPLETE = "complete"
    EXPIRED = "expired"


class PaymentState(StrEnum):
    """Where the money stands; only ``paid`` may ever be credited."""

    UNPAID = "unpaid"
    PAID = "paid"


class EventType(StrEnum):
    """The events that move an order. Adapters map their own names to these; the rest is ignored.

    None is believed: each is only a reason to retrieve the session again, so neither their order
    nor the provider's API version matters.
    """

    SESSION_COMPLETED = "session.completed"
    PAYMENT_SUCCEEDED = "session.payment_succeeded"
    PAYMENT_FAILED = "session.payment_failed"
    SESSION_EXPIRED = "session.expired"
    REFUND_CHANGED = "refund.changed"
    DISPUTE_CHANGED = "dispute.changed"


_KNOWN_EVENTS = frozenset(EventType)
# Of these the object is a refund, a dispute or its charge, or the payment itself.
MONEY_BACK_EVENTS = frozenset({EventType.REFUND_CHANGED, EventType.DISPUTE_CHANGED})


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRequest:
    """The exact parameters of one create call, kept with the attempt so it can be repeated.

    ``metadata`` comes back in the session and must name the order and the organisation.
    ``language`` is a Django language code; adapters translate it. ``expires_at`` is ISO 8601.
    """

    amount_minor: int
    currency: str
    description: str
    customer_email: str
    language: str
    return_url: str
    cancel_url: str
    expires_at: str
    metadata: Mapping[str, str]

    def as_parameters(self) -> dict[str, Any]:
        """JSON-ready, in a stable form."""
        return {**asdict(self), "metadata": dict(self.metadata)}

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        return cls(**{field.name: parameters[field.name] for field in fields(cls)})


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentSession:
    """A session as the provider knows it now. ``failure_code`` is "" or e.g. "card_declined".

    ``tax_minor`` is the part of the amount that the provider found to be tax; None where it was not
    asked, or does not know yet. A charge of a saved card has no session: there ``session_id`` is
    the payment's id too.
    """

    session_id: str
    payment_id: str
    state: SessionState
    payment_state: PaymentState
    amount_minor: int
    currency: str
    livemode: bool
    metadata: Mapping[str, str]
    pay_url: str
    failure_code: str = ""
    tax_minor: int | None = None

    @property
    def is_paid(self) -> bool:
        return self.payment_state is PaymentState.PAID

    @property
    def is_over(self) -> bool:
        """No payment can come of it any more."""
        if self.is_paid:
            return False
        return self.state is SessionState.EXPIRED or bool(
            self.state is SessionState.COMPLETE and self.failure_code
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentEvent:
    """A verified event, thin on purpose: ``object_id`` is the provider's id of what it is about."""

    event_id: str
    type: str
    object_id: str
    livemode: bool
    created_at: datetime

    @property
    def is_known(self) -> bool:
        return self.type in _KNOWN_EVENTS


class PaymentProvider(ReversingProvider, AccountedProvider, SavingProvider, Protocol):
    """One processor account. ``livemode`` is what all its sessions and events must say, and
    ``shows_account`` whether it keeps books of its own that ours can be compared with."""

    name: str
    shows_account: bool

    @property
    def livemode(self) -> bool: ...

    def create_session(self, request: SessionRequest, *, idempotency_key: str) -> PaymentSession:
        """Make a session, or return the one made before under this key.

        Raises PaymentOutcomeUnknown (repeat with the same key and parameters), PaymentRefused.
        """
        ...

    def find_session(self, *, order_id: str) -> PaymentSession | None:
        """The newest session whose metadata names the order: for attempts of unknown outcome."""
        ...

    def retrieve_session(self, object_id: str) -> PaymentSession:
        """As it is now, by session or payment id. Raises SessionUnknown, PaymentsUnavailable."""
        ...

    def expire_session(self, session_id: str) -> PaymentSession:
        """Close an open session, so that it can't be paid. Returns it as it is afterwards.

        A session that was completed meanwhile is returned as it is: look before believing.
        """
        ...

    def list_events(self, *, since: datetime) -> Sequence[PaymentEvent]:
        """All events created at or after ``since``, oldest first."""
        ...

    def parse_event(
        self, body: bytes, headers: Mapping[str, str], *, now: datetime
    ) -> PaymentEvent:
        """Verify a webhook's signature over the raw body and reduce it to its type and object.

        Header names are lower case. Raises EventRefused for everything that is not genuine,
        fresh and well-formed, including bodies that are not UTF-8, not JSON or not an object.
        """
        ...


NO_PROVIDER = _("Buying is not set up on this site. Nothing was charged.")
