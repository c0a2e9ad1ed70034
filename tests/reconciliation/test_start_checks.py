"""Settings that would keep findings from staff stop the start."""

from typing import Any

import pytest

from marketplace.reconciliation.start_checks import check_settings

GOOD = {
    "STAFF_WEBHOOK_URL": "https://hooks.example.com/findings",
    "STAFF_WEBHOOK_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
}


def test_the_defaults_are_sound_and_so_is_a_webhook(settings: Any) -> None:
    assert check_settings(None) == []
    for name, value in GOOD.items():
        setattr(settings, name, value)
    assert check_settings(None) == []


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("RECONCILE_SAMPLE", 0, "E001"),
        ("RECONCILE_MAX_REPAIRS", -1, "E001"),
        ("STAFF_WEBHOOK_URL", "http://hooks.example.com/", "E002"),
        ("STAFF_WEBHOOK_SECRET", "secret", "E002"),
    ],
)
def test_broken_settings(settings: Any, name: str, value: object, code: str) -> None:
    for known, good in GOOD.items():
        setattr(settings, known, good)
    setattr(settings, name, value)
    assert [error.id for error in check_settings(None)] == [f"reconciliation.{code}"]
