"""The base of API views, and the answer of addresses that do not exist."""

from typing import Any, TypeVar

from drf_spectacular.utils import extend_schema
from rest_framework import exceptions, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from portal.kernel.rest.parsing import AlwaysJson, BoundedJSONParser
from portal.kernel.rest.throttles import KeyThrottle

Input = TypeVar("Input", bound=serializers.BaseSerializer)


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

    def read_input(self, serializer: type[Input], **kwargs: Any) -> Any:
        """The validated body; raises 400 with pointers to what is wrong."""
        incoming = serializer(data=self.request.data, **kwargs)
        incoming.is_valid(raise_exception=True)
        return incoming.validated_data


@extend_schema(exclude=True)
class NoSuchRoute(APIView):
    """404 as a problem for every address below /api/ that is none."""

    content_negotiation_class = AlwaysJson
    authentication_classes: list[Any] = []
    permission_classes: list[Any] = []

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        raise exceptions.NotFound()
