"""Where a service goes: submitted, withdrawn, paused, resumed, retired."""

from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api_auth import actor_of
from marketplace.catalog import services as catalog
from marketplace.partners.api.examples import LISTING, example
from marketplace.partners.api.listings import ListingBaseView
from marketplace.partners.serializers.listings import ListingSerializer, OpenReviewSerializer
from portal.kernel.clock import utc_now

REVIEW = {
    "id": "rev_01kb7z5d3fgh8j9k2m4n6p7q8t",
    "submitted_at": "2026-11-03T09:05:00Z",
    "changed_fields": [],
}
MOVED: dict[str, Any] = {
    "request": None,
    "responses": ListingSerializer,
    "examples": [example("The service", LISTING)],
}


class SubmitView(ListingBaseView):
    """Put a draft before the market's staff."""

    problems = {"POST": (400, 409)}

    @extend_schema(
        operation_id="submit_provider_service",
        summary="Submit a draft for review",
        description="The draft needs a price. It cannot be changed while it is reviewed.",
        request=None,
        responses={201: OpenReviewSerializer},
        examples=[example("Submitted", REVIEW)],
    )
    def post(self, request: Request, service: str) -> Response:
        review = catalog.submit_for_review(
            service=self.own_service(service),
            submitted_by_label=self.membership.user.email,
            now=utc_now(),
            actor=actor_of(request),
        )
        return Response(OpenReviewSerializer(review).data, status=201)


class MoveView(ListingBaseView):
    """One step; what the service's status does not allow is refused (409)."""

    problems = {"POST": (409,)}

    def move(self, step: Callable[..., object], public_id: str) -> Response:
        service = self.own_service(public_id)
        step(service=service, now=utc_now(), actor=actor_of(self.request))
        return self.show(service)


class WithdrawView(MoveView):
    @extend_schema(
        operation_id="withdraw_provider_service",
        summary="Withdraw what is being reviewed",
        description="A first listing becomes a draft again; a live service stays as it was.",
        **MOVED,
    )
    def post(self, request: Request, service: str) -> Response:
        return self.move(catalog.withdraw_review, service)


class PauseView(MoveView):
    @extend_schema(
        operation_id="pause_provider_service",
        summary="Pause a service",
        description="It takes no new calls; running ones end.",
        **MOVED,
    )
    def post(self, request: Request, service: str) -> Response:
        return self.move(catalog.pause_service, service)


class ResumeView(MoveView):
    @extend_schema(
        operation_id="resume_provider_service",
        summary="Resume a paused service",
        **MOVED,
    )
    def post(self, request: Request, service: str) -> Response:
        return self.move(catalog.resume_service, service)


class RetireView(MoveView):
    @extend_schema(
        operation_id="retire_provider_service",
        summary="Retire a service for good",
        description="It takes no new calls and cannot come back; its past calls stay.",
        **MOVED,
    )
    def post(self, request: Request, service: str) -> Response:
        return self.move(catalog.retire_service, service)
