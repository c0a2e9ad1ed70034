"""What billing asks of a payment provider about saved cards. See payment_provider.

Card data never comes here: a card is the provider's id of it, and what people know it by.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Protocol, Self

from django.utils.translation import gettext_lazy as _

from marketplace.billing.models.orders import HOLDER_NEEDED
from portal.kernel.errors import Rejected

if TYPE_CHECKING:
    from marketplace.billing.payment_provider import PaymentSession


class AuthenticationNeeded(Rejected):
    """The bank wants to ask the card's holder. The payment was cancelled, nothing was charged."""

    code = HOLDER_NEEDED
    sentence = _("Your bank wants you to confirm this payment yourself. Nothing was charged.")


@dataclass(frozen=True, slots=True, kw_only=True)
class CardRequest:
    """A visit to the provider's page where a card is saved.

    ``metadata`` names the organisation and the card's row; ``currency`` is one that the card will
    be charged in.
    """

    customer_id: str
    currency: str
    language: str
    return_url: str
    cancel_url: str
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """A saved card. ``card_id`` is what the provider charges, the rest is what its holder sees."""

    card_id: str
    brand: str
    last4: str
    expires_year: int
    expires_month: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CardVisit:
    """A visit as the provider knows it now. ``card`` is None until one was saved."""

    visit_id: str
    page_url: str
    card: CardFacts | None
    is_over: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeRequest:
    """The exact parameters of one charge without its holder, kept with the attempt.

    ``metadata`` names the order and the organisation, as that of a session does.
    """

    customer_id: str
    card_id: str
    amount_minor: int
    currency: str
    description: str
    metadata: Mapping[str, str]

    def as_parameters(self) -> dict[str, Any]:
        """JSON-ready, in a stable form."""
        return {**asdict(self), "metadata": dict(self.metadata)}

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        return cls(**{field.name: parameters[field.name] for field in fields(cls)})


class SavingProvider(Protocol):
    """The part of a PaymentProvider that is about saved cards. All go over a network.

    All may raise PaymentsUnavailable or PaymentOutcomeUnknown; what makes something is repeated
    under the same key then.
    """

    def create_customer(self, *, organisation_id: str, name: str, email: str) -> str:
        """Who cards belong to; the same one again for an organisation that has one."""
        ...

    def begin_card_visit(self, request: CardRequest, *, idempotency_key: str) -> CardVisit:
        """Raises PaymentRefused."""
        ...

    def retrieve_card_visit(self, visit_id: str) -> CardVisit:
        """Raises SessionUnknown."""
        ...

    def charge_card(self, request: ChargeRequest, *, idempotency_key: str) -> "PaymentSession":
        """Charge without the holder, or return what was charged before under this key.

        What the bank does not let through can never be paid later. Raises AuthenticationNeeded,
        PaymentRefused.
        """
        ...

    def forget_card(self, card_id: str) -> None:
        """It cannot be charged any more. One that is unknown or forgotten is fine."""
        ...
