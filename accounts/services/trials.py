"""The trial: once per organisation, per company domain and per person."""

import hashlib
from datetime import datetime

from django.db import IntegrityError, transaction

from accounts.models import Organisation, TrialClaim
from accounts.public_mail import PUBLIC_MAIL_DOMAINS


def claim_trial(*, organisation: Organisation, email: str, now: datetime) -> bool:
    """Whether the organisation may have its trial lot now; True only the first time.

    False when it was claimed already: by this organisation, by this person (a "+tag" in the
    address changes nothing), or by another organisation with the same e-mail domain, unless that
    is a public mail provider's. The database's constraints decide, so simultaneous claims are
    safe. The caller grants the lot in the same transaction.
    """
    local, _at, domain = email.strip().lower().rpartition("@")
    person = f"{local.partition('+')[0]}@{domain}"
    try:
        with transaction.atomic():
            TrialClaim.objects.create(
                organisation=organisation,
                email_domain=None if domain in PUBLIC_MAIL_DOMAINS else domain,
                address_digest=hashlib.sha256(person.encode()).hexdigest(),
                claimed_at=now,
            )
    except IntegrityError:
        return False
    return True
