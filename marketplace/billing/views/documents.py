"""Invoices and credit notes: a page that prints on one sheet of A4, and the same as PDF."""

from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.access import OrganisationRequest, organisation_view
from accounts.models import Role
from marketplace.billing import selectors
from marketplace.billing.models import Document
from marketplace.billing.paper import describe_document, draw_pdf
from portal.kernel.errors import NotFound

DOCUMENTS_PER_PAGE = 25


@require_safe
@organisation_view(role=Role.BILLING)
def document_list(request: OrganisationRequest, organisation: str) -> HttpResponse:
    documents = selectors.list_documents(organisation=request.organisation)
    page = Paginator(documents, DOCUMENTS_PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "billing/documents.html", {"page": page})


@require_safe
@organisation_view(role=Role.BILLING)
def document_page(request: OrganisationRequest, organisation: str, document: str) -> HttpResponse:
    found = _get_document(request, document)
    return render(
        request,
        "billing/document.html",
        {
            "document": found,
            "order": found.order,
            "paper": describe_document(found),
            "credit_notes": found.credit_notes.order_by("id"),
        },
    )


@require_safe
@organisation_view(role=Role.BILLING)
def document_pdf(request: OrganisationRequest, organisation: str, document: str) -> HttpResponse:
    found = _get_document(request, document)
    return send_pdf(draw_pdf(describe_document(found)), name=found.label)


def send_pdf(pdf: bytes, *, name: str) -> HttpResponse:
    """As a file to keep, not shown within the portal's own origin."""
    response = HttpResponse(pdf, content_type="application/pdf")
    response["Content-Disposition"] = f'attachment; filename="{name}.pdf"'
    return response


def _get_document(request: OrganisationRequest, public_id: str) -> Document:
    try:
        return selectors.get_document(organisation=request.organisation, public_id=public_id)
    except NotFound as error:
        raise Http404 from error
