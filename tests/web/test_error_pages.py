"""When a page cannot be shown: the status, what happened, whether anything was charged."""

import pytest
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.http import HttpRequest
from django.test import Client, RequestFactory
from structlog.contextvars import bind_contextvars, clear_contextvars

from portal.web import error_pages


@pytest.fixture
def request_from_browser(rf: RequestFactory) -> HttpRequest:
    return rf.get("/o/acme/keys/")


@pytest.mark.django_db
def test_an_address_that_does_not_exist(client: Client) -> None:
    response = client.get("/no/such/page/")
    assert response.status_code == 404
    assert "There is no such page" in response.content.decode()


def test_an_unreadable_request(request_from_browser: HttpRequest) -> None:
    response = error_pages.bad_request(request_from_browser, SuspiciousOperation())
    assert response.status_code == 400
    assert "nothing was charged" in response.content.decode()


def test_a_body_over_the_limit_is_413(request_from_browser: HttpRequest) -> None:
    response = error_pages.bad_request(request_from_browser, RequestDataTooBig())
    assert response.status_code == 413
    assert "too large" in response.content.decode()


def test_a_refusal_says_its_own_sentence(request_from_browser: HttpRequest) -> None:
    refusal = PermissionDenied("Only billing may buy; Ada can change your role.")
    response = error_pages.permission_denied(request_from_browser, refusal)
    assert response.status_code == 403
    assert "Only billing may buy; Ada can change your role." in response.content.decode()
    unexplained = error_pages.permission_denied(request_from_browser, PermissionDenied())
    assert "An owner of your organisation can change your role" in unexplained.content.decode()


@pytest.mark.django_db
def test_a_form_from_elsewhere_is_refused_in_words() -> None:
    response = Client(enforce_csrf_checks=True).post("/login/", {"login": "a@b.example"})
    assert response.status_code == 403
    html = response.content.decode()
    assert "This form was too old" in html
    assert "CSRF" not in html


def test_a_breakdown_names_the_request_and_needs_no_database(
    request_from_browser: HttpRequest,
) -> None:
    bind_contextvars(request_id="01jc8z")
    try:
        response = error_pages.server_error(request_from_browser)
    finally:
        clear_contextvars()
    html = response.content.decode()
    assert response.status_code == 500
    assert "01jc8z" in html
    assert "Nothing is charged twice" in html
    assert html.count("<h1>") == 1
