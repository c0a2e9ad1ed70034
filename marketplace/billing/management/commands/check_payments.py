"""Look at the account at Stripe before the first buyer does: ``manage.py check_payments``."""

import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.urls import reverse

from marketplace.billing.providers import stripe_is_in_test_mode, stripe_is_set_up
from marketplace.billing.stripe.adapter import StripeProvider
from marketplace.billing.stripe.inspection import Verdict, inspect_account


class Command(BaseCommand):
    """Asks Stripe, changes nothing; exits 1 when something would keep payments from working."""

    help = "Check key, permissions, payment methods and webhook of the Stripe account; else exit 1."

    def handle(self, *args: Any, **options: Any) -> None:
        if not stripe_is_set_up():
            raise CommandError("Stripe is not set up: STRIPE_SECRET_KEY, STRIPE_WEBHOOK_SECRET.")
        path = reverse("billing:inbox", kwargs={"provider": StripeProvider.name})
        wrong = 0
        for seen in inspect_account(
            webhook_url=settings.SITE_URL + path, livemode=not stripe_is_in_test_mode()
        ):
            self.stdout.write(f"{seen.verdict:>8}  {seen.text}")
            wrong += seen.verdict is Verdict.WRONG
        if wrong:
            sys.exit(1)
        self.stdout.write(
            "Nothing is wrong that can be seen from here. Now buy the cheapest pack yourself."
        )
