"""What a provider knows a tenant by: stable at one provider, unlinkable between two."""

import base64

from django.utils.crypto import salted_hmac

_SALT = "marketplace.partners.pseudonyms"


def pseudonym_of(*, organisation_public_id: str, provider_public_id: str) -> str:
    """``tnt_`` and 26 characters; follows from SECRET_KEY, so nothing is stored."""
    digest = salted_hmac(
        _SALT, f"{provider_public_id}|{organisation_public_id}", algorithm="sha256"
    ).digest()
    return f"tnt_{base64.b32encode(digest).decode().lower()[:26]}"
