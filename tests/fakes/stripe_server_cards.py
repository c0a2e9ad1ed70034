"""Customers, saved cards and payments without a page, of the Stripe account in memory.

A payment without its holder succeeds, is declined, or needs the holder; the latter two leave it
waiting for another card, as Stripe does, until it is cancelled.
"""

import time
from typing import TYPE_CHECKING, Any

from stripe.params import CustomerCreateParams, PaymentIntentCreateParams
from stripe.params.checkout import SessionCreateParams

from tests.fakes.stripe_server_money_back import Refusal, make_token

if TYPE_CHECKING:
    from tests.fakes.stripe_server_account import StripeAccount

# By what the card does when its holder is not there.
LAST4 = {"good": "4242", "declines": "0002", "asks_holder": "3155"}
_CODES = {"declines": "card_declined", "asks_holder": "authentication_required"}
# What programs may use instead of a page, in test mode.
_TEST_METHODS = {
    "pm_card_visa": "good",
    "pm_card_chargeCustomerFail": "declines",
    "pm_card_authenticationRequired": "asks_holder",
}
_CAN_BE_CANCELLED = ("requires_payment_method", "requires_action", "processing")


class CardRefusal(Refusal):
    """402: the bank said no. Kept under its key, like all that was begun."""

    def __init__(self, payment: dict[str, Any]) -> None:
        code = payment["last_payment_error"]["code"]
        super().__init__(code, status=402)
        self.error |= {"type": "card_error", "payment_intent": dict(payment)}


