"""Where bank transfers are offered as a way to pay, and where not."""

from typing import Any

import pytest

from accounts.models import Organisation, User
from marketplace.billing import services
from marketplace.billing.models import Order, Pack
from marketplace.billing.payment_provider import PaymentsUnavailable
from tests.billing.shop import start_order
from tests.billing.transfers import open_transfer
from tests.cast import signed_in


def test_it_is_offered_only_where_there_is_an_account(
    acme: Organisation, team_pack: Pack, ada: User, settings: Any
) -> None:
    settings.BANK_TRANSFER_ACCOUNT = ""
    client = signed_in(ada)
    review = client.get("/o/acme/buy/?pack=team&currency=USD")
    assert "bank transfer" not in review.content.decode()
    form = dict(review.context["form"].initial)
    assert client.post("/o/acme/buy/", {**form, "way": "bank"}).status_code == 503
    assert client.post("/o/acme/buy/", {**form, "way": "cash"}).status_code == 400
    assert not Order.objects.exists()


def test_without_another_provider_it_is_the_way_to_pay(
    ada: User, acme: Organisation, team_pack: Pack, settings: Any
) -> None:
    review = f"/o/{acme.slug}/buy/?pack=team"
    page = signed_in(ada).get(review).content.decode()
    assert "Pay $95.00" in page
    assert "Pay by bank transfer" in page
    settings.SANDBOX_PAYMENTS = False
    page = signed_in(ada).get(review).content.decode()
    assert "Pay $95.00" not in page
    assert "card data never reaches us" not in page
    assert "Pay by bank transfer" in page


def test_it_is_not_offered_where_the_tax_comes_with_the_payment(
    acme: Organisation, team_pack: Pack, ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("marketplace.billing.providers.tax_is_computed_on_payment", lambda: True)
    review = signed_in(ada).get("/o/acme/buy/?pack=team&currency=USD")
    assert "bank transfer" not in review.content.decode()
    with pytest.raises(PaymentsUnavailable):
        open_transfer(acme, team_pack)
    assert not Order.objects.exists()


def test_one_key_does_not_stand_for_both_ways_to_pay(acme: Organisation, team_pack: Pack) -> None:
    order = start_order(acme, team_pack)
    with pytest.raises(services.IdempotencyKeyReused):
        open_transfer(acme, team_pack)
    assert Order.objects.get() == order
    assert order.provider == "sandbox"
