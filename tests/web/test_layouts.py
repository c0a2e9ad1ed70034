"""The frames of pages: every link in them exists, and each leads where its visitor may go."""

import re
from typing import Any

import pytest
from django.test import Client

from accounts.models import Organisation, User
from tests.cast import signed_in

MOST_ITEMS = 9


def side_navigation(html: str) -> list[str]:
    """The addresses in the side navigation."""
    navigation = re.search(r'<nav class="sidenav".*?</nav>', html, re.DOTALL)
    assert navigation
    return re.findall(r'href="([^"]+)"', navigation.group(0))


def test_the_organisations_navigation_leads_everywhere(acme: Organisation, ada: User) -> None:
    browser = signed_in(ada)
    links = side_navigation(browser.get("/o/acme/").content.decode())
    assert len(links) == MOST_ITEMS
    for link in links:
        response = browser.get(link)
        assert response.status_code == 200, link
        html = response.content.decode()
        assert f'href="{link}" aria-current="page"' in html
        assert "Acme Ltd" in html


def test_the_balance_is_on_every_page_of_an_organisation(acme: Organisation, ada: User) -> None:
    html = signed_in(ada).get("/o/acme/team/").content.decode()
    assert re.search(r'class="balance" href="/o/acme/wallet/"', html)
    assert "0 tokens" in html
    assert "Not enough usage yet" in html


def test_the_operators_navigation_leads_everywhere(sam: User) -> None:
    browser = signed_in(sam)
    links = side_navigation(browser.get("/ops/").content.decode())
    assert len(links) >= 4
    for link in links:
        assert browser.get(link).status_code == 200, link


def test_a_persons_own_pages_belong_to_no_organisation(ada: User) -> None:
    browser = signed_in(ada)
    html = browser.get("/account/email/").content.decode()
    links = side_navigation(html)
    assert 4 <= len(links) <= MOST_ITEMS
    for link in links:
        assert browser.get(link).status_code == 200, link
    assert 'class="balance"' not in html


@pytest.mark.django_db
def test_a_visitor_finds_services_packs_docs_and_the_door(client: Client) -> None:
    html = client.get("/").content.decode()
    topbar = html[html.index('<header class="topbar"') : html.index("</header>")]
    links = set(re.findall(r'href="(/[^"]*)"', topbar))
    assert links == {"/", "/services/", "/packs/", "/docs/", "/login/", "/join/"}
    for link in links:
        assert client.get(link).status_code == 200, link


def test_somebody_signed_in_is_led_to_their_organisation(ada: User) -> None:
    html = signed_in(ada).get("/services/").content.decode()
    topbar = html[html.index('<header class="topbar"') : html.index("</header>")]
    assert 'href="/o/"' in topbar
    assert 'href="/login/"' not in topbar


@pytest.mark.django_db
@pytest.mark.parametrize("sandbox", [True, False])
def test_played_payments_are_said_on_every_page(
    client: Client, settings: Any, sandbox: bool
) -> None:
    settings.SANDBOX_PAYMENTS = sandbox
    assert ("Test mode: no money moves" in client.get("/login/").content.decode()) is sandbox


@pytest.mark.django_db
def test_the_page_speaks_the_visitors_language(client: Client) -> None:
    client.cookies["django_language"] = "zh-hans"
    html = client.get("/login/").content.decode()
    assert '<html lang="zh-hans"' in html
    assert 'value="zh-hans" lang="zh-hans" aria-pressed="true"' in html
