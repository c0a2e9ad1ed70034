"""Refunds: what would come back, asking for it, and taking that back until we decide."""

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api_auth import actor_of
from accounts.api_base import TenantListView, TenantView
from accounts.models import Role
from marketplace.billing import selectors, services
from marketplace.billing.models import RefundRequest, RequestState
from marketplace.billing.refund_rule import quote_refund
from marketplace.billing.serializers import (
    NewRefundSerializer,
    RefundQuoteSerializer,
    RefundSerializer,
)
from portal.kernel.clock import utc_now
from portal.kernel.rest import MomentFilter

QUOTE = {
    "currency": "USD",
    "amount_minor": "3800",
    "paid_tokens": "40000000",
    "bonus_tokens": "0",
    "unused_tokens": "40000000",
    "refusal": "",
}
REFUND = {
    "id": "rfq_01kb7z5a6b7c8d9e0f1g2h3j4k",
    "order": "ord_01kb7z4q5r6s7t8v9w0x1y2z3a",
    "status": "requested",
    "currency": "USD",
    "amount_minor": "3800",
    "paid_tokens": "40000000",
    "bonus_tokens": "0",
    "reason": "We bought too many.",
    "note": "",
    "requested_at": "2026-11-05T09:00:00Z",
    "decided_at": None,
}


class RefundBaseView(TenantView):
    """What all of them need."""

    tags = ["Refunds"]
    role = Role.BILLING


class RefundQuoteView(RefundBaseView):
    """Nothing is changed by it. It tells of live tokens, so test keys read none."""

    @extend_schema(
        operation_id="quote_refund",
        summary="See what would come back of an order",
        responses=RefundQuoteSerializer,
        examples=[OpenApiExample("Quote", value=QUOTE, response_only=True)],
    )
    def get(self, request: Request, order: str) -> Response:
        self.refuse_test_key()
        found = selectors.get_order(organisation=self.organisation, public_id=order)
        quote = quote_refund(order=found, now=utc_now())
        said = {name: getattr(quote, name) for name in quote.__dataclass_fields__}
        return Response(RefundQuoteSerializer({**said, "currency": found.currency}).data)


class OrderRefundsView(RefundBaseView):
    """Asking for one."""

    repeatable = ("POST",)
    problems = {"POST": (503,)}

    @extend_schema(
        operation_id="request_refund",
        summary="Ask for a refund of what is unused",
        description=(
            "The tokens are set aside at once and come back if it is declined or withdrawn. "
            "`amount_minor` is the amount that the quote said."
        ),
        request=NewRefundSerializer,
        responses={201: RefundSerializer},
        examples=[
            OpenApiExample(
                "What the quote said",
                value={"amount_minor": "3800", "reason": "We bought too many."},
                request_only=True,
            ),
            OpenApiExample("Asked for", value=REFUND, response_only=True),
        ],
    )
    def post(self, request: Request, order: str) -> Response:
        self.refuse_test_key()
        found = selectors.get_order(organisation=self.organisation, public_id=order)

        def ask(_key: str) -> Response:
            wanted = self.read_body(NewRefundSerializer)
            asked = services.request_refund(
                order=found,
                user=self.membership.user,
                expected_minor=wanted["amount_minor"],
                reason=wanted["reason"],
                actor=actor_of(request),
                now=utc_now(),
            )
            return Response(RefundSerializer(asked).data, status=201)

        return self.answer_once(request, ask)


class RefundFilter(django_filters.FilterSet):
    """Query filters of the list of refunds."""

    status = django_filters.ChoiceFilter(field_name="state", choices=RequestState.choices)
    requested_from = MomentFilter(field_name="requested_at", lookup_expr="gte")
    requested_before = MomentFilter(field_name="requested_at", lookup_expr="lt")

    class Meta:
        model = RefundRequest
        fields: list[str] = []


class RefundsView(RefundBaseView, TenantListView):
    """All that was asked for."""

    queryset = RefundRequest.objects.none()
    serializer_class = RefundSerializer
    filterset_class = RefundFilter
    keyset = ("-requested_at", "-id")

    def list_rows(self) -> QuerySet[RefundRequest]:
        return selectors.list_own_refund_requests(organisation=self.organisation)

    @extend_schema(
        operation_id="list_refunds",
        summary="List the refunds that you asked for",
        description="Newest first. The key's maker needs the role billing.",
        examples=[OpenApiExample("Refunds", value=REFUND, response_only=True)],
    )
    def get(self, request: Request) -> Response:
        return self.list(request)


class OneRefundView(RefundBaseView):
    """What the address names."""

    def find_refund(self, public_id: str) -> RefundRequest:
        return selectors.get_own_refund_request(organisation=self.organisation, public_id=public_id)


class RefundView(OneRefundView):
    """One refund."""

    @extend_schema(
        operation_id="get_refund",
        summary="Get one of your refunds",
        responses=RefundSerializer,
        examples=[OpenApiExample("Refund", value=REFUND, response_only=True)],
    )
    def get(self, request: Request, refund: str) -> Response:
        return Response(RefundSerializer(self.find_refund(refund)).data)


class WithdrawRefundView(OneRefundView):
    """Until we decide."""

    problems = {"POST": (409,)}

    @extend_schema(
        operation_id="withdraw_refund",
        summary="Withdraw a refund that is not decided",
        description="Its tokens are back in the wallet at once.",
        request=None,
        responses=RefundSerializer,
        examples=[
            OpenApiExample("Withdrawn", value={**REFUND, "status": "withdrawn"}, response_only=True)
        ],
    )
    def post(self, request: Request, refund: str) -> Response:
        self.refuse_test_key()
        services.withdraw_refund(
            request=self.find_refund(refund), actor=actor_of(request), now=utc_now()
        )
        return Response(RefundSerializer(self.find_refund(refund)).data)
