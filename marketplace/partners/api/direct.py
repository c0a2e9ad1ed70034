"""Direct mode for providers: hold, extend, capture, release."""

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from structlog.contextvars import get_contextvars

from marketplace.partners import services as partners
from marketplace.partners.api.base import ProviderView
from marketplace.partners.api.examples import example
from marketplace.partners.quantities import Quantities
from marketplace.partners.serializers.direct import (
    CaptureSerializer,
    ChargeSerializer,
    HoldSerializer,
    NewHoldSerializer,
    WishSerializer,
    read_wish,
)
from portal.kernel.clock import utc_now
from portal.kernel.errors import Conflict, NotFound, Rejected
from portal.kernel.rest.idempotency import KeyReused, read_idempotency_key

HOLD = {
    "id": "hld_01kb7zd9h0j1k2m3n4p5q6r7s8",
    "call": "call_01kb7zd9h0j1k2m3n4p5q6r7s9",
    "amount": "964",
    "expires_at": "2026-11-03T11:35:00Z",
}
USED = {"prompt_tokens": 412, "cached_tokens": 256, "completion_tokens": 180}


class DirectView(ProviderView):
    """Views of direct mode."""

    tags = ["Provider: direct mode"]

    def require_hold(self, hold: str) -> None:
        """A hold that is not the provider's is 404 before anything of the request is judged."""
        partners.get_direct_call(provider=self.provider, hold_id=hold)


class HoldsView(DirectView):
    """New holds."""

    repeatable = ("POST",)
    problems = {"POST": (402, 404, 503)}

    @extend_schema(
        operation_id="place_hold",
        summary="Hold tokens before a direct call",
        description=(
            "On a grant that the tenant sent with the call. Hold before you compute; what is not "
            "held cannot be charged. A repeat with the same Idempotency-Key gives the same hold, "
            "or the same refusal, again."
        ),
        request=NewHoldSerializer,
        responses={201: HoldSerializer},
        examples=[
            example(
                "At most 1,024 tokens of answer",
                {
                    "grant": "eyJhbGciOiJFZERTQSIsImtpZCI6InNpZ18wMWtiN3oi…",
                    "max_quantities": {"prompt_tokens": 724, "completion_tokens": 1024},
                },
                request=True,
            ),
            example("Held", HOLD),
        ],
    )
    def post(self, request: Request) -> Response:
        # The ledger remembers holds by their key itself, refusals included.
        key = read_idempotency_key(request)
        wanted = self.read_body(NewHoldSerializer)
        try:
            hold = partners.place_direct_hold(
                provider=self.provider,
                token=wanted["grant"],
                wish=read_wish(wanted),
                idempotency_key=key,
                request_id=str(get_contextvars().get("request_id", "")),
                now=utc_now(),
            )
        except partners.HoldKeyReused as reused:
            raise KeyReused() from reused
        return Response(HoldSerializer(hold).data, status=201)


class ExtendView(DirectView):
    """Extending a hold."""

    repeatable = ("POST",)
    problems = {"POST": (402,)}

    @extend_schema(
        operation_id="extend_hold",
        summary="Hold more for a call that runs longer",
        request=WishSerializer,
        responses=HoldSerializer,
        examples=[
            example("512 more", {"max_quantities": {"completion_tokens": 512}}, request=True),
            example("Extended", HOLD | {"amount": "1373.6"}),
        ],
    )
    def post(self, request: Request, hold: str) -> Response:
        self.require_hold(hold)
        return self.answer_once(request, lambda key: self._extend(hold))

    def _extend(self, hold: str) -> Response:
        extended = partners.extend_direct_hold(
            provider=self.provider,
            hold_id=hold,
            wish=read_wish(self.read_body(WishSerializer)),
            now=utc_now(),
        )
        return Response(HoldSerializer(extended).data)


class CaptureView(DirectView):
    """Charging a hold."""

    problems = {"POST": (409,)}
    refusals: ClassVar[dict[str, type[NotFound] | type[Rejected] | type[Conflict]]] = {
        "hold_not_found": NotFound,
        "usage_not_possible": Rejected,
        "time_in_future": Rejected,
    }

    @extend_schema(
        operation_id="capture_hold",
        summary="Charge what a direct call used",
        description=(
            "At the price of the hold, never more than was held (`capped`). Once: repeating the "
            "same quantities gives the same answer, other quantities are refused (409)."
        ),
        request=CaptureSerializer,
        responses=ChargeSerializer,
        examples=[
            example("Used", {"quantities": USED, "finish_reason": "stop"}, request=True),
            example("Charged", {"call": HOLD["call"], "charged": "188", "capped": False}),
        ],
    )
    def post(self, request: Request, hold: str) -> Response:
        self.require_hold(hold)
        said = self.read_body(CaptureSerializer)
        (answer,) = partners.report_usage(
            provider=self.provider,
            reports=[
                partners.UsageReport(
                    event_id=f"capture:{hold}",
                    hold_id=hold,
                    quantities=Quantities(**said["quantities"]),
                    occurred_at=said.get("occurred_at") or utc_now(),
                    finish_reason=said["finish_reason"],
                    upstream_id=said["upstream_id"],
                )
            ],
        )
        if answer.outcome == "rejected":
            code = "hold_captured" if answer.code == "event_id_reused" else answer.code
            raise self.refusals.get(code, Conflict)(answer.reason, code=code)
        return Response(ChargeSerializer(answer).data)


class ReleaseView(DirectView):
    """Giving a hold back."""

    problems = {"POST": (409,)}

    @extend_schema(
        operation_id="release_hold",
        summary="Give a hold back",
        description="The call failed: it costs nothing. Twice is once.",
        request=None,
        responses=HoldSerializer,
        examples=[example("Released", HOLD)],
    )
    def post(self, request: Request, hold: str) -> Response:
        released = partners.release_direct_hold(provider=self.provider, hold_id=hold, now=utc_now())
        return Response(HoldSerializer(released).data)
