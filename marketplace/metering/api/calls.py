"""REST of metering for tenants: calls, one call's receipt, usage by day."""

from typing import Any

import django_filters
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api_base import TenantListView, TenantView
from accounts.models import User
from marketplace.ledger.models import Unit
from marketplace.metering import selectors
from marketplace.metering.models import Call, CallStatus
from marketplace.metering.serializers import (
    CallDetailSerializer,
    CallSerializer,
    DailyUsageSerializer,
    UsageQuerySerializer,
)
from portal.kernel.errors import NotFound
from portal.kernel.rest import MomentFilter

CALL = {
    "id": "call_01kb7zc3d4e5f6g7h8j9k0m1n2",
    "started_at": "2026-11-03T10:20:30.123456Z",
    "ended_at": "2026-11-03T10:20:31.456789Z",
    "status": "succeeded",
    "error_code": "",
    "unit": "live",
    "surface": "gateway",
    "operation": "chat",
    "streamed": True,
    "service": "svc_01kb7z5d3fgh8j9k2m4n6p7q8r",
    "service_handle": "qwen/qwen3-8b@rhine-compute",
    "model": "qwen/qwen3-8b",
    "provider": "prv_01kb7z5a1b2c3d4e5f6g7h8j9k",
    "key": "key_01kb7z3p4q5r6s7t8v9w0x1y2z",
    "member": "usr_01kb7z3m9q5x8w2v4t6r8y0h1c",
    "region": "eu-central",
    "prompt_tokens": 412,
    "cached_tokens": 256,
    "completion_tokens": 180,
    "usage_source": "provider",
    "cost_tokens": "188",
    "finish_reason": "stop",
    "first_token_ms": 240,
    "duration_ms": 1333,
    "request_id": "req_01kb7zc3",
}
CALL_DETAIL = CALL | {
    "price_version": "prc_01kb7z5d3fgh8j9k2m4n6p7q8s",
    "cost_lines": [
        {"kind": "input", "quantity": 156, "price_tokens": "0.2", "cost_tokens": "31.2"},
        {"kind": "cached", "quantity": 256, "price_tokens": "0.05", "cost_tokens": "12.8"},
        {"kind": "output", "quantity": 180, "price_tokens": "0.8", "cost_tokens": "144"},
    ],
    "uncovered_tokens": "0",
    "attempts": [
        {
            "id": "call_01kb7zc3d4e5f6g7h8j9k0m1n1",
            "attempt": 1,
            "service_handle": "qwen/qwen3-8b@delta-cloud",
            "status": "failed",
            "error_code": "upstream_timeout",
            "reason": "The provider did not answer in time.",
            "duration_ms": 60002,
            "cost_tokens": "0",
        },
        {
            "id": "call_01kb7zc3d4e5f6g7h8j9k0m1n2",
            "attempt": 2,
            "service_handle": "qwen/qwen3-8b@rhine-compute",
            "status": "succeeded",
            "error_code": "",
            "reason": "",
            "duration_ms": 1333,
            "cost_tokens": "188",
        },
    ],
    "recount": {
        "verdict": "agrees",
        "reason": "",
        "tokenizer": "qwen3",
        "prompt_reported": 412,
        "prompt_counted": 411,
        "prompt_offset": 1,
        "completion_reported": 180,
        "completion_counted": 179,
        "returned_tokens": "0",
        "counted_at": "2026-11-03T10:20:31.512345Z",
    },
}
USAGE = {
    "timezone": "Europe/Berlin",
    "unit": "live",
    "group_by": "service",
    "as_of": "2026-11-03T10:21:00Z",
    "data": [
        {
            "day": "2026-11-03",
            "group": "svc_01kb7z5d3fgh8j9k2m4n6p7q8r",
            "calls": 128,
            "failed_calls": 2,
            "prompt_tokens": 52736,
            "cached_tokens": 32768,
            "completion_tokens": 23040,
            "cost_tokens": "24064",
        }
    ],
}


