"""What a newly verified organisation gets: test tokens, and its trial lot once."""

from datetime import datetime, timedelta

from django.conf import settings

from accounts import services as accounts
from accounts.models import Organisation
from marketplace.ledger import services as ledger
from marketplace.ledger.models import AccountKind, LotKind, Unit

MILLITOKENS_PER_TOKEN = 1000


def welcome_organisation(organisation: Organisation, email: str, now: datetime) -> None:
    """Called in the transaction that verifies the organisation; twice is once."""
    grant_test_tokens(organisation, now)
    grant_trial(organisation, email, now)


def grant_test_tokens(organisation: Organisation, now: datetime) -> None:
    """For keys ``tw_test_…``: they reach test services only and are worth nothing."""
    if settings.TEST_TOKENS <= 0:
        return
    face = settings.TEST_TOKENS * MILLITOKENS_PER_TOKEN
    ledger.grant_lot(
        owner_key=organisation.public_id,
        unit=Unit.TEST,
        reference=f"test:{organisation.public_id}",
        kind=LotKind.GRANT,
        face_millitokens=face,
        debits=[(AccountKind.PROMOTION, "operator", face)],
        reason="test",
        now=now,
    )


def grant_trial(organisation: Organisation, email: str, now: datetime) -> bool:
    """Claim and lot in one transaction (the caller's): both or neither. True when granted.

    ``email`` is the verified owner's; see ``accounts.claim_trial`` for who gets nothing. Twice is
    once, also at the same time.
    """
    if settings.TRIAL_TOKENS <= 0:
        return False
    if not accounts.claim_trial(organisation=organisation, email=email, now=now):
        return False
    face = settings.TRIAL_TOKENS * MILLITOKENS_PER_TOKEN
    ledger.grant_lot(
        owner_key=organisation.public_id,
        unit=Unit.LIVE,
        reference=f"trial:{organisation.public_id}",
        kind=LotKind.GRANT,
        face_millitokens=face,
        debits=[(AccountKind.PROMOTION, "operator", face)],
        expires_at=now + timedelta(days=settings.TRIAL_DAYS) if settings.TRIAL_DAYS else None,
        reason="trial",
        now=now,
    )
    accounts.record_audit(
        organisation=organisation,
        actor=accounts.SYSTEM_ACTOR,
        action="trial.granted",
        target_id=organisation.public_id,
        target_label=organisation.name,
        after={"tokens": settings.TRIAL_TOKENS, "days": settings.TRIAL_DAYS},
        now=now,
    )
    return True
