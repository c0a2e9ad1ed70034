"""A Stripe account in memory: checkout sessions, their payments, and the events they cause.

It keeps what Stripe documents: a session lives 30 minutes to a day, its payment begins with the
buyer's first try, a decline leaves it open, a delayed payment comes or fails after completion.
"""

import copy
import threading
import time
from typing import Any

from stripe.params import PaymentIntentCreateParams
from stripe.params.checkout import SessionCreateParams

from tests.fakes.stripe_server_balance import Balance
from tests.fakes.stripe_server_cards import Cards
from tests.fakes.stripe_server_money_back import MoneyBack, Refusal, make_token
from tests.fakes.stripe_server_setup import Setup

HOUR = 3600
# Stripe charges no less than this; in the minor unit, as far as the tests need it.
LEAST_AMOUNT = {"usd": 50, "eur": 50, "jpy": 50}


class StripeAccount:
    """What the server serves, and the hands of its buyers. Safe from several threads."""

    def __init__(self, *, livemode: bool = False) -> None:
        self.livemode = livemode
        self.pay_page_origin = "https://checkout.stripe.com"
        self.sessions: dict[str, dict[str, Any]] = {}
        self.payments: dict[str, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []
        self.balance = Balance()
        self.money_back = MoneyBack(self)
        self.setup = Setup()
        self.cards = Cards(self)
        self._payment_data: dict[str, dict[str, Any]] = {}
        self.lock = threading.RLock()

    # --- The buyer ----------------------------------------------------------------------------
    def pay(self, session_id: str) -> list[dict[str, Any]]:
        """With a good card. The events; none where the page can't be paid any more."""
        with self.lock:
            if not self._is_open(session_id):
                return []
            payment = self._begin_payment(session_id)
            self.sessions[session_id] |= {"status": "complete", "payment_status": "paid"}
            self.receive(payment)
            return [
                self.note("payment_intent.succeeded", payment),
                self.note("checkout.session.completed", self.sessions[session_id]),
            ]

    def pay_later(self, session_id: str) -> list[dict[str, Any]]:
        """By a method whose money is under way for a while."""
        with self.lock:
            if not self._is_open(session_id):
                return []
            self._begin_payment(session_id)["status"] = "processing"
            self.sessions[session_id]["status"] = "complete"
            return [self.note("checkout.session.completed", self.sessions[session_id])]

    def receive_money(self, session_id: str) -> list[dict[str, Any]]:
        """What was under way has come."""
        with self.lock:
            session = self.sessions[session_id]
            payment = self.payments[session["payment_intent"]]
            self.receive(payment)
            session["payment_status"] = "paid"
            return [
                self.note("payment_intent.succeeded", payment),
                self.note("checkout.session.async_payment_succeeded", session),
            ]

    def lose_money(self, session_id: str) -> list[dict[str, Any]]:
        """What was under way came to nothing."""
        with self.lock:
            session = self.sessions[session_id]
            payment = self.payments[session["payment_intent"]]
            self._fail(payment, "payment_method_provider_decline")
            return [
                self.note("payment_intent.payment_failed", payment),
                self.note("checkout.session.async_payment_failed", session),
            ]

    def decline(self, session_id: str) -> list[dict[str, Any]]:
        """The bank says no; the page stays open for another card."""
        with self.lock:
            if not self._is_open(session_id):
                return []
            payment = self._begin_payment(session_id)
            self._fail(payment, "card_declined")
            return [self.note("payment_intent.payment_failed", payment)]

    def create_payment(self, asked: PaymentIntentCreateParams) -> dict[str, Any]:
        """Paid at once by a card of Stripe's tests, one of which its bank disputes."""
        if not asked.get("confirm") or "payment_method" not in asked:
            raise Refusal("parameter_missing", "payment_method")
        payment = self.make_payment(asked["amount"], asked["currency"], asked.get("metadata", {}))
        self.receive(payment)
        self.note("payment_intent.succeeded", payment)
        if asked["payment_method"] == "pm_card_createDispute":
            self.money_back.dispute_payment(payment["id"])
        return payment

    # --- The API ------------------------------------------------------------------------------
    def create_session(self, asked: SessionCreateParams) -> dict[str, Any]:
        if asked.get("mode") == "setup":
            return self.cards.create_visit(asked)
        if asked.get("mode") != "payment" or not asked.get("line_items"):
            raise Refusal("parameter_missing", "line_items")
        [item] = asked["line_items"]
        price = item["price_data"]
        amount = price["unit_amount"] * item["quantity"]
        now, expires_at = int(time.time()), asked.get("expires_at", int(time.time()) + 24 * HOUR)
        if amount < LEAST_AMOUNT.get(price["currency"], 1):
            raise Refusal("amount_too_small")
        if price["currency"] != price["currency"].lower():
            raise Refusal("invalid_currency", "line_items[0][price_data][currency]")
        if not now + HOUR // 2 <= expires_at <= now + 24 * HOUR:
            raise Refusal("parameter_invalid_integer", "expires_at")
        for name in ("success_url", "customer_email", "locale"):
            if not asked.get(name):
                raise Refusal("parameter_missing", name)
        mode = "live" if self.livemode else "test"
        session_id = f"cs_{mode}_{make_token(58)}"
        session = {
            "id": session_id,
            "object": "checkout.session",
            "status": "open",
            "payment_status": "unpaid",
            "amount_subtotal": amount,
            "amount_total": amount,
            "currency": price["currency"],
            "livemode": self.livemode,
            "created": now,
            "expires_at": expires_at,
            "mode": "payment",
            "ui_mode": asked.get("ui_mode"),
            "locale": asked.get("locale"),
            "metadata": asked.get("metadata", {}),
            "client_reference_id": asked.get("client_reference_id"),
            "customer_email": asked.get("customer_email"),
            "success_url": asked.get("success_url"),
            "cancel_url": asked.get("cancel_url"),
            "payment_intent": None,
            "adaptive_pricing": asked.get("adaptive_pricing"),
            "automatic_tax": self._begin_tax(asked, price),
            "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
            # The real ones carry a fragment of this size, without which the page does not open.
            "url": f"{self.pay_page_origin}/c/pay/{session_id}#fid{make_token(900)}",
        }
        self.sessions[session_id] = session
        self._payment_data[session_id] = dict(asked.get("payment_intent_data") or {})
        return session

    def get_session(self, session_id: str) -> dict[str, Any]:
        self._let_time_pass()
        if session_id not in self.sessions:
            raise Refusal("resource_missing", "session", status=404)
        return self.sessions[session_id]

    def expire_session(self, session_id: str) -> dict[str, Any]:
        session = self.get_session(session_id)
        if session["status"] != "open":
            raise Refusal("", message="Only Checkout Sessions with a status in [open] can expire.")
        self._expire(session)
        return session

    def list_sessions(self) -> list[dict[str, Any]]:
        """Newest first."""
        self._let_time_pass()
        return list(self.sessions.values())[::-1]

    def list_events(self) -> list[dict[str, Any]]:
        """Newest first."""
        self._let_time_pass()
        return self.events[::-1]

    # --- Inside -------------------------------------------------------------------------------
    def _is_open(self, session_id: str) -> bool:
        self._let_time_pass()
        return self.sessions[session_id]["status"] == "open"

    def _let_time_pass(self) -> None:
        for session in list(self.sessions.values()):
            if session["status"] == "open" and session["expires_at"] <= time.time():
                self._expire(session)

    def _expire(self, session: dict[str, Any]) -> None:
        session |= {"status": "expired", "url": None}
        self.note("checkout.session.expired", session)

    def _begin_payment(self, session_id: str) -> dict[str, Any]:
        session = self.sessions[session_id]
        if session["payment_intent"] is None:
            data = self._payment_data[session_id]
            payment = self.make_payment(
                session["amount_total"], session["currency"], data.get("metadata", {})
            )
            payment["description"] = data.get("description")
            self._compute_tax(session)
            session["payment_intent"] = payment["id"]
        return self.payments[session["payment_intent"]]

    def _begin_tax(self, asked: SessionCreateParams, price: Any) -> dict[str, Any]:
        """Nothing is known before the buyer has said where they are."""
        enabled = asked.get("automatic_tax", {}).get("enabled", False)
        if enabled and not self.setup.has_tax:
            raise Refusal("", message="You must have a valid head office address.")
        if enabled and price.get("tax_behavior") != "inclusive":
            raise Refusal("parameter_missing", "line_items[0][price_data][tax_behavior]")
        status = "requires_location_inputs" if enabled else None
        return {"enabled": enabled, "liability": None, "provider": None, "status": status}

    def _compute_tax(self, session: dict[str, Any]) -> None:
        """The buyer is in Germany."""
        if session["automatic_tax"]["enabled"]:
            session["automatic_tax"]["status"] = "complete"
            session["total_details"]["amount_tax"] = session["amount_total"] * 19 // 119

    def make_payment(self, amount: int, currency: str, metadata: Any) -> dict[str, Any]:
        payment = {
            "id": f"pi_{make_token(24)}",
            "object": "payment_intent",
            "amount": amount,
            "amount_received": 0,
            "currency": currency,
            "livemode": self.livemode,
            "status": "requires_payment_method",
            "last_payment_error": None,
            "metadata": metadata,
            "description": None,
            "created": int(time.time()),
        }
        self.payments[payment["id"]] = payment
        return payment

    def receive(self, payment: dict[str, Any]) -> None:
        """The money is there, and so is a line of the balance."""
        payment |= {"status": "succeeded", "amount_received": payment["amount"]}
        self.balance.note_charge(self.money_back.show_charge(payment["id"]))

    def _fail(self, payment: dict[str, Any], code: str) -> None:
        payment |= {
            "status": "requires_payment_method",
            "last_payment_error": {"type": "card_error", "code": code, "message": "No."},
        }

    def note(self, kind: str, subject: dict[str, Any]) -> dict[str, Any]:
        event = {
            "id": f"evt_{make_token(24)}",
            "object": "event",
            "api_version": "2026-10-28.endive",
            "type": kind,
            "created": int(time.time()),
            "livemode": self.livemode,
            "pending_webhooks": 1,
            "request": {"id": None, "idempotency_key": None},
            "data": {"object": copy.deepcopy(subject)},
        }
        self.events.append(event)
        return event
