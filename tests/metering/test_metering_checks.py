"""Settings that would break a promise stop the start."""

from typing import Any

import pytest

from marketplace.metering.checks import check_bounds


def test_the_defaults_are_sound() -> None:
    assert check_bounds(None) == []


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("UPSTREAM_TOTAL_SECONDS", 0, "E001"), ("GATEWAY_MAX_BODY_BYTES", -1, "E001"),
        ("HOLD_MARGIN_SECONDS", 5, "E002"), ("GATEWAY_SEND_SECONDS", 300, "E002"),
        ("GATEWAY_KEY_CACHE_SECONDS", 60, "E003"), ("GATEWAY_KEY_CACHE_SECONDS", -1, "E003"),
    ],
)  # fmt: skip
def test_broken_settings(settings: Any, name: str, value: float, code: str) -> None:
    setattr(settings, name, value)
    assert [error.id for error in check_bounds(None)] == [f"metering.{code}"]
