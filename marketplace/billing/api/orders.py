"""Packs on sale, orders, making one, and its way to being paid or cancelled."""

import hashlib
from typing import Any

import django_filters
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api_auth import actor_of
from accounts.api_base import TenantListView, TenantView
from accounts.models import Role
from marketplace.billing import selectors
from marketplace.billing import services as billing
from marketplace.billing.models import Order, OrderStatus
from marketplace.billing.serializers import (
    NewOrderSerializer,
    OfferListSerializer,
    OfferSerializer,
    OrderSerializer,
    PackQuerySerializer,
)
from portal.kernel.clock import utc_now
from portal.kernel.errors import NotFound
from portal.kernel.rest import MomentFilter

PACK = {
    "id": "pck_01kb7z2a3b4c5d6e7f8g9h0j1k",
    "slug": "team",
    "name": "Team",
    "summary": "For a team that calls every day.",
    "currency": "USD",
    "amount_minor": "9500",
    "paid_tokens": "100000000",
    "bonus_tokens": "5000000",
    "expires_after_days": 365,
    "scope": "",
}
ORDER = {
    "id": "ord_01kb7z4q5r6s7t8v9w0x1y2z3a",
    "status": "pending",
    "pack": "pck_01kb7z2a3b4c5d6e7f8g9h0j1k",
    "pack_name": "Team",
    "quantity": 1,
    "currency": "USD",
    "amount_minor": "9500",
    "tax_minor": "0",
    "paid_tokens": "100000000",
    "bonus_tokens": "5000000",
    "expires_after_days": 365,
    "scope": "",
    "purchase_reference": "PO-2026-117",
    "livemode": False,
    "refunded_minor": "0",
    "failure_code": "",
    "receipt": None,
    "pay_url": "http://localhost:8000/sandbox/pay/sbx_01kb7z4q/",
    "created_at": "2026-11-03T10:00:00Z",
    "expires_at": "2026-11-03T11:00:00Z",
    "paid_at": None,
}

MOVED: dict[str, Any] = {
    "request": None,
    "responses": OrderSerializer,
    "examples": [OpenApiExample("The order", value=ORDER, response_only=True)],
}


class PacksView(TenantView):
    """What is on sale."""

    tags = ["Packs and orders"]

    @extend_schema(
        operation_id="list_packs",
        summary="List the packs on sale",
        parameters=[PackQuerySerializer],
        responses=OfferListSerializer,
        examples=[OpenApiExample("Packs", value={"data": [PACK]}, response_only=True)],
    )
    def get(self, request: Request) -> Response:
        currency = self.read_query(PackQuerySerializer).get("currency")
        if currency is None:
            currency = next(iter(selectors.list_sale_currencies()), "")
        offers = selectors.list_packs(currency=currency)
        return Response({"data": OfferSerializer(offers, many=True).data})


class OrderFilter(django_filters.FilterSet):
    """Query filters of the list of orders."""

    status = django_filters.ChoiceFilter(choices=OrderStatus.choices)
    created_from = MomentFilter(field_name="created_at", lookup_expr="gte")
    created_before = MomentFilter(field_name="created_at", lookup_expr="lt")

    class Meta:
        model = Order
        fields: list[str] = []


