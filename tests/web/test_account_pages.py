"""Every page of signing in and two-factor: one H1, our layout, nothing inline, both languages."""

import re
from collections.abc import Callable

import pytest
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from django.template.loader import get_template
from django.test import Client
from django.urls import reverse

from accounts.models import User
from tests.cast import PASSWORD, give_second_factor, signed_in

ANONYMOUS = [
    ("account_login", {}),
    ("account_signup", {}),
    ("account_reset_password", {}),
    ("account_reset_password_done", {}),
    ("account_reset_password_from_key", {"uidb36": "abc", "key": "def"}),
    ("account_reset_password_from_key_done", {}),
    ("account_email_verification_sent", {}),
    ("account_verify", {}),
    ("account_inactive", {}),
]
OWN = [
    "account_email",
    "account_change_password",
    "account_reauthenticate",
    "account_logout",
    "mfa_index",
    "mfa_activate_totp",
    "mfa_list_webauthn",
    "mfa_add_webauthn",
    "usersessions_list",
]
WITH_SECOND_FACTOR = [
    "mfa_index",
    "mfa_deactivate_totp",
    "mfa_reauthenticate",
    "mfa_view_recovery_codes",
    "mfa_generate_recovery_codes",
]


def check_page(html: str) -> None:
    """What the strict CSP and a screen reader ask of any page."""
    assert html.count("<h1") == 1
    assert html.count('<main id="main"') == 1
    assert 'href="#main"' in html
    assert " style=" not in html
    assert "<style" not in html
    assert not re.search(r"\son[a-z]+=", html)
    for attributes, body in re.findall(r"<script([^>]*)>(.*?)</script>", html, re.DOTALL):
        assert "src=" in attributes or 'type="application/json"' in attributes, body
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    for control in re.findall(r"<(?:input|select|textarea)[^>]*>", html):
        if 'type="hidden"' not in control and 'type="radio"' not in control:
            control_id = re.search(r'\bid="([^"]+)"', control)
            assert control_id, control
            assert f'for="{control_id.group(1)}"' in html


@pytest.fixture(params=["en", "zh-hans"])
def speak(request: pytest.FixtureRequest) -> Callable[[Client], Client]:
    """Sets a browser's language."""

    def set_language(client: Client) -> Client:
        client.cookies["django_language"] = request.param
        return client

    return set_language


@pytest.mark.django_db
@pytest.mark.parametrize(("name", "kwargs"), ANONYMOUS)
def test_doors(
    name: str, kwargs: dict[str, str], client: Client, speak: Callable[[Client], Client]
) -> None:
    response = speak(client).get(reverse(name, kwargs=kwargs))
    assert response.status_code == 200
    check_page(response.content.decode())


@pytest.mark.parametrize("name", OWN)
def test_a_persons_own_pages(name: str, ada: User, speak: Callable[[Client], Client]) -> None:
    response = speak(signed_in(ada)).get(reverse(name))
    assert response.status_code == 200
    check_page(response.content.decode())


@pytest.mark.parametrize("name", WITH_SECOND_FACTOR)
def test_pages_of_those_with_a_second_factor(
    name: str, ada: User, speak: Callable[[Client], Client]
) -> None:
    give_second_factor(ada)
    RecoveryCodes.activate(ada)
    response = speak(signed_in(ada)).get(reverse(name))
    assert response.status_code == 200
    check_page(response.content.decode())


def test_the_second_factor_is_asked_for_in_our_words(ada: User, client: Client) -> None:
    give_second_factor(ada)
    response = client.post(
        reverse("account_login"), {"login": ada.email, "password": PASSWORD}, follow=True
    )
    html = response.content.decode()
    check_page(html)
    assert "Second factor" in html


def test_a_refused_sign_in_is_summed_up_and_titled(ada: User, client: Client) -> None:
    response = client.post(reverse("account_login"), {"login": ada.email, "password": "wrong"})
    html = response.content.decode()
    check_page(html)
    assert "<title>Error: Sign in" in html
    assert "data-error-summary" in html
    assert ada.email in html
    assert "wrong" not in re.findall(r'value="([^"]*)"', html)


@pytest.mark.parametrize(
    "name",
    [
        "account/email.html",
        "account/password_set.html",
        "account/signup_closed.html",
        "account/verified_email_required.html",
        "account/confirm_login_code.html",
        "account/request_login_code.html",
        "mfa/trust.html",
        "mfa/webauthn/edit_form.html",
        "mfa/webauthn/authenticator_confirm_delete.html",
        "mfa/webauthn/reauthenticate.html",
    ],
)
def test_pages_that_a_setting_or_a_key_opens_stand_on_our_layouts(name: str) -> None:
    """Those that this suite cannot reach by address compile and descend from base.html."""
    template = get_template(name).template  # type: ignore[attr-defined]
    seen = []
    while template:
        seen.append(template.name)
        parents = [node for node in template.nodelist if hasattr(node, "parent_name")]
        if not parents:
            break
        template = get_template(parents[0].parent_name.var).template  # type: ignore[attr-defined]
    assert seen[-1] == "base.html"
