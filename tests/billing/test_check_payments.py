"""``manage.py check_payments``: what is set up wrong at Stripe is said before a buyer meets it."""

from typing import Any

import pytest
from django.core.management import CommandError, call_command

from marketplace.billing.stripe.events import EVENT_TYPES
from tests.fakes.stripe_server import FakeStripe
from tests.fakes.stripe_server_api import Fault

URL = "https://market.example.com/webhooks/payments/stripe/"


@pytest.fixture
def account(fake_stripe: FakeStripe, settings: Any) -> FakeStripe:
    """Set up as docs/payments.md says."""
    settings.SITE_URL = "https://market.example.com"
    fake_stripe.account.setup.add_endpoint(URL, sorted(EVENT_TYPES))
    return fake_stripe


def run(capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code and output."""
    try:
        call_command("check_payments")
    except SystemExit as stopped:
        return int(str(stopped.code)), capsys.readouterr().out
    return 0, capsys.readouterr().out


def test_an_account_that_is_set_up_well(
    account: FakeStripe, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = run(capsys)
    assert (code, said.count("WRONG"), said.count("not seen")) == (0, 0, 0)
    assert "test mode, no money moves" in said
    assert f"Events are sent to {URL}" in said
    assert not account.account.sessions
    assert not account.account.money_back.refunds
    assert not account.account.events


@pytest.mark.parametrize(
    ("denied", "said"),
    [
        (("GET", "events"), "may not read Events"),
        (("GET", "checkout/sessions"), "may not read Checkout Sessions"),
        (("POST", "checkout/sessions"), "may not write Checkout Sessions"),
        (("POST", "payment_intents"), "may not write PaymentIntents"),
        (("POST", "customers"), "may not write Customers"),
        (("POST", "payment_methods"), "may not write PaymentMethods"),
        (("GET", "setup_intents"), "may not read SetupIntents"),
        (("GET", "charges"), "may not read Charges"),
        (("GET", "refunds"), "may not read Refunds"),
        (("POST", "refunds"), "may not write Refunds"),
        (("GET", "disputes"), "may not read Disputes"),
        (("GET", "balance_transactions"), "may not read Balance transaction sources"),
    ],
)
def test_a_key_that_may_too_little(
    account: FakeStripe,
    capsys: pytest.CaptureFixture[str],
    denied: tuple[str, str],
    said: str,
) -> None:
    account.account.setup.denied.add(denied)
    code, output = run(capsys)
    assert (code, output.count("WRONG")) == (1, 1)
    assert said in output


@pytest.mark.parametrize("resource", ["account", "payment_method_configurations"])
def test_what_the_key_need_not_see_is_left_to_people(
    account: FakeStripe, capsys: pytest.CaptureFixture[str], resource: str
) -> None:
    account.account.setup.denied.add(("GET", resource))
    code, output = run(capsys)
    assert (code, output.count("not seen"), output.count("WRONG")) == (0, 1, 0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"status": "disabled"}, "switched off"),
        ({"livemode": True}, "other mode"),
        ({"url": URL.rstrip("/")}, "must end as here"),
        ({"url": "https://elsewhere.example.com/"}, "No webhook endpoint for"),
        (
            {"enabled_events": sorted(EVENT_TYPES.keys() - {"refund.failed"})},
            "not told of: refund.failed.",
        ),
    ],
)
def test_a_webhook_that_would_not_reach_us(
    account: FakeStripe,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, object],
    said: str,
) -> None:
    account.account.setup.endpoints[0] |= change
    code, output = run(capsys)
    assert (code, output.count("WRONG")) == (1, 1)
    assert said in output


def test_all_events_are_enough_and_two_endpoints_too_many(
    account: FakeStripe, capsys: pytest.CaptureFixture[str]
) -> None:
    account.account.setup.endpoints[0]["enabled_events"] = ["*"]
    assert run(capsys)[0] == 0
    account.account.setup.add_endpoint(URL, ["*"])
    code, output = run(capsys)
    assert code == 1
    assert "Several endpoints" in output


def test_an_account_that_takes_no_payments_and_lacks_a_method(
    account: FakeStripe, capsys: pytest.CaptureFixture[str]
) -> None:
    account.account.setup.charges_enabled = False
    account.account.setup.methods.discard("wechat_pay")
    code, output = run(capsys)
    assert (code, output.count("WRONG")) == (1, 2)
    assert "complete its profile" in output
    assert "Payment by wechat_pay is not on" in output


@pytest.mark.parametrize(("is_set_up", "code"), [(True, 0), (False, 1)])
def test_stripe_tax_is_looked_at_where_it_is_on(
    account: FakeStripe,
    capsys: pytest.CaptureFixture[str],
    settings: Any,
    is_set_up: bool,
    code: int,
) -> None:
    settings.STRIPE_TAX = True
    account.account.setup.has_tax = is_set_up
    found, output = run(capsys)
    assert found == code
    assert "Stripe Tax is" in output


def test_a_key_that_stripe_does_not_know(
    account: FakeStripe, capsys: pytest.CaptureFixture[str], settings: Any
) -> None:
    settings.STRIPE_SECRET_KEY = "sk_test_another"
    code, output = run(capsys)
    assert code == 1
    assert "does not know the key" in output
    assert "another" not in output


def test_stripe_that_cannot_be_asked(
    account: FakeStripe, capsys: pytest.CaptureFixture[str]
) -> None:
    account.break_next(Fault.DROPPED_BEFORE, times=3)
    code, output = run(capsys)
    assert code == 1
    assert "cannot be asked now" in output


def test_without_a_key_there_is_nothing_to_check() -> None:
    with pytest.raises(CommandError, match="not set up"):
        call_command("check_payments")
