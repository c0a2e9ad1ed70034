"""Stripe as a SavingProvider: hosted pages that save a card, and charges without its holder."""

from collections.abc import Iterator
from datetime import timedelta

import stripe
from stripe.params import PaymentIntentCreateParams, PaymentIntentListParams

from marketplace.billing.payment_provider import (
    PaymentOutcomeUnknown,
    PaymentRefused,
    PaymentSession,
)
from marketplace.billing.saved_cards import CardRequest, CardVisit, ChargeRequest
from marketplace.billing.stripe import cards
from marketplace.billing.stripe.client import StripeFailed, asking, creating
from marketplace.billing.stripe.sessions import is_marked
from portal.kernel.clock import utc_now

# How far back what was made but whose id we never learnt is looked for: no page lives longer.
SEARCHED = timedelta(hours=25)
# How many of Stripe's own failures one attempt outlives, each under a key of its own.
_KEYS_PER_ATTEMPT = 5
_PAGE = 100


class SavingStripe:
    """The half of StripeProvider that is about saved cards. See SavingProvider."""

    _client: stripe.StripeClient

    def create_customer(self, *, organisation_id: str, name: str, email: str) -> str:
        with creating():
            customer = self._client.v1.customers.create(
                {"name": name, "email": email, "metadata": {"organisation": organisation_id}},
                {"idempotency_key": f"customer-{organisation_id}"},
            )
        return customer.id

    def begin_card_visit(self, request: CardRequest, *, idempotency_key: str) -> CardVisit:
        with creating():
            session: object = self._client.v1.checkout.sessions.create(
                cards.build_visit(request), {"idempotency_key": idempotency_key}
            )
        return cards.read_visit(session)

    def retrieve_card_visit(self, visit_id: str) -> CardVisit:
        with asking():
            session: object = self._client.v1.checkout.sessions.retrieve(
                visit_id, {"expand": ["setup_intent.payment_method"]}
            )
        return cards.read_visit(session)

    def charge_card(self, request: ChargeRequest, *, idempotency_key: str) -> PaymentSession:
        """As the interface says; failures of Stripe's own are handled as for sessions."""
        parameters = cards.build_charge(request, attempt=idempotency_key)
        for key in list_keys(idempotency_key):
            try:
                return self._conclude(self._charge(parameters, key))
            except StripeFailed as failure:
                made = self._find_charge(
                    "attempt", idempotency_key, {"customer": request.customer_id}
                )
                if made is not None:
                    return self._conclude(made)
                if not failure.is_replay:
                    raise
        raise PaymentOutcomeUnknown

    def forget_card(self, card_id: str) -> None:
        try:
            with creating():
                self._client.v1.payment_methods.detach(card_id)
        except PaymentRefused:
            return

    def _retrieve_charge(self, payment_id: str) -> PaymentSession:
        """Raises SessionUnknown for a payment that is none of ours."""
        with asking():
            payment: object = self._client.v1.payment_intents.retrieve(payment_id)
        return cards.read_payment(payment)

    def _cancel_charge(self, payment_id: str) -> PaymentSession:
        """Stripe refuses to cancel what has succeeded: then it is looked at."""
        try:
            with creating():
                cancelled = self._client.v1.payment_intents.cancel(payment_id)
        except PaymentRefused:
            return self._retrieve_charge(payment_id)
        return cards.read_payment(cancelled)

    def _find_charge_of(self, order_id: str) -> PaymentSession | None:
        found = self._find_charge("order", order_id, {})
        return cards.read_payment(found) if found is not None else None

    def _charge(self, parameters: PaymentIntentCreateParams, key: str) -> stripe.PaymentIntent:
        with creating():
            try:
                return self._client.v1.payment_intents.create(parameters, {"idempotency_key": key})
            except stripe.CardError as error:
                refused = error.error.payment_intent if error.error else None
                if refused is None:
                    raise
                payment_id = refused.id
        with asking():
            return self._client.v1.payment_intents.retrieve(payment_id)

    def _conclude(self, payment: stripe.PaymentIntent) -> PaymentSession:
        """What was not let through is cancelled, so that nobody can pay it any more."""
        refusal = cards.refusal_of(payment)
        lost = cards.is_lost(payment)
        session = self._cancel_charge(payment.id) if lost else cards.read_payment(payment)
        if refusal is not None and not session.is_paid:
            raise refusal
        return session

    def _find_charge(
        self, name: str, value: str, wanted: PaymentIntentListParams
    ) -> stripe.PaymentIntent | None:
        since = int((utc_now() - SEARCHED).timestamp())
        with asking():
            page = self._client.v1.payment_intents.list(
                {**wanted, "created": {"gte": since}, "limit": _PAGE}
            )
            for payment in page.auto_paging_iter():
                if is_marked(payment, name, value):
                    return payment
        return None


def list_keys(first: str) -> Iterator[str]:
    """The keys of one attempt, in their order."""
    yield first
    for number in range(2, _KEYS_PER_ATTEMPT + 1):
        yield f"{first}-{number}"
