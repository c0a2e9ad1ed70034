"""What Stripe's API answers: strict about parameters, faithful about idempotency keys."""

import copy
import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from stripe.params import (
    BalanceTransactionListParams,
    ChargeListParams,
    CustomerCreateParams,
    DisputeListParams,
    EventListParams,
    PaymentIntentCancelParams,
    PaymentIntentCreateParams,
    PaymentIntentListParams,
    PaymentIntentRetrieveParams,
    PaymentMethodAttachParams,
    PaymentMethodConfigurationListParams,
    PaymentMethodDetachParams,
    RefundCreateParams,
    RefundListParams,
    SetupIntentListParams,
    WebhookEndpointListParams,
)
from stripe.params.checkout import (
    SessionCreateParams,
    SessionExpireParams,
    SessionListParams,
    SessionRetrieveParams,
)

from tests.fakes import stripe_server_balance
from tests.fakes.stripe_server_account import StripeAccount
from tests.fakes.stripe_server_cards import CardRefusal
from tests.fakes.stripe_server_money_back import Refusal
from tests.fakes.stripe_server_schema import WrongParameter, require_parameters

SECRET_KEY = "sk_test_51Fake0000000000000000000000"


class Fault(StrEnum):
    """What goes wrong with one request; "after" means that what was asked for was done."""

    TIMEOUT_BEFORE = "timeout_before"
    TIMEOUT_AFTER = "timeout_after"
    DROPPED_BEFORE = "dropped_before"
    DROPPED_AFTER = "dropped_after"
    TRUNCATED_AFTER = "truncated_after"
    HTML_200_AFTER = "html_200_after"
    NULL_200_AFTER = "null_200_after"
    # Kept under the request's key, as Stripe keeps every answer of a request that it began.
    ERROR_500_BEFORE = "error_500_before"
    ERROR_500_AFTER = "error_500_after"
    # From a proxy in between: kept nowhere, and not of Stripe's form.
    BAD_GATEWAY_BEFORE = "bad_gateway_before"
    RATE_LIMITED_BEFORE = "rate_limited_before"
    KEY_REVOKED_BEFORE = "key_revoked_before"


@dataclass
class Request:
    method: str
    path: str
    params: dict[str, Any]
    headers: dict[str, str]


@dataclass
class Answer:
    """``kept``: Stripe began to do what was asked, so it will answer so again under the key."""

    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)
    kept: bool = False

    def encode(self) -> bytes:
        return json.dumps(self.body).encode()


def refuse(status: int, kind: str, **more: str) -> Answer:
    return Answer(status, {"error": {"type": kind, "message": f"Fake {kind}", **more}})


