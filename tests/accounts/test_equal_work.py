"""The doors do the same work for known and unknown addresses, so that time tells nothing."""

from typing import Any

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.core import mail
from django.test import Client

from accounts.models import User
from tests.accounts.test_joining import FORM

pytestmark = pytest.mark.django_db


class CountingHasher(PBKDF2PasswordHasher):
    """Counts how often a password is hashed: what an answer at the door costs."""

    iterations = 10
    hashed = 0

    def encode(self, *args: Any, **kwargs: Any) -> str:
        CountingHasher.hashed += 1
        return super().encode(*args, **kwargs)


@pytest.fixture(autouse=True)
def _counted(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["tests.accounts.test_equal_work.CountingHasher"]


def cost_of(path: str, **form: str) -> tuple[int, int, int]:
    """Hashes, mails and the status of one POST by a stranger."""
    CountingHasher.hashed, before = 0, len(mail.outbox)
    answer = Client().post(path, form)
    return CountingHasher.hashed, len(mail.outbox) - before, answer.status_code


def test_joining(ada: User) -> None:
    new = cost_of("/join/", **FORM)
    known = cost_of("/join/", **{**FORM, "email": ada.email})
    assert new == known == (1, 1, 302)
    assert User.objects.count() == 2


def test_signing_in(ada: User) -> None:
    known = cost_of("/login/", login=ada.email, password="guess")
    unknown = cost_of("/login/", login="nobody@acme.example", password="guess")
    assert known == unknown == (1, 0, 200)


def test_resetting(ada: User) -> None:
    known = cost_of("/reset/", email=ada.email)
    unknown = cost_of("/reset/", email="nobody@acme.example")
    assert known == unknown == (0, 1, 302)
