"""Stripe Tax: the price stays what is paid, and the invoice says what of it Stripe found as tax."""

from typing import Any

import pytest

from accounts.models import Organisation, User
from marketplace.billing import services
from marketplace.billing.checks import check_documents
from marketplace.billing.models import Pack
from marketplace.billing.paper.documents import name_tax
from marketplace.billing.payment_provider import PaymentRefused, PaymentsUnavailable
from portal.kernel.clock import utc_now
from tests.billing.processors import StripeProcessor, deliver, stand_before_pay_page
from tests.billing.shop import credited_once, untouched
from tests.billing.top_ups import agree, run, top_ups_of
from tests.cast import signed_in
from tests.fakes.stripe_server import FakeStripe

pytestmark = pytest.mark.django_db


@pytest.fixture
def taxed(fake_stripe: FakeStripe, settings: Any) -> StripeProcessor:
    settings.STRIPE_TAX = True
    settings.TAX_NAME = "VAT"
    return StripeProcessor(fake_stripe)


def test_the_tax_is_known_when_it_is_paid(
    taxed: StripeProcessor, acme: Organisation, team_pack: Pack, ada: User
) -> None:
    client = signed_in(ada)
    review = client.get(f"/o/{acme.slug}/buy/?pack=team").content.decode()
    assert "Included; the payment page shows how much" in review
    order, session_id = stand_before_pay_page(acme, team_pack)
    page = f"/o/{acme.slug}/orders/{order.public_id}/"
    assert "Known when it is paid" in client.get(page).content.decode()

    deliver(taxed, *taxed.pay(session_id))

    assert credited_once(order)
    assert (order.amount_minor, order.tax_minor, name_tax(order)) == (9500, 1516, "VAT")
    invoice = order.invoice
    assert invoice is not None
    assert (invoice.amount_minor, invoice.tax_minor) == (9500, 1516)
    assert "$15.16" in client.get(page).content.decode()
    deliver(taxed, *taxed.refund(session_id, 4750))
    [note] = order.documents.filter(kind="credit_note")
    assert (note.amount_minor, note.tax_minor) == (4750, 758)


def test_without_it_nothing_is_asked(
    fake_stripe: FakeStripe, acme: Organisation, team_pack: Pack
) -> None:
    _order, session_id = stand_before_pay_page(acme, team_pack)
    assert not fake_stripe.account.sessions[session_id]["automatic_tax"]["enabled"]


@pytest.mark.parametrize("nonsense", [-1, 9501])
def test_a_tax_that_is_no_part_of_the_price_is_not_believed(
    taxed: StripeProcessor, acme: Organisation, team_pack: Pack, nonsense: int
) -> None:
    order, session_id = stand_before_pay_page(acme, team_pack)
    events = taxed.pay(session_id)
    taxed.fake.account.sessions[session_id]["total_details"]["amount_tax"] = nonsense
    deliver(taxed, *events)
    with pytest.raises(PaymentsUnavailable):
        services.settle_order(order_public_id=order.public_id, now=utc_now())
    assert untouched(order)


def test_a_tax_that_was_not_computed_to_its_end_is_not_taken(
    taxed: StripeProcessor, acme: Organisation, team_pack: Pack
) -> None:
    order, session_id = stand_before_pay_page(acme, team_pack)
    events = taxed.pay(session_id)
    taxed.fake.account.sessions[session_id]["automatic_tax"]["status"] = "failed"
    deliver(taxed, *events)
    assert credited_once(order)
    assert order.tax_minor == 0


def test_an_account_that_is_not_set_up_for_it_opens_no_page(
    taxed: StripeProcessor, acme: Organisation, team_pack: Pack
) -> None:
    taxed.fake.account.setup.has_tax = False
    with pytest.raises(PaymentRefused):
        stand_before_pay_page(acme, team_pack)
    assert not taxed.fake.account.sessions


def test_without_a_payment_page_nothing_is_bought(
    taxed: StripeProcessor, acme: Organisation, team_pack: Pack, ada: User, settings: Any
) -> None:
    settings.STRIPE_TAX = False
    agree(acme, team_pack, taxed)
    settings.STRIPE_TAX = True
    said = "The tax is computed on the payment page here"
    assert said in signed_in(ada).get(f"/o/{acme.slug}/top-up/").content.decode()
    with pytest.raises(services.TopUpTermsRejected):
        agree(acme, team_pack, taxed, cap_minor=30_000)

    assert run() == 0
    assert top_ups_of(acme) == []

    settings.STRIPE_TAX = False
    assert run() == 1, "the agreement only rests"


def test_two_taxes_are_one_too_many(settings: Any) -> None:
    settings.STRIPE_TAX = True
    settings.TAX_NAME, settings.TAX_BASIS_POINTS = "VAT", 1900
    assert [problem.id for problem in check_documents()] == ["billing.E015"]
