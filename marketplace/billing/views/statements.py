"""Monthly statements: a page to print, PDF and CSV of the same figures."""

import csv

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.access import OrganisationRequest, organisation_view
from accounts.models import Role
from marketplace.billing import statements
from marketplace.billing.paper import describe_statement, draw_pdf, list_csv_rows
from marketplace.billing.views.documents import send_pdf
from portal.kernel.clock import utc_now
from portal.kernel.errors import NotFound


@require_safe
@organisation_view(role=Role.BILLING)
def statement_list(request: OrganisationRequest, organisation: str) -> HttpResponse:
    months = statements.list_months(organisation=request.organisation, now=utc_now())
    labels = [f"{month:%Y-%m}" for month in months]
    return render(request, "billing/statements.html", {"months": labels})


@require_safe
@organisation_view(role=Role.BILLING)
def statement_page(request: OrganisationRequest, organisation: str, month: str) -> HttpResponse:
    statement = _get_statement(request, month)
    return render(
        request,
        "billing/statement.html",
        {"statement": statement, "paper": describe_statement(statement)},
    )


@require_safe
@organisation_view(role=Role.BILLING)
def statement_pdf(request: OrganisationRequest, organisation: str, month: str) -> HttpResponse:
    statement = _get_statement(request, month)
    return send_pdf(draw_pdf(describe_statement(statement)), name=name_statement(statement))


@require_safe
@organisation_view(role=Role.BILLING)
def statement_csv(request: OrganisationRequest, organisation: str, month: str) -> HttpResponse:
    return send_statement_csv(_get_statement(request, month))


def send_statement_csv(statement: statements.Statement) -> HttpResponse:
    """As a file to keep."""
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name_statement(statement)}.csv"'
    response.write("\ufeff")  # so that spreadsheets read Chinese names
    csv.writer(response).writerows(list_csv_rows(statement))
    return response


def name_statement(statement: statements.Statement) -> str:
    return f"statement-{statement.organisation.slug}-{statement.label}"


def _get_statement(request: OrganisationRequest, month: str) -> statements.Statement:
    try:
        return statements.get_statement(
            organisation=request.organisation, month=month, now=utc_now()
        )
    except NotFound as error:
        raise Http404 from error
