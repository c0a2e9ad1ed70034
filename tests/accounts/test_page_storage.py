"""What browsers and proxies may keep: nothing that a signed-in person was shown."""

from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from portal.settings import MIDDLEWARE
from tests.cast import signed_in

pytestmark = pytest.mark.django_db

NOT_STORED = "private, no-store"


@pytest.mark.parametrize(
    "path",
    ["/join/", "/reset/", "/reset/sent/", "/reset/1-set-password/", "/verify/", "/verify/x/"],
)
def test_the_doors_are_not_stored(client: Client, path: str) -> None:
    assert "no-store" in client.get(path)["Cache-Control"]


@pytest.mark.parametrize("path", ["/account/email/", "/account/two-factor/", "/account/sessions/"])
def test_pages_of_the_account_are_not_stored(client: Client, ada: User, path: str) -> None:
    assert "no-store" in signed_in(ada).get(path)["Cache-Control"]
    assert "no-store" in client.get(path)["Cache-Control"], "nor is the way to the sign-in"


@pytest.mark.parametrize("path", ["/", "/services/", "/no-such-page/"])
def test_public_pages_are_stored_for_anonymous_visitors_only(
    client: Client, ada: User, path: str
) -> None:
    assert "Cache-Control" not in client.get(path)
    assert signed_in(ada).get(path)["Cache-Control"] == NOT_STORED


def test_what_a_page_says_itself_stays(ada: User, settings: Any) -> None:
    settings.MIDDLEWARE = MIDDLEWARE  # with the one that serves the static files
    person = signed_in(ada)
    assert person.get("/api/schema/")["Cache-Control"] == "public, max-age=300"
    assert person.get("/static/favicon.svg")["Cache-Control"] != NOT_STORED
