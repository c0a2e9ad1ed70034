"""The OpenAPI document, and the pages that show it inside the portal, under its strict CSP."""

from rest_framework.request import Request
from rest_framework.response import Response

from portal.kernel.rest import ApiView
from portal.web.api_schema import get_document


class SchemaView(ApiView):
    """The OpenAPI 3.1 document as JSON, for everybody."""

    schema = None
    authentication_classes = []
    permission_classes = []

    def get(self, request: Request) -> Response:
        return Response(get_document(), headers={"Cache-Control": "public, max-age=300"})
