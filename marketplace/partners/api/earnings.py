"""What a provider's services were called for and have earned."""

from typing import Any

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from marketplace.metering import selectors as metering
from marketplace.metering.models import Call, CallStatus
from marketplace.partners import selectors
from marketplace.partners.api.base import ProviderListView, ProviderView
from marketplace.partners.api.examples import example
from marketplace.partners.serializers.earnings import (
    EarningsQuerySerializer,
    EarningsSerializer,
    ServedCallSerializer,
)
from portal.kernel.rest import MomentFilter

CALL = {
    "id": "call_01kb7zc3d4e5f6g7h8j9k0m1n2",
    "service": "svc_01kb7z5d3fgh8j9k2m4n6p7q8r",
    "customer": "tnt_mzxw6ytboi4dsnzqmfzxw6ytbo",
    "started_at": "2026-11-03T10:20:30.123456Z",
    "ended_at": "2026-11-03T10:20:31.456789Z",
    "status": "succeeded",
    "error_code": "",
    "unit": "live",
    "surface": "direct",
    "operation": "direct",
    "streamed": False,
    "upstream_id": "chatcmpl-8f1",
    "prompt_tokens": 412,
    "cached_tokens": 256,
    "completion_tokens": 180,
    "usage_source": "provider",
    "earned_tokens": "169.2",
    "first_token_ms": None,
    "duration_ms": None,
}
EARNINGS = {
    "payable_tokens": "18402.75",
    "timezone": "Europe/Berlin",
    "calls": 128,
    "earned_tokens": "21657.6",
    "services": [
        {
            "service": "svc_01kb7z5d3fgh8j9k2m4n6p7q8r",
            "handle": "qwen/qwen3-8b@rhine-compute",
            "calls": 128,
            "failed_calls": 2,
            "prompt_tokens": 52736,
            "completion_tokens": 23040,
            "earned_tokens": "21657.6",
            "days": [{"day": "2026-11-03", "earned_tokens": "21657.6"}],
        }
    ],
}


class ServedCallFilter(django_filters.FilterSet):
    """Query filters of the list of calls."""

    service = django_filters.CharFilter(field_name="service__public_id", max_length=40)
    status = django_filters.ChoiceFilter(choices=CallStatus.choices)

    class Meta:
        model = Call
        fields: list[str] = []


# "from" is a word of the language, so these two cannot be attributes.
ServedCallFilter.base_filters["from"] = MomentFilter(field_name="started_at", lookup_expr="gte")
ServedCallFilter.base_filters["to"] = MomentFilter(field_name="started_at", lookup_expr="lt")


class ServedCallsView(ProviderListView):
    """Calls of the provider's services."""

    tags = ["Provider: calls and earnings"]
    queryset = Call.objects.none()
    serializer_class = ServedCallSerializer
    filterset_class = ServedCallFilter
    keyset = ("-started_at", "-id")

    def list_rows(self) -> QuerySet[Call]:
        return metering.list_provider_calls(self.provider).select_related("organisation")

    def get_serializer_context(self) -> dict[str, Any]:
        return {**super().get_serializer_context(), "provider": getattr(self, "provider", None)}

    @extend_schema(
        operation_id="list_provider_calls",
        summary="List calls of your services",
        description="Newest first. Callers appear under a pseudonym that is yours alone.",
        examples=[example("Calls", CALL)],
    )
    def get(self, request: Request) -> Response:
        return self.list(request)


class EarningsView(ProviderView):
    """What the provider is owed and has earned."""

    tags = ["Provider: calls and earnings"]

    @extend_schema(
        operation_id="get_provider_earnings",
        summary="Get your earnings so far",
        description=(
            "Owed now (`payable_tokens`), and per service and day. The sums are at most a minute "
            "behind; test services earn nothing."
        ),
        parameters=[EarningsQuerySerializer],
        responses=EarningsSerializer,
        examples=[example("Earnings", EARNINGS)],
    )
    def get(self, request: Request) -> Response:
        asked = self.read_query(EarningsQuerySerializer)
        earnings = selectors.get_earnings(provider=self.provider, **asked)
        report = earnings.report
        answer = {
            "payable_tokens": earnings.payable_millitokens,
            "timezone": self.organisation.timezone,
            "calls": report.calls,
            "share_millitokens": report.share_millitokens,
            "services": [
                {
                    "key": service.key,
                    "label": service.label,
                    "sums": service.sums,
                    "days": selectors.list_earning_days(report, service),
                }
                for service in report.services
            ],
        }
        return Response(EarningsSerializer(answer).data)
