"""Invoices and credit notes, as figures and as PDF."""

import django_filters
from django.db.models import QuerySet
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api_base import TenantListView, TenantView
from accounts.models import Role
from marketplace.billing import selectors
from marketplace.billing.models import Document, DocumentKind
from marketplace.billing.paper import describe_document, draw_pdf
from marketplace.billing.serializers import DocumentSerializer
from marketplace.billing.views.documents import send_pdf
from portal.kernel.rest import MomentFilter

SELLER = {
    "name": "Tokenworks",
    "legal_name": "Tokenworks B.V.",
    "address": "Keizersgracht 1, Amsterdam",
    "country": "NL",
    "tax_id": "NL004495445B01",
    "email": "billing@market.example",
}
DOCUMENT = {
    "id": "doc_01kb7z4s7t8v9w0x1y2z3a4b5c",
    "kind": "invoice",
    "number": "2026-000042",
    "order": "ord_01kb7z4q5r6s7t8v9w0x1y2z3a",
    "corrects": None,
    "currency": "USD",
    "amount_minor": "9500",
    "tax_minor": "0",
    "livemode": True,
    "seller": SELLER,
    "buyer": {
        "name": "Acme",
        "legal_name": "Acme Ltd",
        "address": "1 High Street, London",
        "country": "GB",
        "tax_id": "",
        "email": "accounts@acme.example",
    },
    "issued_at": "2026-11-03T10:05:00Z",
}


class DocumentFilter(django_filters.FilterSet):
    """Query filters of the list of documents."""

    kind = django_filters.ChoiceFilter(choices=DocumentKind.choices)
    issued_from = MomentFilter(field_name="issued_at", lookup_expr="gte")
    issued_before = MomentFilter(field_name="issued_at", lookup_expr="lt")

    class Meta:
        model = Document
        fields: list[str] = []


class DocumentsView(TenantListView):
    """All of the organisation's."""

    tags = ["Invoices and statements"]
    role = Role.BILLING
    queryset = Document.objects.none()
    serializer_class = DocumentSerializer
    filterset_class = DocumentFilter
    keyset = ("-issued_at", "-id")

    def list_rows(self) -> QuerySet[Document]:
        return selectors.list_documents(organisation=self.organisation)

    @extend_schema(
        operation_id="list_documents",
        summary="List your invoices and credit notes",
        description="Newest first. The key's maker needs the role billing.",
        examples=[OpenApiExample("Documents", value=DOCUMENT, response_only=True)],
    )
    def get(self, request: Request) -> Response:
        return self.list(request)


class DocumentBaseView(TenantView):
    """What the address names."""

    tags = ["Invoices and statements"]
    role = Role.BILLING

    def find_document(self, public_id: str) -> Document:
        return selectors.get_document(organisation=self.organisation, public_id=public_id)


class DocumentView(DocumentBaseView):
    """One document."""

    @extend_schema(
        operation_id="get_document",
        summary="Get an invoice or credit note",
        responses=DocumentSerializer,
        examples=[OpenApiExample("Invoice", value=DOCUMENT, response_only=True)],
    )
    def get(self, request: Request, document: str) -> Response:
        return Response(DocumentSerializer(self.find_document(document)).data)


class DocumentPdfView(DocumentBaseView):
    """The same as it is printed."""

    @extend_schema(
        operation_id="get_document_pdf",
        summary="Download an invoice or credit note as PDF",
        responses={(200, "application/pdf"): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, document: str) -> HttpResponse:
        found = self.find_document(document)
        return send_pdf(draw_pdf(describe_document(found)), name=found.label)
