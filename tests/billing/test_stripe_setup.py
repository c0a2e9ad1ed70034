"""Stripe is on when it is set up whole, and never plays at selling on a site that is reachable."""

import os
import subprocess
import sys

import pytest
from django.test import Client

from marketplace.billing.checks import check_payments
from marketplace.billing.payment_provider import PaymentsUnavailable
from marketplace.billing.providers import get_default_provider, list_payment_providers

SIGNING_KEY = "whsec_" + "x" * 32
LIVE = {"STRIPE_SECRET_KEY": "sk_live_x", "STRIPE_WEBHOOK_SECRET": SIGNING_KEY}
TEST = {"STRIPE_SECRET_KEY": "sk_test_x", "STRIPE_WEBHOOK_SECRET": SIGNING_KEY}


def ids() -> list[str]:
    return [str(problem.id) for problem in check_payments()]


@pytest.fixture
def configure(settings):
    def change(**changes: object) -> None:
        for name, value in {"SANDBOX_PAYMENTS": False, **changes}.items():
            setattr(settings, name, value)

    return change


@pytest.mark.parametrize(
    ("changes", "livemode"),
    [
        ({**LIVE, "SERVED_OVER_HTTPS": True}, True),
        ({**LIVE, "STRIPE_SECRET_KEY": "rk_live_x", "SERVED_OVER_HTTPS": True}, True),
        (TEST, False),
        ({**TEST, "STRIPE_SECRET_KEY": "rk_test_x"}, False),
    ],
)
def test_set_up_whole(configure, changes: dict[str, object], livemode: bool) -> None:
    configure(**changes)
    assert ids() == []
    provider = get_default_provider()
    assert (provider.name, provider.livemode) == ("stripe", livemode)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"STRIPE_SECRET_KEY": "sk_live_x"}, "billing.E006"),
        ({"STRIPE_WEBHOOK_SECRET": SIGNING_KEY}, "billing.E006"),
        ({**LIVE, "STRIPE_SECRET_KEY": "pk_live_x"}, "billing.E007"),
        ({**LIVE, "STRIPE_WEBHOOK_SECRET": "sk_live_x"}, "billing.E007"),
        ({**LIVE, "STRIPE_WEBHOOK_SECRET": " "}, "billing.E007"),
        ({**LIVE, "STRIPE_WEBHOOK_SECRET": "whsec_"}, "billing.E007"),
        ({**TEST, "SERVED_OVER_HTTPS": True}, "billing.E008"),
    ],
)
def test_set_up_wrong_takes_no_payments(configure, changes: dict[str, object], found: str) -> None:
    configure(**changes)
    assert ids() == [found]
    # Another way of paying stays as it is.
    assert [provider.name for provider in list_payment_providers()] == ["bank"]
    with pytest.raises(PaymentsUnavailable):
        get_default_provider()
    answer = Client().post("/webhooks/payments/stripe/", data=b"{}", content_type="text/plain")
    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({**TEST, "SECURE_PROXY_SSL_HEADER": ("X", "https")}, "billing.E008"),
        ({**TEST, "ALLOWED_HOSTS": ["market.example"]}, "billing.E008"),
        ({**LIVE, "STRIPE_API_URL": "http://stripe.example"}, "billing.E009"),
    ],
)
def test_set_up_dangerously(configure, changes: dict[str, object], found: str) -> None:
    configure(**changes)
    assert ids() == [found]


def test_the_check_says_what_is_missing(configure) -> None:
    configure(STRIPE_SECRET_KEY="sk_live_x")
    [problem] = check_payments()
    assert problem.hint is not None
    assert "STRIPE_WEBHOOK_SECRET" in problem.hint


def test_a_site_set_up_by_half_does_not_start(tmp_path) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "check", "--tag", "billing"],
        env={
            **os.environ,
            "SANDBOX_PAYMENTS": "false",
            "STRIPE_SECRET_KEY": "sk_live_never_said",
            "TOKENWORKS_VAR": str(tmp_path),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "billing.E006" in done.stderr
    assert "never_said" not in done.stderr + done.stdout


@pytest.mark.parametrize(
    ("environment", "origins"),
    [
        ({}, []),
        ({"STRIPE_SECRET_KEY": "sk_test_x"}, ["https://checkout.stripe.com"]),
        (
            {"STRIPE_SECRET_KEY": "x", "STRIPE_PAY_PAGE_ORIGIN": "https://pay.example"},
            ["https://pay.example"],
        ),
    ],
)
def test_forms_may_lead_to_the_pay_page_of_the_site(
    tmp_path, environment: dict[str, str], origins: list[str]
) -> None:
    script = (
        "from portal import settings;"
        "print(*settings.CONTENT_SECURITY_POLICY['DIRECTIVES']['form-action'][2:])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **environment, "TOKENWORKS_VAR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == origins
