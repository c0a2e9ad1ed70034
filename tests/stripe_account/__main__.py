"""``make stripe STRIPE_TEST_KEY=sk_test_…``: the adapter against the real Stripe, in test mode.

Costs nothing, leaves some test payments in that account, and needs the network. Without a key it
says so and does nothing; the suite runs the same steps against the fake.
"""

import os
import sys
import tempfile


def main() -> int:
    key = os.environ.get("STRIPE_TEST_KEY", "")
    if not key.startswith(("sk_test_", "rk_test_")):
        sys.stdout.write("Nothing was tried: STRIPE_TEST_KEY is not a key of Stripe's test mode.\n")
        return 2
    with tempfile.TemporaryDirectory(prefix="tokenworks-stripe-") as folder:
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "portal.settings",
            "LOG_LEVEL": "CRITICAL",
            "SANDBOX_PAYMENTS": "false",
            "STRIPE_SECRET_KEY": key,
            "STRIPE_WEBHOOK_SECRET": "whsec_" + "x" * 32,  # no event comes here
            "TOKENWORKS_VAR": folder,
        }
        import django

        django.setup()
        from tests.stripe_account.steps import walk

        for done in walk(patience=120):
            sys.stdout.write(f"as expected: {done}\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