class Cards:
    """Of one account: what the API does, and the hands of a card's holder."""

    def __init__(self, account: "StripeAccount") -> None:
        self._account = account
        self.customers: dict[str, dict[str, Any]] = {}
        self.methods: dict[str, dict[str, Any]] = {}
        self.behaviour: dict[str, str] = {}
        self._intents: dict[str, dict[str, Any]] = {}

    # --- The holder ---------------------------------------------------------------------------
    def save(self, session_id: str, behaviour: str) -> list[dict[str, Any]]:
        """On the hosted page. The events; none where the page is over."""
        with self._account.lock:
            session = self._account.get_session(session_id)
            if session["status"] != "open":
                return []
            method = self._keep(session["customer"], behaviour)
            intent = self._intents[str(session["setup_intent"])]
            intent |= {
                "status": "succeeded",
                "payment_method": method["id"],
            }
            session |= {"status": "complete", "url": None}
            return [self._account.note("checkout.session.completed", session)]

    # --- The API ------------------------------------------------------------------------------
    def create_customer(self, asked: CustomerCreateParams) -> dict[str, Any]:
        customer: dict[str, Any] = {
            "id": f"cus_{make_token(14)}",
            "object": "customer",
            "name": asked.get("name"),
            "email": asked.get("email"),
            "metadata": asked.get("metadata", {}),
            "created": int(time.time()),
        }
        self.customers[customer["id"]] = customer
        return customer

    def create_visit(self, asked: SessionCreateParams) -> dict[str, Any]:
        """A session in setup mode."""
        customer = asked.get("customer", "")
        if customer not in self.customers:
            raise Refusal("resource_missing", "customer")
        for name in ("success_url", "locale", "currency"):
            if not asked.get(name):
                raise Refusal("parameter_missing", name)
        intent: dict[str, Any] = {
            "id": f"seti_{make_token(24)}",
            "object": "setup_intent",
            "status": "requires_payment_method",
            "payment_method": None,
            "metadata": (asked.get("setup_intent_data") or {}).get("metadata", {}),
        }
        self._intents[intent["id"]] = intent
        session_id = f"cs_test_{make_token(58)}"
        session = {
            "id": session_id,
            "object": "checkout.session",
            "mode": "setup",
            "status": "open",
            "payment_status": "no_payment_required",
            "amount_total": None,
            "currency": asked.get("currency"),
            "customer": customer,
            "livemode": self._account.livemode,
            "created": int(time.time()),
            "expires_at": int(time.time()) + 24 * 3600,
            "ui_mode": asked.get("ui_mode"),
            "locale": asked.get("locale"),
            "metadata": asked.get("metadata", {}),
            "success_url": asked.get("success_url"),
            "cancel_url": asked.get("cancel_url"),
            "payment_intent": None,
            "setup_intent": intent["id"],
            "url": f"{self._account.pay_page_origin}/c/pay/{session_id}#fid{make_token(900)}",
        }
        self._account.sessions[session_id] = session
        return session

    def show_visit(self, session: dict[str, Any], expand: list[str]) -> dict[str, Any]:
        if "setup_intent.payment_method" not in expand:
            return session
        intent = dict(self._intents[session["setup_intent"]])
        intent["payment_method"] = self.methods.get(intent["payment_method"])
        return {**session, "setup_intent": intent}

    def charge(self, asked: PaymentIntentCreateParams) -> dict[str, Any]:
        """Confirmed without its holder."""
        if not (asked.get("confirm") and asked.get("off_session")):
            raise Refusal("parameter_missing", "off_session")
        method = self.methods.get(asked.get("payment_method", ""))
        if method is None or method["customer"] is None:
            raise Refusal("resource_missing", "payment_method")
        if method["customer"] != asked.get("customer"):
            raise Refusal("payment_method_unexpected_state", "customer")
        if asked["currency"] != asked["currency"].lower():
            raise Refusal("invalid_currency", "currency")
        payment = self._account.make_payment(
            asked["amount"], asked["currency"], asked.get("metadata", {})
        )
        payment |= {"customer": asked["customer"], "description": asked.get("description")}
        behaviour = self.behaviour[method["id"]]
        if behaviour in _CODES:
            error = {"type": "card_error", "code": _CODES[behaviour], "message": "No."}
            payment["last_payment_error"] = error
            self._account.note("payment_intent.payment_failed", payment)
            raise CardRefusal(payment)
        self._account.receive(payment)
        self._account.note("payment_intent.succeeded", payment)
        return payment

    def get_payment(self, payment_id: str) -> dict[str, Any]:
        if payment_id not in self._account.payments:
            raise Refusal("resource_missing", "intent", status=404)
        return self._account.payments[payment_id]

    def cancel_payment(self, payment_id: str) -> dict[str, Any]:
        payment = self.get_payment(payment_id)
        if payment["status"] not in _CAN_BE_CANCELLED:
            raise Refusal("payment_intent_unexpected_state")
        payment["status"] = "canceled"
        return payment

    def list_payments(self, customer: str | None) -> list[dict[str, Any]]:
        """Newest first."""
        payments = list(self._account.payments.values())[::-1]
        return [one for one in payments if customer is None or one.get("customer") == customer]

    def list_intents(self) -> list[dict[str, Any]]:
        return list(self._intents.values())[::-1]

    def attach(self, method_id: str, customer: str) -> dict[str, Any]:
        """A card of Stripe's tests; it gets an id of its own."""
        if method_id not in _TEST_METHODS or customer not in self.customers:
            raise Refusal("resource_missing", "payment_method", status=404)
        return self._keep(customer, _TEST_METHODS[method_id])

    def _keep(self, customer: str, behaviour: str) -> dict[str, Any]:
        method: dict[str, Any] = {
            "id": f"pm_{make_token(24)}",
            "object": "payment_method",
            "type": "card",
            "customer": customer,
            "created": int(time.time()),
            "card": {
                "brand": "visa",
                "last4": LAST4[behaviour],
                "exp_year": 2031,
                "exp_month": 7,
            },
        }
        self.methods[method["id"]] = method
        self.behaviour[method["id"]] = behaviour
        return method

    def detach(self, method_id: str) -> dict[str, Any]:
        method = self.methods.get(method_id)
        if method is None or method["customer"] is None:
            raise Refusal("resource_missing", "payment_method")
        method["customer"] = None
        return method
