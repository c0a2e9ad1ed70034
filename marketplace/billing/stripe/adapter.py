"""Stripe as a PaymentProvider: https://docs.stripe.com/payments/checkout, the hosted page."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import stripe
from django.conf import settings
from stripe.params.checkout import SessionCreateParams, SessionListParams

from marketplace.billing.money_back import MoneyBack, ProviderRefund, RefundOrder
from marketplace.billing.money_moved import ProviderMovement
from marketplace.billing.payment_provider import (
    PaymentEvent,
    PaymentOutcomeUnknown,
    PaymentRefused,
    PaymentSession,
    SessionRequest,
    SessionUnknown,
)
from marketplace.billing.stripe import events
from marketplace.billing.stripe.client import StripeFailed, asking, connect, creating
from marketplace.billing.stripe.movements import read_movement
from marketplace.billing.stripe.reversing import read_dispute, read_payment_of, read_refund
from marketplace.billing.stripe.saving import SEARCHED, SavingStripe, list_keys
from marketplace.billing.stripe.sessions import build_parameters, is_marked, read_session
from portal.kernel.clock import utc_now

# Secret keys and restricted ones; the rest are Stripe's test mode, where no money moves.
LIVE_KEY_PREFIXES = ("sk_live_", "rk_live_")
TEST_KEY_PREFIXES = ("sk_test_", "rk_test_")


_PAGE = 100


class StripeProvider(SavingStripe):
    """See PaymentProvider. Reads its settings anew each time it is made."""

    name = "stripe"
    shows_account = True

    def __init__(self) -> None:
        self.livemode = settings.STRIPE_SECRET_KEY.startswith(LIVE_KEY_PREFIXES)
        self._client = connect(settings.STRIPE_SECRET_KEY, settings.STRIPE_API_URL)

    def create_session(self, request: SessionRequest, *, idempotency_key: str) -> PaymentSession:
        """As the interface says; besides, an attempt survives failures of Stripe's own.

        A 5xx is kept under its key like any answer, so repeating it is of no use: look whether the
        session was made nevertheless, and once the failure is known to be a kept one, go on under
        the attempt's next key.
        """
        parameters = build_parameters(
            request,
            attempt=idempotency_key,
            payment_methods=settings.STRIPE_PAYMENT_METHODS,
            computes_tax=settings.STRIPE_TAX,
        )
        for key in list_keys(idempotency_key):
            try:
                return self._create(parameters, key)
            except StripeFailed as failure:
                made = self._find("attempt", idempotency_key)
                if made is not None:
                    return made
                if not failure.is_replay:
                    raise
        raise PaymentOutcomeUnknown

    def find_session(self, *, order_id: str) -> PaymentSession | None:
        return self._find("order", order_id) or self._find_charge_of(order_id)

    def retrieve_session(self, object_id: str) -> PaymentSession:
        match object_id.split("_", 1)[0]:
            case "cs":
                with asking():
                    session: object = self._client.v1.checkout.sessions.retrieve(
                        object_id, {"expand": ["payment_intent"]}
                    )
                return read_session(session)
            case "pi":
                for session in self._list_sessions({"payment_intent": object_id}):
                    return read_session(session)
                return self._retrieve_charge(object_id)
        raise SessionUnknown

    def expire_session(self, session_id: str) -> PaymentSession:
        """Stripe refuses to close a session that is no longer open: then it is looked at."""
        if session_id.startswith("pi_"):
            return self._cancel_charge(session_id)
        try:
            with creating():
                expired = self._client.v1.checkout.sessions.expire(
                    session_id, {"expand": ["payment_intent"]}
                )
        except PaymentRefused:
            return self.retrieve_session(session_id)
        return read_session(expired)

    def send_refund(self, refund: RefundOrder) -> ProviderRefund:
        """A 5xx is handled as for sessions.

        It is looked for before, too: keys are forgotten after a day, and a call whose answer was
        lost may be repeated later than that.
        """
        if sent := self._find_refund(refund):
            return sent
        for key in list_keys(refund.request_id):
            try:
                return self._refund(refund, key)
            except StripeFailed as failure:
                if sent := self._find_refund(refund):
                    return sent
                if not failure.is_replay:
                    raise
        raise PaymentOutcomeUnknown

    def retrieve_money_back(self, payment_id: str) -> MoneyBack:
        with asking():
            page = self._client.v1.disputes.list({"payment_intent": payment_id, "limit": _PAGE})
            disputes = [read_dispute(one) for one in page.auto_paging_iter()]
        return MoneyBack(refunds=self._list_refunds(payment_id), disputes=disputes)

    def find_payment(self, object_id: str) -> str:
        with asking():
            match object_id.split("_", 1)[0]:
                case "pi":
                    return object_id
                case "re" | "pyr":
                    found: object = self._client.v1.refunds.retrieve(object_id)
                case "dp" | "du":
                    found = self._client.v1.disputes.retrieve(object_id)
                case "ch" | "py":
                    found = self._client.v1.charges.retrieve(object_id)
                case _:
                    return self.retrieve_session(object_id).payment_id
        return read_payment_of(found)

    def list_movements(self, *, since: datetime) -> Sequence[ProviderMovement]:
        with asking():
            page = self._client.v1.balance_transactions.list(
                {
                    "created": {"gte": int(since.timestamp())},
                    "expand": ["data.source"],
                    "limit": _PAGE,
                }
            )
            newest_first = [read_movement(line) for line in page.auto_paging_iter()]
        return newest_first[::-1]

    def list_events(self, *, since: datetime) -> Sequence[PaymentEvent]:
        with asking():
            page = self._client.v1.events.list(
                {
                    "types": list(events.EVENT_TYPES),
                    "created": {"gte": int(since.timestamp())},
                    "limit": _PAGE,
                }
            )
            newest_first = list(page.auto_paging_iter())
        return events.read_listed_events(reversed(newest_first))

    def parse_event(
        self, body: bytes, headers: Mapping[str, str], *, now: datetime
    ) -> PaymentEvent:
        secret = settings.STRIPE_WEBHOOK_SECRET
        return events.read_event(events.verify(body, headers, secret=secret, now=now))

    def _create(self, parameters: SessionCreateParams, key: str) -> PaymentSession:
        with creating():
            session = self._client.v1.checkout.sessions.create(parameters, {"idempotency_key": key})
        return read_session(session)

    def _refund(self, refund: RefundOrder, key: str) -> ProviderRefund:
        with creating():
            made = self._client.v1.refunds.create(
                {
                    "payment_intent": refund.payment_id,
                    "amount": refund.amount_minor,
                    "metadata": {"order": refund.order_id, "request": refund.request_id},
                },
                {"idempotency_key": key},
            )
        return read_refund(made)

    def _find_refund(self, refund: RefundOrder) -> ProviderRefund | None:
        for sent in self._list_refunds(refund.payment_id):
            if sent.request_id == refund.request_id:
                return sent
        return None

    def _list_refunds(self, payment_id: str) -> list[ProviderRefund]:
        with asking():
            page = self._client.v1.refunds.list({"payment_intent": payment_id, "limit": _PAGE})
            return [read_refund(one) for one in page.auto_paging_iter()]

    def _find(self, name: str, value: str) -> PaymentSession | None:
        """The newest session with this in its metadata; Stripe cannot search for it."""
        since = int((utc_now() - SEARCHED).timestamp())
        for session in self._list_sessions({"created": {"gte": since}, "limit": _PAGE}):
            if is_marked(session, name, value):
                return read_session(session)
        return None

    def _list_sessions(self, wanted: SessionListParams) -> Iterator[stripe.checkout.Session]:
        """Newest first, page after page."""
        with asking():
            page = self._client.v1.checkout.sessions.list(
                {**wanted, "expand": ["data.payment_intent"]}
            )
            yield from page.auto_paging_iter()
