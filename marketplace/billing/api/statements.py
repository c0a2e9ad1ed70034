"""Monthly statements, as figures, PDF and CSV. They tell of live tokens, so test keys read none."""

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api_base import TenantView
from accounts.models import Role
from marketplace.billing import statements
from marketplace.billing.paper import describe_statement, draw_pdf
from marketplace.billing.serializers import MonthListSerializer, StatementSerializer
from marketplace.billing.views.documents import send_pdf
from marketplace.billing.views.statements import name_statement, send_statement_csv
from portal.kernel.clock import utc_now

STATEMENT = {
    "month": "2026-11",
    "first_day": "2026-11-01",
    "last_day": "2026-11-30",
    "is_over": False,
    "opening_tokens": "0",
    "closing_tokens": "104999812",
    "lines": [
        {"kind": "bought", "tokens": "100000000"},
        {"kind": "granted", "tokens": "5000000"},
        {"kind": "spent", "tokens": "-188"},
        {"kind": "expired", "tokens": "0"},
    ],
    "documents": ["doc_01kb7z4s7t8v9w0x1y2z3a4b5c"],
    "usage": [{"model": "Qwen3 8B", "provider": "Rhine Compute", "calls": 2, "tokens": "188"}],
}


class StatementBaseView(TenantView):
    """What all of them need."""

    tags = ["Invoices and statements"]
    role = Role.BILLING

    def find_statement(self, month: str) -> statements.Statement:
        self.refuse_test_key()
        return statements.get_statement(organisation=self.organisation, month=month, now=utc_now())


class StatementsView(StatementBaseView):
    """The months."""

    @extend_schema(
        operation_id="list_statements",
        summary="List the months that have a statement",
        description="Newest first, the running month included.",
        responses=MonthListSerializer,
        examples=[
            OpenApiExample("Months", value={"data": [{"month": "2026-11"}]}, response_only=True)
        ],
    )
    def get(self, request: Request) -> Response:
        self.refuse_test_key()
        months = statements.list_months(organisation=self.organisation, now=utc_now())
        rows = [{"month": f"{month:%Y-%m}"} for month in months]
        return Response(MonthListSerializer({"data": rows}).data)


class StatementView(StatementBaseView):
    """One month."""

    @extend_schema(
        operation_id="get_statement",
        summary="Get the statement of a month",
        responses=StatementSerializer,
        examples=[OpenApiExample("Statement", value=STATEMENT, response_only=True)],
    )
    def get(self, request: Request, month: str) -> Response:
        return Response(StatementSerializer(self.find_statement(month)).data)


class StatementPdfView(StatementBaseView):
    """The same as it is printed."""

    @extend_schema(
        operation_id="get_statement_pdf",
        summary="Download the statement of a month as PDF",
        responses={(200, "application/pdf"): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, month: str) -> HttpResponse:
        found = self.find_statement(month)
        return send_pdf(draw_pdf(describe_statement(found)), name=name_statement(found))


class StatementCsvView(StatementBaseView):
    """The same for a spreadsheet."""

    @extend_schema(
        operation_id="get_statement_csv",
        summary="Download the statement of a month as CSV",
        responses={(200, "text/csv"): OpenApiTypes.STR},
    )
    def get(self, request: Request, month: str) -> HttpResponse:
        return send_statement_csv(self.find_statement(month))
