"""The room's own mails (allauth writes those about passwords and addresses)."""

from django.conf import settings
from django.core.mail import send_mail
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import translation

from accounts.models import Invitation, User


def send_invitation(*, invitation: Invitation, token: str) -> None:
    """In the language of the invited person when they have an account, else of the inviter."""
    invited = User.objects.filter(email=invitation.email).first()
    reader = invited or invitation.invited_by
    context = {
        "invitation": invitation,
        "organisation": invitation.organisation,
        "inviter": invitation.invited_by,
        "link": settings.SITE_URL + reverse("accounts:open_invitation", args=[token]),
        "site_name": settings.SITE_NAME,
        "days": settings.INVITATION_DAYS,
    }
    with translation.override(reader.language if reader else settings.LANGUAGE_CODE):
        subject = render_to_string("accounts/mail/invitation_subject.txt", context)
        body = render_to_string("accounts/mail/invitation_message.txt", context)
    send_mail(" ".join(subject.split()), body, settings.DEFAULT_FROM_EMAIL, [invitation.email])
