"""What comes of a visit to Stripe's page, where it differs from the sandbox's."""

from typing import Any

import pytest

from accounts.models import AuditEvent, Organisation, User
from marketplace.billing import services
from marketplace.billing.models import Attempt, Pack
from marketplace.billing.payment_provider import PaymentsUnavailable
from portal.kernel.clock import utc_now
from tests.billing.processors import StripeProcessor, deliver, stand_before_pay_page
from tests.billing.shop import credited_once, start_order, untouched
from tests.cast import signed_in
from tests.fakes.stripe_server import FakeStripe

pytestmark = pytest.mark.django_db


def test_a_decline_leaves_the_page_open_for_another_card(
    fake_stripe: FakeStripe, acme: Organisation, team_pack: Pack
) -> None:
    order, session_id = stand_before_pay_page(acme, team_pack)
    page = services.open_payment(order=order, now=utc_now())
    deliver(StripeProcessor(fake_stripe), *fake_stripe.account.decline(session_id))
    assert untouched(order)
    assert (order.status, order.failure_code) == ("pending", "")
    assert services.open_payment(order=order, now=utc_now()) == page
    deliver(StripeProcessor(fake_stripe), *fake_stripe.account.pay(session_id))
    assert credited_once(order)


def test_money_that_never_came_fails_the_order_and_the_next_try_is_another_session(
    fake_stripe: FakeStripe, acme: Organisation, team_pack: Pack
) -> None:
    order, first = stand_before_pay_page(acme, team_pack)
    stripe_side = StripeProcessor(fake_stripe)
    deliver(stripe_side, *stripe_side.pay_later(first))
    deliver(stripe_side, *fake_stripe.account.lose_money(first))
    assert untouched(order)
    assert (order.status, order.failure_code) == ("failed", "payment_method_provider_decline")
    assert AuditEvent.objects.filter(action="order.declined").count() == 1
    services.open_payment(order=order, now=utc_now())
    order.refresh_from_db()
    second = order.provider_session_id
    assert second not in (None, first)
    assert [one.state for one in Attempt.objects.order_by("number")] == ["closed", "created"]
    deliver(stripe_side, *stripe_side.pay(str(second)))
    assert credited_once(order)


def test_a_session_that_needed_no_payment_credits_nothing(
    fake_stripe: FakeStripe, acme: Organisation, team_pack: Pack
) -> None:
    order, session_id = stand_before_pay_page(acme, team_pack)
    fake_stripe.account.sessions[session_id] |= {
        "status": "complete",
        "payment_status": "no_payment_required",
    }
    assert not services.settle_order(order_public_id=order.public_id, now=utc_now())
    assert untouched(order)


def test_real_money_does_not_pay_an_order_of_test_mode(
    fake_stripe: FakeStripe, acme: Organisation, team_pack: Pack
) -> None:
    order, session_id = stand_before_pay_page(acme, team_pack)
    fake_stripe.account.pay(session_id)
    fake_stripe.account.sessions[session_id]["livemode"] = True
    assert not services.settle_order(order_public_id=order.public_id, now=utc_now())
    assert untouched(order)
    assert order.failure_code == "mismatch"


def test_the_form_leads_to_stripes_page(
    fake_stripe: FakeStripe, acme: Organisation, ada: User, team_pack: Pack
) -> None:
    client = signed_in(ada)
    review = client.get("/o/acme/buy/", {"pack": "team", "currency": "USD"})
    answer = client.post("/o/acme/buy/", dict(review.context["form"].initial))
    assert answer.status_code == 302
    assert answer["Location"].startswith("https://checkout.stripe.com/c/pay/cs_test_")
    assert len(answer["Location"]) > 900


def test_an_order_that_stripe_cannot_open_now_says_so(
    fake_stripe: FakeStripe, acme: Organisation, team_pack: Pack
) -> None:
    order = start_order(acme, team_pack)
    fake_stripe.stop()
    with pytest.raises(PaymentsUnavailable):
        services.open_payment(order=order, now=utc_now())
    order.refresh_from_db()
    assert (order.status, Attempt.objects.get().state) == ("draft", "started")


@pytest.mark.parametrize(("key", "said"), [("sk_test_x", True), ("sk_live_x", False)])
def test_test_mode_says_that_no_money_moves(
    ada: User, team_pack: Pack, settings: Any, key: str, said: bool
) -> None:
    settings.SANDBOX_PAYMENTS = False
    settings.STRIPE_SECRET_KEY = key
    settings.STRIPE_WEBHOOK_SECRET = "whsec_" + "x" * 32
    page = signed_in(ada).get("/o/acme/buy/", {"pack": "team"}).content.decode()
    assert ("Test mode: no money moves" in page) is said
    assert ("card data never reaches us" in page) is not said
