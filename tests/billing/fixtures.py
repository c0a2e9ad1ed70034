"""The standard pack on the shelf, and the payment providers that it is paid through."""

from collections.abc import Iterator
from typing import Any

import pytest
import stripe

from marketplace.billing.models import Pack
from tests.billing.processors import Processor, SandboxProcessor, StripeProcessor
from tests.billing.shop import make_pack
from tests.fakes.stripe_server import WEBHOOK_SECRET, FakeStripe
from tests.fakes.stripe_server_api import SECRET_KEY


@pytest.fixture
def team_pack(db: None) -> Pack:
    """100M tokens and 5M bonus for $95, €89 or ¥14,500; a year."""
    return make_pack()


@pytest.fixture
def fake_stripe(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeStripe]:
    """A site that takes payments through Stripe, and Stripe as far as it knows."""
    monkeypatch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0.01)
    monkeypatch.setattr(stripe.HTTPClient, "MAX_DELAY", 0.05)
    fake = FakeStripe()
    settings.SANDBOX_PAYMENTS = False
    settings.STRIPE_SECRET_KEY = SECRET_KEY
    settings.STRIPE_WEBHOOK_SECRET = WEBHOOK_SECRET
    settings.STRIPE_API_URL = fake.url
    fake.start()
    yield fake
    fake.stop()
    assert not fake.problems


@pytest.fixture(params=["sandbox", "stripe"])
def processor(request: pytest.FixtureRequest) -> Processor:
    """Each provider in turn, as the only one of the site."""
    if request.param == "sandbox":
        return SandboxProcessor()
    return StripeProcessor(request.getfixturevalue("fake_stripe"))
