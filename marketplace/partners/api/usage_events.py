"""Usage of direct calls, reported by providers in batches."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ParseError
from rest_framework.request import Request
from rest_framework.response import Response

from marketplace.partners import services as partners
from marketplace.partners.api.direct import HOLD, USED, DirectView
from marketplace.partners.api.examples import example
from marketplace.partners.quantities import Quantities
from marketplace.partners.serializers.direct import (
    EVENT_TYPE,
    UsageAnswersSerializer,
    UsageEventSerializer,
)
from portal.kernel.errors import Rejected
from portal.kernel.rest import BoundedJSONParser

MAX_EVENTS = 1000
BATCH_TYPE = "application/cloudevents-batch+json"
MEDIA_TYPES = (BATCH_TYPE, "application/json")
EVENT = {
    "specversion": "1.0",
    "id": "7f3f2a3e-2f0a-4a56-9f0f-0b6d5d8a9c11",
    "source": "https://inference.rhine.example",
    "type": EVENT_TYPE,
    "subject": HOLD["id"],
    "time": "2026-11-03T10:21:00Z",
    "data": USED,
}
ANSWERS = {
    "results": [
        {
            "id": EVENT["id"],
            "outcome": "accepted",
            "code": "",
            "reason": "",
            "call": HOLD["call"],
            "charged": "188",
            "capped": False,
        }
    ]
}


class CloudEventsParser(BoundedJSONParser):
    """The media type of CloudEvents' JSON batch format."""

    media_type = BATCH_TYPE


class UsageEventsView(DirectView):
    """Usage in batches."""

    parser_classes = [CloudEventsParser, BoundedJSONParser]

    @extend_schema(
        operation_id="report_usage_events",
        summary="Report the usage of direct calls in a batch",
        description=(
            "Up to 1,000 CloudEvents, answered one by one: bad ones don't hold up good ones, and "
            "repeats are harmless. An event captures the hold in `subject`; it is accepted until "
            "the hold expires. Events are unique among yours by `id`, for ever."
        ),
        request={media_type: UsageEventSerializer(many=True) for media_type in MEDIA_TYPES},
        responses=UsageAnswersSerializer,
        examples=[
            *(example("One event", EVENT, request=True, media_type=m) for m in MEDIA_TYPES),
            example("Answers", ANSWERS),
        ],
    )
    def post(self, request: Request) -> Response:
        events = request.data
        if not isinstance(events, list):
            raise ParseError(_("Send a JSON array of events."))
        if not 1 <= len(events) <= MAX_EVENTS:
            raise Rejected(_("Send 1 to 1,000 events."), code="batch_size")
        answers: list[Any] = [None] * len(events)
        reports: dict[int, partners.UsageReport] = {}
        for position, event in enumerate(events):
            incoming = UsageEventSerializer(data=event)
            if incoming.is_valid():
                reports[position] = _read_event(incoming.validated_data)
            else:
                answers[position] = _unreadable(event, incoming.errors)
        taken = partners.report_usage(provider=self.provider, reports=list(reports.values()))
        for position, answer in zip(reports, taken, strict=True):
            answers[position] = answer
        return Response(UsageAnswersSerializer({"results": answers}).data)


def _read_event(event: dict[str, Any]) -> partners.UsageReport:
    return partners.UsageReport(
        event_id=event["id"],
        hold_id=event["subject"],
        quantities=Quantities(**event["data"]),
        occurred_at=event["time"],
    )


def _unreadable(event: Any, errors: Any) -> dict[str, Any]:
    """The answer to an event of the wrong shape: which member, and why."""
    name, reasons = next(iter(errors.items()))
    while isinstance(reasons, dict):
        inner, reasons = next(iter(reasons.items()))
        name = f"{name}.{inner}"
    event_id = event.get("id") if isinstance(event, dict) else None
    return {
        "event_id": event_id if isinstance(event_id, str) else None,
        "outcome": "rejected",
        "code": "event_malformed",
        "reason": f"{name}: {reasons[0]}",
        "call_id": "",
        "charged_millitokens": 0,
        "capped": False,
    }