class CallFilter(django_filters.FilterSet):
    """Query filters of the list of calls; ids of others' things find nothing."""

    service = django_filters.CharFilter(field_name="service__public_id", max_length=40)
    key = django_filters.CharFilter(field_name="api_key__public_id", max_length=40)
    status = django_filters.ChoiceFilter(choices=CallStatus.choices)
    unit = django_filters.ChoiceFilter(choices=Unit.choices)

    class Meta:
        model = Call
        fields: list[str] = []


# "from" is a word of the language, so these two cannot be attributes.
CallFilter.base_filters["from"] = MomentFilter(field_name="started_at", lookup_expr="gte")
CallFilter.base_filters["to"] = MomentFilter(field_name="started_at", lookup_expr="lt")


class MeteringView(TenantView):
    """What a key may see of the organisation's calls."""

    tags = ["Calls and usage"]

    @property
    def own_only(self) -> User | None:
        return self.membership.user if self.sees_own_calls_only else None


class CallsView(MeteringView, TenantListView):
    """The organisation's calls."""

    queryset = Call.objects.none()
    serializer_class = CallSerializer
    filterset_class = CallFilter
    keyset = ("-started_at", "-id")

    def list_rows(self) -> QuerySet[Call]:
        calls = selectors.list_calls(self.organisation, member=self.own_only)
        return calls.filter(unit__in=self.units)

    @extend_schema(
        operation_id="list_calls",
        summary="List calls",
        description=(
            "Newest first, also those that failed (they cost 0). From `from` (included) to `to` "
            "(excluded). A member's key lists that member's calls only, a test key test calls."
        ),
        examples=[OpenApiExample("Calls", value=CALL, response_only=True)],
    )
    def get(self, request: Request) -> Response:
        return self.list(request)


class CallView(MeteringView):
    """One call."""

    @extend_schema(
        operation_id="get_call",
        summary="Get one call with the arithmetic of its cost",
        description=(
            "`attempts` are the calls that were made for the same request, this one among them, in "
            "their order: before the first token, the gateway falls over to another service. Only "
            "one of them can have cost anything."
        ),
        responses=CallDetailSerializer,
        examples=[OpenApiExample("Call", value=CALL_DETAIL, response_only=True)],
    )
    def get(self, request: Request, call: str) -> Response:
        found = selectors.get_call(self.organisation, call)
        member = self.own_only
        if found.unit not in self.units or (member and found.member_id != member.pk):
            raise NotFound(_("There is no such request here."))
        return Response(CallDetailSerializer(found).data)


class DailyUsageView(MeteringView):
    """Sums by day."""

    @extend_schema(
        operation_id="get_daily_usage",
        summary="Get usage by day",
        description=(
            "In days of the organisation's time zone, at most a minute old (`as_of`). A member's "
            "key gets that member's usage only."
        ),
        parameters=[UsageQuerySerializer],
        responses=DailyUsageSerializer,
        examples=[OpenApiExample("Usage", value=USAGE, response_only=True)],
    )
    def get(self, request: Request) -> Response:
        asked = self.read_query(UsageQuerySerializer)
        unit = asked.get("unit", self.units[0])
        if unit not in self.units:
            raise PermissionDenied(_("A test key reads test usage only."), code="test_key")
        rows = selectors.get_usage_by_day(
            self.organisation,
            start_on=asked["start_on"],
            end_on=asked["end_on"],
            group_by=asked["group_by"],
            member=self.own_only,
            unit=unit,
        )
        answer: dict[str, Any] = {
            "timezone": self.organisation.timezone,
            "unit": unit,
            "group_by": asked["group_by"],
            "as_of": selectors.get_last_roll_up(),
            "data": [{"day": day, "group": group, "sums": sums} for day, group, sums in rows],
        }
        return Response(DailyUsageSerializer(answer).data)
