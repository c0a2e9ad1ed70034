"""REST of accounts for tenants: the organisation of the calling key."""

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api_base import TenantView
from accounts.serializers import OrganisationSerializer

ORGANISATION_EXAMPLE = OpenApiExample(
    "Acme",
    value={
        "id": "org_01kb7z3m9q5x8w2v4t6r8y0h1c",
        "name": "Acme Tools",
        "slug": "acme-tools",
        "legal_name": "Acme Tools GmbH",
        "address": "Lindenallee 1\n10115 Berlin",
        "tax_id": "DE123456788",
        "country": "DE",
        "timezone": "Europe/Berlin",
        "verified_at": "2026-11-02T08:15:00Z",
        "created_at": "2026-11-02T08:11:12Z",
    },
    response_only=True,
)


class OrganisationView(TenantView):
    """The key's organisation."""

    tags = ["Organisation"]

    @extend_schema(
        operation_id="get_organisation",
        summary="Get your organisation",
        responses=OrganisationSerializer,
        examples=[ORGANISATION_EXAMPLE],
    )
    def get(self, request: Request) -> Response:
        return Response(OrganisationSerializer(self.organisation).data)
