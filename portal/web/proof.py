"""The wallet's proof: what is sealed, the file to keep, and the program that checks it."""

from django.conf import settings
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from accounts.access import OrganisationRequest, organisation_view
from accounts.models import Role
from marketplace.billing import selectors as billing
from marketplace.ledger import selectors as ledger
from marketplace.ledger import services
from marketplace.ledger.models import Unit
from marketplace.ledger.verifier import VERIFIER
from portal.kernel.clock import utc_now
from portal.kernel.streams import piecewise


@require_safe
@organisation_view(role=Role.BILLING)
def proof(request: OrganisationRequest, organisation: str) -> HttpResponse:
    """Each wallet with how far it is sealed; the newest checkpoint; the way to check it."""
    owner_key = request.organisation.public_id
    seals = ledger.list_seals(owner_key=owner_key)
    labels = billing.describe_scopes({seal.scope for seal in seals})
    return render(
        request,
        "web/proof.html",
        {
            "seals": [(seal, labels[seal.scope]) for seal in seals],
            "checkpoint": ledger.get_newest_checkpoint(),
            "file_name": _file_name(request),
            "verifier_url": settings.SITE_URL + reverse("web:verifier"),
        },
    )


@require_safe
@organisation_view(role=Role.BILLING)
def proof_file(request: OrganisationRequest, organisation: str) -> StreamingHttpResponse:
    """All entries of the organisation with what proves them, as JSON lines."""
    pieces = services.stream_proof(
        owner_key=request.organisation.public_id, units=Unit.values, now=utc_now()
    )
    response = StreamingHttpResponse(piecewise(pieces), content_type="application/jsonl")
    response["Content-Disposition"] = f'attachment; filename="{_file_name(request)}"'
    return response


@require_safe
def verifier(request: HttpRequest) -> FileResponse:
    """The program, for anybody."""
    return FileResponse(
        VERIFIER.open("rb"), as_attachment=True, content_type="text/x-python; charset=utf-8"
    )


def _file_name(request: OrganisationRequest) -> str:
    return f"proof-{request.organisation.slug}-{utc_now():%Y-%m-%d}.jsonl"
