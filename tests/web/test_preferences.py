"""The theme: a cookie that a form or the page's script sets and the server renders."""

import pytest
from django.test import Client, RequestFactory
from django.urls import reverse

from portal.web.preferences import get_theme

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_chosen_theme_is_rendered_from_then_on(client: Client, theme: str) -> None:
    response = client.post(reverse("web:set_theme"), {"theme": theme, "next": "/login/?a=b"})
    assert response.status_code == 302
    assert response["Location"] == "/login/?a=b"
    html = client.get("/login/").content.decode()
    assert f'data-theme="{theme}"' in html
    assert f'value="{theme}" aria-pressed="true"' in html


def test_the_system_decides_unless_told_otherwise(client: Client) -> None:
    html = client.get("/login/").content.decode()
    assert "data-theme=" not in html
    assert 'value="system" aria-pressed="true"' in html


@pytest.mark.parametrize("theme", ["", "system", "pink", '"><script>'])
def test_anything_else_means_the_systems(client: Client, theme: str) -> None:
    client.cookies["theme"] = "dark"
    client.post(reverse("web:set_theme"), {"theme": theme})
    assert client.cookies["theme"].value == "system"
    assert "data-theme=" not in client.get("/login/").content.decode()


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example/", "javascript:1", ""])
def test_the_way_back_stays_on_this_site(client: Client, target: str) -> None:
    response = client.post(reverse("web:set_theme"), {"theme": "dark", "next": target})
    assert response["Location"] == "/"


def test_a_link_cannot_change_it(client: Client) -> None:
    assert client.get(reverse("web:set_theme"), {"theme": "dark"}).status_code == 405


def test_a_forged_cookie_is_not_rendered() -> None:
    request = RequestFactory().get("/", headers={"cookie": 'theme=x" onload="1'})
    assert get_theme(request) == ""
