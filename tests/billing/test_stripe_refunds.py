"""Sending a refund through Stripe when answers are lost: the money goes back once."""

from datetime import timedelta

import pytest

from accounts.models import Organisation, User
from marketplace.billing.models import Pack, Refund
from marketplace.billing.payment_provider import PaymentOutcomeUnknown
from marketplace.billing.stripe import client
from marketplace.ledger.models import Lot
from tests.billing.money_back import approve, ask, buy, send, settle, spend
from tests.billing.processors import StripeProcessor
from tests.billing.shop import MILLION
from tests.fakes.stripe_server import FakeStripe
from tests.fakes.stripe_server_api import Fault

pytestmark = pytest.mark.django_db


def test_a_refund_whose_answer_was_lost_days_ago_is_not_sent_again(
    fake_stripe: FakeStripe,
    monkeypatch: pytest.MonkeyPatch,
    acme: Organisation,
    team_pack: Pack,
    sam: User,
) -> None:
    """Stripe has forgotten the key by then, and enough is left of the payment for a second one."""
    monkeypatch.setattr(client, "RETRIES", 0)
    order = buy(acme, team_pack, StripeProcessor(fake_stripe))
    spend(acme, 65 * MILLION)
    request = ask(order, expected=3800)
    approve(request, sam)
    fake_stripe.break_next(Fault.HTML_200_AFTER, method="POST")
    with pytest.raises(PaymentOutcomeUnknown):
        send(request)
    fake_stripe.api.forget_keys()

    assert send(request, later=timedelta(days=3)).state == "done"

    assert len(fake_stripe.account.money_back.refunds) == 1
    assert Refund.objects.get().amount_minor == 3800


def test_no_more_goes_back_than_is_left(
    fake_stripe: FakeStripe, acme: Organisation, team_pack: Pack, sam: User
) -> None:
    """Somebody refunded by hand at Stripe meanwhile: our request ends, and its tokens return."""
    order = buy(acme, team_pack, StripeProcessor(fake_stripe))
    request = ask(order, expected=9500)
    approve(request, sam)
    fake_stripe.account.money_back.refund(order.provider_session_id or "", 500)

    assert send(request).state == "failed"

    assert request.failure_code == "amount_too_large"
    assert settle(order).reversed_minor == 500
    assert len(fake_stripe.account.money_back.refunds) == 1
    paid_lot = Lot.objects.get(reference=order.reference, kind="paid")
    assert paid_lot.remaining_millitokens == 100 * MILLION - 100 * MILLION * 500 // 9500


def test_two_refunds_that_name_one_request_both_count(
    fake_stripe: FakeStripe, acme: Organisation, team_pack: Pack, sam: User
) -> None:
    """Somebody repeated it by hand at Stripe, metadata and all."""
    order = buy(acme, team_pack, StripeProcessor(fake_stripe))
    spend(acme, 65 * MILLION)
    request = ask(order, expected=3800)
    approve(request, sam)
    send(request)
    [refund] = fake_stripe.account.money_back.refunds.values()
    fake_stripe.account.money_back.create_refund(
        {
            "payment_intent": refund["payment_intent"],
            "amount": 3800,
            "metadata": refund["metadata"],
        }
    )

    assert settle(order).reversed_minor == 7600

    assert Refund.objects.count() == 2
    request.refresh_from_db()
    assert request.state == "done"
