"""The bases of API views, and the answer of addresses that do not exist."""

from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import Any

from django.db.models import QuerySet
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _
from django_filters.rest_framework import DjangoFilterBackend
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions, generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from portal.kernel.rest.paging import KeysetPagination
from portal.kernel.rest.parsing import AlwaysJson, BoundedJSONParser
from portal.kernel.rest.problems import ParameterError
from portal.kernel.rest.throttles import KeyThrottle


class ApiView(APIView):
    """JSON in, JSON or a problem out; throttled per key; never cached."""

    parser_classes = [BoundedJSONParser]
    content_negotiation_class = AlwaysJson
    throttle_classes = [KeyThrottle]
    metadata_class = None

    def finalize_response(
        self, request: Request, response: Any, *args: Any, **kwargs: Any
    ) -> Response:
        response = super().finalize_response(request, response, *args, **kwargs)
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    def read_body(self, serializer: type[serializers.Serializer], **kwargs: Any) -> dict[str, Any]:
        """The validated body; raises 400 with pointers to what is wrong."""
        incoming = serializer(data=self.request.data, **kwargs)
        incoming.is_valid(raise_exception=True)
        return dict(incoming.validated_data)

    def read_query(
        self, serializer: type[serializers.Serializer], *, besides: frozenset[str] = frozenset()
    ) -> dict[str, Any]:
        """The validated query; raises 400 naming the parameters, unknown ones included.

        ``besides`` are parameters that somebody else reads.
        """
        refuse_unknown_parameters(self.request, set(serializer().fields) | besides)
        incoming = serializer(data=self.request.query_params.dict())
        if not incoming.is_valid():
            raise ParameterError(incoming.errors)
        return dict(incoming.validated_data)


PAGE_PARAMETERS = frozenset({"limit", "cursor"})


class ParameterFilterBackend(DjangoFilterBackend):
    """django-filter, with its errors as problems that name the query parameter."""

    def filter_queryset(self, request: Request, queryset: Any, view: Any) -> Any:
        filterset = self.get_filterset(request, queryset, view)
        if filterset is None:
            return queryset
        refuse_unknown_parameters(request, PAGE_PARAMETERS | set(filterset.filters))
        if not filterset.is_valid():
            raise ParameterError(
                {
                    name: [
                        exceptions.ErrorDetail(str(message), code=error.code or "invalid")
                        for error in errors.as_data()
                        for message in error.messages
                    ]
                    for name, errors in filterset.errors.items()
                }
            )
        return filterset.qs


class ApiListView(ApiView, generics.ListAPIView, ABC):
    """A list by keyset pages. Subclasses give ``list_rows``, ``keyset`` and a serializer.

    ``queryset`` is only the empty one from which the API's description is drawn. Filters are
    columns (``filterset_class``), or what ``query_serializer`` reads into ``query``.
    """

    query_serializer: type[serializers.Serializer] | None = None

    pagination_class = KeysetPagination
    filter_backends = [ParameterFilterBackend]

    @cached_property
    def query(self) -> dict[str, Any]:
        """The query that ``query_serializer`` has validated."""
        if self.query_serializer is None:
            return {}
        return self.read_query(self.query_serializer, besides=PAGE_PARAMETERS)

    @abstractmethod
    def list_rows(self) -> QuerySet[Any]:
        """All rows that the caller may see."""

    def get_queryset(self) -> QuerySet[Any]:
        if getattr(self, "swagger_fake_view", False):
            return super().get_queryset()
        rows = self.list_rows()  # what is not there is said before what is wrong with the query
        if not hasattr(self, "filterset_class"):
            known = set(self.query_serializer().fields) if self.query_serializer else set()
            refuse_unknown_parameters(self.request, PAGE_PARAMETERS | known)
        return rows


def refuse_unknown_parameters(request: Request, known: Collection[str]) -> None:
    """A misspelt filter would show everything as if it had been filtered: 400 instead."""
    if unknown := [name for name in request.query_params if name not in known]:
        message = _("There is no such parameter here.")
        raise ParameterError({name: [message] for name in unknown}, code="unknown_parameter")


@extend_schema(exclude=True)
class NoSuchRoute(APIView):
    """404 as a problem for every address below /api/ that is none."""

    content_negotiation_class = AlwaysJson
    authentication_classes: list[Any] = []
    permission_classes: list[Any] = []

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        raise exceptions.NotFound()
