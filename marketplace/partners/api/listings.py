"""A provider's own services by REST: draft, prices, review, pause."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.db.models import Prefetch, QuerySet
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api_auth import actor_of
from marketplace.catalog import selectors as catalog_selectors
from marketplace.catalog import services as catalog
from marketplace.catalog.models import AIModel, PriceVersion, Service, ServiceReview
from marketplace.partners.api.base import ProviderListView, ProviderView
from marketplace.partners.api.examples import LISTING, NEW_LISTING, PRICES, TERMS, example
from marketplace.partners.serializers.listings import (
    ListingSerializer,
    ListingTermsSerializer,
    NewListingSerializer,
    PriceChangeSerializer,
    PriceVersionSerializer,
)
from portal.kernel.clock import utc_now
from portal.kernel.errors import DomainError

_MEMBER_OF_FIELD = {
    "input_millitokens": "prices/input",
    "cached_input_millitokens": "prices/cached_input",
    "output_millitokens": "prices/output",
    "request_millitokens": "prices/request",
}


@contextmanager
def members_named() -> Iterator[None]:
    """Refusals of prices point to the members of the body, not to the fields of the table."""
    try:
        yield
    except DomainError as refusal:
        if fields := refusal.data.get("fields"):
            refusal.data["fields"] = {
                _MEMBER_OF_FIELD.get(name, name): reasons for name, reasons in fields.items()
            }
        raise


class ListingBaseView(ProviderView):
    """Finding one's own service, and showing it."""

    tags = ["Provider: services"]

    def own_services(self) -> QuerySet[Service]:
        return catalog_selectors.list_provider_services(self.provider).prefetch_related(
            "price_versions", Prefetch("reviews", ServiceReview.objects.filter(decision=""))
        )

    def own_service(self, public_id: str) -> Service:
        """Raises NotFound (404) for any other provider's."""
        return catalog_selectors.get_provider_service(self.provider, public_id)

    def set_prices(
        self, service: Service, prices: dict[str, int], *, effective_at: datetime, now: datetime
    ) -> PriceVersion:
        with members_named():
            return catalog.add_price_version(
                service=service,
                effective_at=effective_at,
                created_by=self.membership.user,
                now=now,
                actor=actor_of(self.request),
                **prices,
            )

    def show(self, service: Service, status: int = 200) -> Response:
        fresh = self.own_services().get(pk=service.pk)
        return Response(ListingSerializer(fresh).data, status=status)


class ListingsView(ListingBaseView, ProviderListView):
    """All of the provider's services, and new drafts."""

    queryset = Service.objects.none()
    serializer_class = ListingSerializer
    keyset = ("-created_at", "-id")
    repeatable = ("POST",)
    problems = {"POST": (409,)}

    def list_rows(self) -> QuerySet[Service]:
        return self.own_services()

    @extend_schema(
        operation_id="list_provider_services",
        summary="List your services",
        description="In any status, newest first.",
        examples=[example("A live service", LISTING)],
    )
    def get(self, request: Request) -> Response:
        return self.list(request)

    @extend_schema(
        operation_id="create_provider_service",
        summary="Draft a service",
        description=(
            "A draft is seen by you alone. With prices it can be submitted for review; after "
            "approval it is live."
        ),
        request=NewListingSerializer,
        responses={201: ListingSerializer},
        examples=[example("A draft", NEW_LISTING, request=True), example("Drafted", LISTING)],
    )
    def post(self, request: Request) -> Response:
        return self.answer_once(request, lambda key: self._create())

    def _create(self) -> Response:
        terms = self.read_body(NewListingSerializer)
        prices = terms.pop("prices", None)
        model = AIModel.objects.filter(handle=terms.pop("model")).first()
        if model is None:
            raise ValidationError({"model": [_("There is no model of this handle.")]})
        now = utc_now()
        service = catalog.create_service(
            provider=self.provider, model=model, now=now, actor=actor_of(self.request), **terms
        )
        if prices:
            self.set_prices(service, prices, effective_at=now, now=now)
        return self.show(service, status=201)


class ListingView(ListingBaseView):
    """One service: read, replace, change."""

    problems = {"PUT": (409,), "PATCH": (409,)}

    @extend_schema(
        operation_id="get_provider_service",
        summary="Get one of your services",
        responses=ListingSerializer,
        examples=[example("A live service", LISTING)],
    )
    def get(self, request: Request, service: str) -> Response:
        return self.show(self.own_service(service))

    @extend_schema(
        operation_id="replace_provider_service",
        summary="State all terms of a service anew",
        description=(
            "What is left out takes its default; the credential stays unless given. On a live "
            "service, changes of what staff vouched for open a review (`review`) and come into "
            "force with its approval."
        ),
        request=ListingTermsSerializer,
        responses=ListingSerializer,
        examples=[example("Terms", TERMS, request=True), example("A live service", LISTING)],
    )
    def put(self, request: Request, service: str) -> Response:
        found = self.own_service(service)
        terms = self.read_body(ListingTermsSerializer)
        terms.setdefault("context_length", found.model.context_length)
        return self._update(found, terms)

    @extend_schema(
        operation_id="change_provider_service",
        summary="Change some terms of a service",
        request=ListingTermsSerializer,
        responses=ListingSerializer,
        examples=[
            example("Keep no prompt", {"retains_prompts_days": 0}, request=True),
            example("A live service", LISTING),
        ],
    )
    def patch(self, request: Request, service: str) -> Response:
        found = self.own_service(service)
        return self._update(found, self.read_body(ListingTermsSerializer, partial=True))

    def _update(self, service: Service, changes: dict[str, Any]) -> Response:
        catalog.update_service(
            service=service,
            changes=changes,
            submitted_by_label=self.membership.user.email,
            now=utc_now(),
            actor=actor_of(self.request),
        )
        return self.show(service)


class PricesView(ListingBaseView, ProviderListView):
    """The versions of a service's prices."""

    queryset = PriceVersion.objects.none()
    serializer_class = PriceVersionSerializer
    keyset = ("-number",)
    repeatable = ("POST",)
    problems = {"POST": (409,)}

    def list_rows(self) -> QuerySet[PriceVersion]:
        service = self.own_service(self.kwargs["service"])
        return catalog_selectors.list_price_versions(service)

    @extend_schema(
        operation_id="list_provider_prices",
        summary="List the prices of a service",
        description="All versions, past, in force and announced; the newest first.",
        examples=[example("First prices", LISTING["prices"])],
    )
    def get(self, request: Request, service: str) -> Response:
        return self.list(request)

    @extend_schema(
        operation_id="add_provider_price",
        summary="Set new prices",
        description=(
            "Calls that have begun are charged at the version they began with. On a live service "
            "a rise is announced: `price_rise_needs_notice` names the earliest time."
        ),
        request=PriceChangeSerializer,
        responses={201: PriceVersionSerializer},
        examples=[
            example("New prices", {"prices": PRICES}, request=True),
            example("First prices", LISTING["prices"]),
        ],
    )
    def post(self, request: Request, service: str) -> Response:
        found = self.own_service(service)
        return self.answer_once(request, lambda key: self._add(found))

    def _add(self, service: Service) -> Response:
        change = self.read_body(PriceChangeSerializer)
        now = utc_now()
        version = self.set_prices(
            service, change["prices"], effective_at=change.get("effective_at", now), now=now
        )
        return Response(PriceVersionSerializer(version).data, status=201)