class StripeApi:
    """One account's API. ``requests`` grows as they arrive."""

    def __init__(self, account: StripeAccount) -> None:
        self.account = account
        self.requests: list[Request] = []
        self._kept: dict[str, tuple[dict[str, Any], Answer]] = {}

    def forget_keys(self) -> None:
        """As Stripe does after a day: what comes under an old key is done anew."""
        self._kept.clear()

    def has_kept(self, request: Request) -> bool:
        return request.method == "POST" and request.headers["idempotency-key"] in self._kept

    def answer(self, request: Request, fault: Fault | None) -> Answer:
        with self.account.lock:
            self.requests.append(request)
            if request.headers.get("authorization") != f"Bearer {SECRET_KEY}":
                return refuse(401, "invalid_request_error")
            if (request.method, _resource_of(request)) in self.account.setup.denied:
                return refuse(403, "invalid_request_error")
            key = request.headers.get("idempotency-key", "")
            if self.has_kept(request):
                params, kept = self._kept[key]
                if params != request.params:
                    return refuse(400, "idempotency_error")
                return Answer(kept.status, kept.body, {"Idempotent-Replayed": "true"})
            answer = self._execute(request, fault)
            if request.method == "POST" and answer.kept:
                self._kept[key] = request.params, answer
            return answer

    def _execute(self, request: Request, fault: Fault | None) -> Answer:
        failed = Answer(500, refuse(500, "api_error").body, kept=True)
        if fault is Fault.ERROR_500_BEFORE:
            return failed
        try:
            done = self._route(request)
        except WrongParameter as wrong:
            return refuse(400, "invalid_request_error", code="parameter_unknown", param=str(wrong))
        except Refusal as refusal:
            begun = isinstance(refusal, CardRefusal)
            if begun and fault is Fault.ERROR_500_AFTER:
                return failed
            return Answer(refusal.status, {"error": refusal.error}, kept=begun)
        if fault is Fault.ERROR_500_AFTER:
            return failed
        # A copy: what was said stays said, whatever happens to the session meanwhile.
        return Answer(200, copy.deepcopy(done), kept=True)

    def _route(self, request: Request) -> Any:
        asked: Any  # by each route its own parameters
        match request.method, request.path.removeprefix("/v1/").split("/"):
            case "POST", ["checkout", "sessions"]:
                asked = require_parameters(request.params, SessionCreateParams)
                session = self.account.create_session(asked)
                return self._show(session, asked)
            case "GET", ["checkout", "sessions"]:
                asked = require_parameters(request.params, SessionListParams)
                found = [one for one in self.account.list_sessions() if _fits(one, asked)]
                return self._page(request.path, found, asked)
            case "GET", ["checkout", "sessions", session_id]:
                asked = require_parameters(request.params, SessionRetrieveParams)
                return self._show(self.account.get_session(session_id), asked)
            case "POST", ["checkout", "sessions", session_id, "expire"]:
                asked = require_parameters(request.params, SessionExpireParams)
                return self._show(self.account.expire_session(session_id), asked)
            case "POST", ["payment_intents"]:
                asked = require_parameters(request.params, PaymentIntentCreateParams)
                if asked.get("off_session"):
                    return self.account.cards.charge(asked)
                return self.account.create_payment(asked)
            case "POST", ["customers"]:
                return self.account.cards.create_customer(
                    require_parameters(request.params, CustomerCreateParams)
                )
            case "POST", ["customers", _unknown]:
                raise Refusal("resource_missing", "id", status=404)
            case "GET", ["setup_intents"]:
                asked = require_parameters(request.params, SetupIntentListParams)
                return self._page(request.path, self.account.cards.list_intents(), asked)
            case "POST", ["payment_methods", method_id, "attach"]:
                asked = require_parameters(request.params, PaymentMethodAttachParams)
                return self.account.cards.attach(method_id, asked["customer"])
            case "POST", ["payment_methods", method_id, "detach"]:
                require_parameters(request.params, PaymentMethodDetachParams)
                return self.account.cards.detach(method_id)
            case "POST", ["payment_intents", payment_id, "cancel"]:
                require_parameters(request.params, PaymentIntentCancelParams)
                return self.account.cards.cancel_payment(payment_id)
            case "GET", ["payment_intents"]:
                asked = require_parameters(request.params, PaymentIntentListParams)
                found = self.account.cards.list_payments(asked.get("customer"))
                found = [one for one in found if _fits(one, asked)]
                return self._page(request.path, found, asked)
            case "GET", ["payment_intents", payment_id]:
                require_parameters(request.params, PaymentIntentRetrieveParams)
                return self.account.cards.get_payment(payment_id)
            case "POST", ["refunds"]:
                asked = require_parameters(request.params, RefundCreateParams)
                return self.account.money_back.create_refund(asked)
            case "GET", ["refunds" | "disputes" as kind]:
                schema = RefundListParams if kind == "refunds" else DisputeListParams
                asked = require_parameters(request.params, schema)
                kept = getattr(self.account.money_back, kind)
                found = [one for one in list(kept.values())[::-1] if _fits(one, asked)]
                return self._page(request.path, found, asked)
            case "GET", ["refunds" | "disputes" | "charges", object_id]:
                return self.account.money_back.get(object_id)
            case "GET", ["balance_transactions"]:
                asked = require_parameters(request.params, BalanceTransactionListParams)
                found = [one for one in self.account.balance.list() if _fits(one, asked)]
                return self._page(request.path, found, asked)
            case "GET", ["charges"]:
                asked = require_parameters(request.params, ChargeListParams)
                return self._page(request.path, self.account.money_back.list_charges(), asked)
            case "GET", ["account"]:
                return self.account.setup.show_profile()
            case "GET", ["tax", "settings"]:
                return self.account.setup.show_tax()
            case "GET", ["payment_method_configurations"]:
                asked = require_parameters(request.params, PaymentMethodConfigurationListParams)
                return self._page(request.path, self.account.setup.list_configurations(), asked)
            case "GET", ["webhook_endpoints"]:
                asked = require_parameters(request.params, WebhookEndpointListParams)
                return self._page(request.path, self.account.setup.endpoints, asked)
            case "GET", ["events"]:
                asked = require_parameters(request.params, EventListParams)
                kinds = asked.get("types")
                found = [
                    one
                    for one in self.account.list_events()
                    if (not kinds or one["type"] in kinds) and _fits(one, asked)
                ]
                return self._page(request.path, found, asked)
        raise Refusal("", status=404, message=f"Unrecognized request URL {request.path}")

    def _show(self, session: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
        if session["mode"] == "setup":
            return self.account.cards.show_visit(session, asked.get("expand", []))
        payment = session["payment_intent"]
        if payment is None or "payment_intent" not in asked.get("expand", []):
            return session
        return {**session, "payment_intent": self.account.payments[payment]}

    def _show_listed(self, one: dict[str, Any], expand: list[str]) -> dict[str, Any]:
        match one["object"]:
            case "checkout.session":
                return self._show(one, {"expand": expand})
            case "balance_transaction":
                return stripe_server_balance.show(one, expand)
        return one

    def _page(
        self, path: str, found: list[dict[str, Any]], asked: dict[str, Any]
    ) -> dict[str, Any]:
        limit = asked.get("limit", 10)
        if not 1 <= limit <= 100:
            raise Refusal("parameter_invalid_integer", "limit")
        ids = [one["id"] for one in found]
        start = ids.index(asked["starting_after"]) + 1 if "starting_after" in asked else 0
        expand = [name.removeprefix("data.") for name in asked.get("expand", [])]
        shown = [self._show_listed(one, expand) for one in found[start : start + limit]]
        return {
            "object": "list",
            "url": path,
            "has_more": start + limit < len(found),
            "data": shown,
        }


def _resource_of(request: Request) -> str:
    """As a restricted key's permissions are named: "refunds", "checkout/sessions"."""
    first, *rest = request.path.removeprefix("/v1/").split("/")
    return f"{first}/{rest[0]}" if first == "checkout" else first


def _fits(one: dict[str, Any], asked: dict[str, Any]) -> bool:
    created = asked.get("created", {})
    if one["created"] < created.get("gte", 0):
        return False
    return "payment_intent" not in asked or one["payment_intent"] == asked["payment_intent"]
