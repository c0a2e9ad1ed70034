"""What must never start: played money beside real money or on a public site."""

import os
import subprocess
import sys

import pytest

from marketplace.billing.checks import check_payments
from marketplace.billing.payment_provider import PaymentsUnavailable
from marketplace.billing.providers import (
    get_default_provider,
    get_payment_provider,
    sandbox_is_allowed,
)


def ids() -> list[str]:
    return [str(problem.id) for problem in check_payments()]


def test_the_embedded_defaults_are_fine() -> None:
    assert ids() == []
    assert sandbox_is_allowed()
    assert get_default_provider().name == "sandbox"


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("SERVED_OVER_HTTPS", True, "billing.E001"),
        ("STRIPE_SECRET_KEY", "sk_live_x", "billing.E002"),
        ("STRIPE_SECRET_KEY", "rk_live_x", "billing.E002"),
        ("STRIPE_SECRET_KEY", "sk_test_x", "billing.E002"),
    ],
)
def test_the_sandbox_is_refused(settings, name: str, value: object, found: str) -> None:
    setattr(settings, name, value)
    if name.startswith("STRIPE"):
        settings.STRIPE_WEBHOOK_SECRET = "whsec_" + "x" * 32
    assert ids() == [found]
    assert not sandbox_is_allowed()
    with pytest.raises(PaymentsUnavailable):
        get_payment_provider("sandbox")
    settings.SANDBOX_PAYMENTS = False
    assert ids() == []


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("TARIFF_CURRENCY", "XYZ", "billing.E003"),
        ("ORDER_MINUTES", 29, "billing.E004"),
        ("ORDER_MINUTES", 1381, "billing.E004"),
    ],
)
def test_settings_out_of_range_are_refused(settings, name: str, value: object, found: str) -> None:
    setattr(settings, name, value)
    assert ids() == [found]


def test_a_https_site_does_not_start_with_the_sandbox(tmp_path) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "check", "--tag", "billing"],
        env={**os.environ, "SITE_URL": "https://market.example", "TOKENWORKS_VAR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "billing.E001" in done.stderr
