"""The keys that grants are signed with: made when first needed, rotated, published."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from marketplace.partners.models import SigningKey
from marketplace.partners.tokens import new_key_pair
from portal.kernel.public_ids import new_public_id

# Providers may keep the key set for this long, and a grant lives a little longer still.
JWKS_MAX_AGE = timedelta(minutes=5)


def get_signing_key(*, now: datetime) -> SigningKey:
    """The newest key that is not retired; the first one is made here.

    Two processes that start at once may make one each; both are published and either will do.
    """
    current = SigningKey.objects.filter(retired_at__isnull=True).order_by("-pk").first()
    return current or _make_key(now)


def rotate_signing_key(*, now: datetime) -> SigningKey:
    """A new key for new grants. The old ones stay published until their grants have run out."""
    with transaction.atomic():
        fresh = _make_key(now)
        SigningKey.objects.filter(retired_at__isnull=True).exclude(pk=fresh.pk).update(
            retired_at=now
        )
    return fresh


def list_published_keys(*, now: datetime) -> list[dict[str, str]]:
    """The JSON Web Key Set's keys: those in use, and retired ones whose grants may still live."""
    kept = timedelta(seconds=settings.DIRECT_GRANT_SECONDS) + JWKS_MAX_AGE
    get_signing_key(now=now)
    keys = SigningKey.objects.order_by("-pk")
    return [key.public_jwk for key in keys if key.retired_at is None or key.retired_at > now - kept]


def _make_key(now: datetime) -> SigningKey:
    key_id = new_public_id("sig")
    pem, jwk = new_key_pair(key_id)
    return SigningKey.objects.create(key_id=key_id, private_pem=pem, public_jwk=jwk, created_at=now)
