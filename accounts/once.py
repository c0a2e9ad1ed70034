"""Forms whose answer shows a secret: sent again (a double click, a reload), they do nothing."""

import secrets

from django.core.cache import cache

from accounts.models import User

ONCE_SECONDS = 24 * 3600


def new_once() -> str:
    """What a form carries in a hidden field to be known by."""
    return secrets.token_hex(16)


def is_first_time(user: User, once: str) -> bool:
    """Whether this person did not send this very form before; from now on they have."""
    return bool(cache.add(f"accounts:once:{user.pk}:{once[:40]}", True, ONCE_SECONDS))
