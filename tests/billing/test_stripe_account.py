"""The steps that ``make stripe`` tries at the real Stripe, against the fake; and without a key."""

import subprocess
import sys

from tests.fakes.stripe_server import FakeStripe
from tests.stripe_account.steps import walk


def test_the_fake_does_what_is_asked_of_stripe(fake_stripe: FakeStripe) -> None:
    assert len(list(walk(patience=0))) == 16
    assert all(one["status"] == "expired" for one in fake_stripe.account.sessions.values())


def test_without_a_key_nothing_is_tried() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.stripe_account"],
        env={"STRIPE_TEST_KEY": "sk_live_never"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout[:18]) == (2, "Nothing was tried:")
