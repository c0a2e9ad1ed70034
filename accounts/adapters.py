"""How allauth meets the house: whose language a mail has, what a proved address leads to, how
secrets of second factors are kept."""

from typing import Any
from urllib.parse import urlsplit, urlunsplit

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.models import EmailAddress
from allauth.mfa.adapter import DefaultMFAAdapter
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import translation

from accounts import services
from accounts.access import note_sign_in
from accounts.models import User
from portal.kernel.clock import utc_now
from portal.kernel.encryption import decrypt, encrypt


class AccountAdapter(DefaultAccountAdapter):
    """Accounts of people."""

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """In the reader's language; strangers get that of the page they were on.

        Links lead to the site's own address: allauth takes the host that the request named,
        which whoever asks for the mail may choose.
        """
        reader = User.objects.filter(email=email.lower()).first()
        # allauth would call the site by its host name.
        site = {"name": settings.SITE_NAME, "url": settings.SITE_URL}
        links = {name: _at_site(value) for name, value in context.items() if name.endswith("_url")}
        with translation.override(reader.language if reader else translation.get_language()):
            super().send_mail(template_prefix, email, {**context, **links, "current_site": site})

    def confirm_email(self, request: HttpRequest, email_address: EmailAddress) -> bool:
        confirmed = super().confirm_email(request, email_address)
        if confirmed:
            self._verify_organisations(request, email_address.user)
        return confirmed

    def login(self, request: HttpRequest, user: User) -> None:
        """Every way in passes here; ``recent_sign_in_required`` asks how long ago that was."""
        super().login(request, user)
        note_sign_in(request)

    def post_login(self, request: HttpRequest, user: User, **kwargs: Any) -> HttpResponse:
        """Go on in the person's language; catch up on what a crash cut off at verification."""
        self._verify_organisations(request, user)
        response = super().post_login(request, user, **kwargs)
        remember_language(response, user.language)
        return response

    def _verify_organisations(self, request: HttpRequest, user: User) -> None:
        services.verify_organisations(
            user=user, actor=services.actor_of_person(user, request), now=utc_now()
        )


class MfaAdapter(DefaultMFAAdapter):
    """Second factors."""

    def encrypt(self, text: str) -> str:
        return encrypt(text)

    def decrypt(self, encrypted_text: str) -> str:
        return decrypt(encrypted_text)

    def _get_site_name(self) -> str:
        return settings.SITE_NAME

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        """Passkeys belong to the site's address, whatever host name a request came by."""
        return {"id": urlsplit(settings.SITE_URL).hostname or "", "name": settings.SITE_NAME}


def _at_site(link: str) -> str:
    parts = urlsplit(link)
    return settings.SITE_URL + urlunsplit(("", "", parts.path, parts.query, parts.fragment))


def remember_language(response: HttpResponse, language: str) -> None:
    """Where Django's LocaleMiddleware looks."""
    response.set_cookie(
        settings.LANGUAGE_COOKIE_NAME,
        language,
        max_age=365 * 24 * 3600,
        secure=settings.LANGUAGE_COOKIE_SECURE,
        samesite="Lax",
    )