class OrdersView(TenantListView):
    """The organisation's orders, and new ones."""

    tags = ["Packs and orders"]
    role = Role.BILLING
    queryset = Order.objects.none()
    serializer_class = OrderSerializer
    filterset_class = OrderFilter
    keyset = ("-created_at", "-id")
    repeatable = ("POST",)
    problems = {"POST": (409, 503)}

    def list_rows(self) -> QuerySet[Order]:
        return selectors.list_orders(organisation=self.organisation).prefetch_related("attempts")

    @extend_schema(
        operation_id="list_orders",
        summary="List your orders",
        description="Newest first. The key's maker needs the role billing.",
        examples=[OpenApiExample("Orders", value=ORDER, response_only=True)],
    )
    def get(self, request: Request) -> Response:
        return self.list(request)

    @extend_schema(
        operation_id="create_order",
        summary="Order a pack",
        description=(
            "Nothing is charged here: a person opens `pay_url` and pays. The tokens are credited "
            "when the payment is confirmed; until then the order is safe to leave or to forget."
        ),
        request=NewOrderSerializer,
        responses={201: OrderSerializer},
        examples=[
            OpenApiExample(
                "One Team pack",
                value={"pack": "team", "currency": "USD", "purchase_reference": "PO-2026-117"},
                request_only=True,
            ),
            OpenApiExample("Ordered", value=ORDER, response_only=True),
        ],
    )
    def post(self, request: Request) -> Response:
        self.refuse_test_key()
        # Not enclosed: the pay page is opened over the network between two commits. The order
        # itself is found again by the same key.
        return self.answer_once(request, self._order, enclosed=False)

    def _order(self, key: str) -> Response:
        wanted = self.read_body(NewOrderSerializer)
        try:
            pack = selectors.get_pack(slug=wanted["pack"])
        except NotFound as missing:
            raise ValidationError({"pack": [_("There is no such pack on sale.")]}) from missing
        caller = f"{self.key.key_public_id} {key}"
        order = billing.start_checkout(
            organisation=self.organisation,
            user=self.membership.user,
            pack=pack,
            currency=wanted["currency"],
            quantity=wanted["quantity"],
            idempotency_key=f"api:{hashlib.sha256(caller.encode()).hexdigest()}",
            purchase_reference=wanted["purchase_reference"],
            actor=actor_of(self.request),
            now=utc_now(),
        )
        billing.open_payment(order=order, now=utc_now())
        return Response(OrderSerializer(self.list_rows().get(pk=order.pk)).data, status=201)


class OrderView(TenantView):
    """One order."""

    tags = ["Packs and orders"]
    role = Role.BILLING

    @extend_schema(
        operation_id="get_order",
        summary="Get one of your orders",
        responses=OrderSerializer,
        examples=[OpenApiExample("Order", value=ORDER, response_only=True)],
    )
    def get(self, request: Request, order: str) -> Response:
        found = selectors.get_order(organisation=self.organisation, public_id=order)
        return Response(OrderSerializer(found).data)


class OrderMoveView(TenantView):
    """One step of an order; repeated, it does nothing more."""

    tags = ["Packs and orders"]
    role = Role.BILLING

    def find_order(self, public_id: str) -> Order:
        """The organisation's; the step may cost or bring real tokens."""
        self.refuse_test_key()
        return selectors.get_order(organisation=self.organisation, public_id=public_id)

    def show(self, order: Order) -> Response:
        fresh = selectors.get_order(organisation=self.organisation, public_id=order.public_id)
        return Response(OrderSerializer(fresh).data)


class PayOrderView(OrderMoveView):
    """To the pay page."""

    problems = {"POST": (400, 409, 503)}

    @extend_schema(
        operation_id="pay_order",
        summary="Open the pay page of an order again",
        description="After a decline this is a new page. Nothing is charged here: a person pays.",
        **MOVED,
    )
    def post(self, request: Request, order: str) -> Response:
        found = self.find_order(order)
        billing.open_payment(order=found, now=utc_now())
        return self.show(found)


class CheckOrderView(OrderMoveView):
    """What the payment provider says now."""

    problems = {"POST": (409, 503)}

    @extend_schema(
        operation_id="check_order",
        summary="Ask the payment provider about an order now",
        description="For payments and for money that went back. Both are noticed without it too.",
        **MOVED,
    )
    def post(self, request: Request, order: str) -> Response:
        found = self.find_order(order)
        billing.settle_order(order_public_id=found.public_id, now=utc_now())
        billing.settle_reversals(order_public_id=found.public_id, now=utc_now())
        return self.show(found)


class CancelOrderView(OrderMoveView):
    """Its pay page closes."""

    problems = {"POST": (409, 503)}

    @extend_schema(
        operation_id="cancel_order",
        summary="Cancel an order that is not paid",
        **MOVED,
    )
    def post(self, request: Request, order: str) -> Response:
        found = self.find_order(order)
        billing.cancel_order(order=found, actor=actor_of(request), now=utc_now())
        return self.show(found)
