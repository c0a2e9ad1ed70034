"""Refunds and disputes of the Stripe account in memory, and what refuses them.

A payment has one charge. Refunds may not exceed what is left of it, nothing of a disputed one is
refunded; a dispute takes what is left, an inquiry nothing.
"""

import secrets
import string
import time
from typing import TYPE_CHECKING, Any

from stripe.params import RefundCreateParams

if TYPE_CHECKING:
    from tests.fakes.stripe_server_account import StripeAccount

# Kept even where the dispute is won.
DISPUTE_FEE = 1500
_TOOK_MONEY = ("needs_response", "under_review", "lost")


class Refusal(Exception):
    """An error answer."""

    def __init__(self, code: str, param: str = "", *, status: int = 400, message: str = "") -> None:
        super().__init__(code)
        self.status = status
        self.error: dict[str, Any] = {
            "type": "invalid_request_error",
            "code": code,
            "param": param,
            "message": message or f"Refused: {code} {param}",
        }


class MoneyBack:
    """Of one account: what the API does, and what banks and staff at Stripe do."""

    def __init__(self, account: "StripeAccount") -> None:
        self._account = account
        self.refunds: dict[str, dict[str, Any]] = {}
        self.disputes: dict[str, dict[str, Any]] = {}
        # What becomes of refunds when they are made: "pending" for banks that take days.
        self.next_status = "succeeded"

    # --- The API ------------------------------------------------------------------------------
    def create_refund(self, asked: RefundCreateParams) -> dict[str, Any]:
        payment_id = asked.get("payment_intent", "")
        payment = self._account.payments.get(payment_id)
        if payment is None or payment["status"] != "succeeded":
            raise Refusal("resource_missing", "payment_intent", status=404)
        amount = asked.get("amount", self.left_of(payment_id))
        if self._disputed(payment_id):
            raise Refusal("charge_disputed")
        if not self.left_of(payment_id):
            raise Refusal("charge_already_refunded")
        if not 0 < amount <= self.left_of(payment_id):
            raise Refusal("amount_too_large", "amount")
        refund = {
            "id": f"re_{make_token(24)}",
            "object": "refund",
            "amount": amount,
            "charge": self.charge_of(payment_id),
            "created": int(time.time()),
            "currency": payment["currency"],
            "metadata": asked.get("metadata", {}),
            "payment_intent": payment_id,
            "status": self.next_status,
        }
        self.refunds[refund["id"]] = refund
        self._account.balance.note("refund", refund, -amount)
        self._account.note("refund.created", refund)
        self._account.note("charge.refunded", self.show_charge(payment_id))
        return refund

    def get(self, object_id: str) -> dict[str, Any]:
        """A refund, dispute or charge."""
        if object_id.startswith("ch_"):
            payment_id = "pi_" + object_id.removeprefix("ch_")
            if payment_id in self._account.payments:
                return self.show_charge(payment_id)
        for kept in (self.refunds, self.disputes):
            if object_id in kept:
                return kept[object_id]
        raise Refusal("resource_missing", "id", status=404)

    def list_charges(self) -> list[dict[str, Any]]:
        """Newest first."""
        paid = [one for one in self._account.payments.values() if one["amount_received"]]
        return [self.show_charge(one["id"]) for one in paid[::-1]]

    # --- Staff at Stripe, and banks -----------------------------------------------------------
    def refund(self, session_id: str, amount: int) -> list[dict[str, Any]]:
        """By hand, on Stripe's own pages; the events."""
        with self._account.lock:
            before = len(self._account.events)
            payment_id = self._account.sessions[session_id]["payment_intent"]
            self.create_refund({"payment_intent": payment_id, "amount": amount})
            return self._account.events[before:]

    def end_refund(self, refund_id: str, status: str) -> list[dict[str, Any]]:
        """The bank has it, or sent it back."""
        with self._account.lock:
            refund = self.refunds[refund_id]
            refund["status"] = status
            if status == "failed":
                self._account.balance.note("refund_failure", refund, refund["amount"])
            kind = "refund.failed" if status == "failed" else "refund.updated"
            return [self._account.note(kind, refund)]

    def dispute(self, session_id: str, status: str = "needs_response") -> list[dict[str, Any]]:
        """The buyer's bank takes what is left, or only asks (``warning_…``)."""
        return self.dispute_payment(self._account.sessions[session_id]["payment_intent"], status)

    def dispute_payment(
        self, payment_id: str, status: str = "needs_response"
    ) -> list[dict[str, Any]]:
        """The same of a payment that needed no session."""
        with self._account.lock:
            dispute = {
                "id": f"du_{make_token(24)}",
                "object": "dispute",
                "amount": self.left_of(payment_id),
                "charge": self.charge_of(payment_id),
                "created": int(time.time()),
                "currency": self._account.payments[payment_id]["currency"],
                "livemode": self._account.livemode,
                "payment_intent": payment_id,
                "reason": "fraudulent",
                "status": status,
            }
            self.disputes[dispute["id"]] = dispute
            events = [self._account.note("charge.dispute.created", dispute)]
            if status in _TOOK_MONEY:
                events.append(self._account.note("charge.dispute.funds_withdrawn", dispute))
                self._account.balance.note("dispute", dispute, -dispute["amount"], DISPUTE_FEE)
            return events

    def end_dispute(self, session_id: str, status: str) -> list[dict[str, Any]]:
        """Won, lost, or an inquiry that is closed."""
        with self._account.lock:
            payment_id = self._account.sessions[session_id]["payment_intent"]
            [dispute] = [d for d in self.disputes.values() if d["payment_intent"] == payment_id]
            had_money, dispute["status"] = dispute["status"] in _TOOK_MONEY, status
            events = [self._account.note("charge.dispute.closed", dispute)]
            if status == "won":
                events.append(self._account.note("charge.dispute.funds_reinstated", dispute))
                if had_money:
                    self._account.balance.note("dispute_reversal", dispute, dispute["amount"])
            return events

    # --- Inside -------------------------------------------------------------------------------
    def left_of(self, payment_id: str) -> int:
        """Of the payment, in minor units."""
        gone = sum(
            one["amount"]
            for one in self.refunds.values()
            if one["payment_intent"] == payment_id and one["status"] not in ("failed", "canceled")
        )
        gone += sum(one["amount"] for one in self._disputed(payment_id))
        return int(self._account.payments[payment_id]["amount_received"]) - gone

    def charge_of(self, payment_id: str) -> str:
        return "ch_" + payment_id.removeprefix("pi_")

    def _disputed(self, payment_id: str) -> list[dict[str, Any]]:
        return [
            one
            for one in self.disputes.values()
            if one["payment_intent"] == payment_id and one["status"] in _TOOK_MONEY
        ]

    def show_charge(self, payment_id: str) -> dict[str, Any]:
        payment = self._account.payments[payment_id]
        return {
            "id": self.charge_of(payment_id),
            "object": "charge",
            "amount": payment["amount"],
            "created": int(time.time()),
            "currency": payment["currency"],
            "livemode": self._account.livemode,
            "payment_intent": payment_id,
            "status": "succeeded",
        }


def make_token(length: int) -> str:
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(length))
