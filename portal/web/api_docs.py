"""The OpenAPI document, and the two pages that show it inside the portal, under its strict CSP:
a reference that needs no JavaScript, and Swagger UI for trying requests out."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from drf_spectacular.views import SpectacularSwaggerSplitView
from rest_framework.request import Request
from rest_framework.response import Response

from portal.kernel.rest import ApiView
from portal.web.api_problems import PROBLEM_CODES
from portal.web.api_reference import read_groups
from portal.web.api_schema import get_document
from portal.web.docs import PAGES


class SchemaView(ApiView):
    """The OpenAPI 3.1 document as JSON, for everybody."""

    schema = None
    authentication_classes = []
    permission_classes = []

    def get(self, request: Request) -> Response:
        return Response(get_document(), headers={"Cache-Control": "public, max-age=300"})


@require_safe
def reference(request: HttpRequest) -> HttpResponse:
    """Every operation with its fields, examples and answers; every code of a problem."""
    context = {
        "pages": PAGES,
        "groups": read_groups(get_document()),
        "problems": PROBLEM_CODES,
    }
    return render(request, "web/api_docs.html", context)


class TryView(SpectacularSwaggerSplitView):
    """Swagger UI in our layout; with ``?script`` the script that starts it."""

    schema = None
    url_name = "api:schema"
    template_name = "web/api_try.html"
    authentication_classes: list[Any] = []

    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        answer: Response = super().get(request, *args, **kwargs)
        if isinstance(answer.data, dict):
            answer.data["pages"] = PAGES
        return answer
