"""Receipts: gapless numbers, parties as they were, mailed once."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.core import mail

from accounts.models import Organisation, User
from marketplace.billing import services
from marketplace.billing.models import Order, Pack, Receipt
from marketplace.billing.services.receipts import MAIL_LEASE
from portal.kernel.clock import utc_now
from tests.billing.shop import open_order, pay
from tests.cast import signed_in

pytestmark = pytest.mark.django_db


def buy(organisation: Organisation, pack: Pack, key: str = "form-1", **more) -> Order:
    order, session = open_order(organisation, pack, key=key, **more)
    pay(session)
    assert services.settle_order(order_public_id=order.public_id, now=utc_now())
    return order


def test_numbers_start_anew_each_year(acme: Organisation, team_pack: Pack) -> None:
    with time_machine.travel(datetime(2026, 12, 31, 23, 0, tzinfo=UTC), tick=False) as clock:
        buy(acme, team_pack, "a")
        buy(acme, team_pack, "b")
        clock.shift(timedelta(hours=2))
        buy(acme, team_pack, "c")
    labels = [receipt.label for receipt in Receipt.objects.order_by("id")]
    assert labels == ["2026-000001", "2026-000002", "2027-000001"]


def test_the_receipt_keeps_the_parties_of_its_day(
    acme: Organisation, ada: User, team_pack: Pack, settings
) -> None:
    settings.SELLER_NAME, settings.SELLER_TAX_ID = "Market BV", "NL123"
    settings.SELLER_ADDRESS = "Kade 1\n1011 Amsterdam"
    Organisation.objects.update(legal_name="Acme Limited", tax_id="GB999", country="GB")
    order = buy(Organisation.objects.get(pk=acme.pk), team_pack, purchase_reference="PO-1")
    settings.SELLER_NAME = "Renamed BV"
    Organisation.objects.update(legal_name="Other", tax_id="XX")
    page = signed_in(ada).get(f"/o/acme/orders/{order.public_id}/receipt/")
    text = page.content.decode()
    for said in (
        "Acme Limited", "Tax id GB999", "Market BV", "Tax id NL123", "1011 Amsterdam",
        "$95.00", "PO-1", order.public_id, "100,000,000", "5,000,000", "000001", "no money moved",
    ):  # fmt: skip
        assert said in text, said
    assert "Renamed" not in text
    assert "no-store" in page["Cache-Control"]


def test_text_of_the_buyer_is_only_ever_text(
    acme: Organisation, ada: User, team_pack: Pack
) -> None:
    evil = "<script>alert(1)</script>"
    Organisation.objects.update(legal_name=evil)
    order = buy(Organisation.objects.get(pk=acme.pk), team_pack, purchase_reference=evil)
    page = signed_in(ada).get(f"/o/acme/orders/{order.public_id}/receipt/").content.decode()
    assert evil not in page
    assert "&lt;script&gt;" in page


def test_an_unpaid_order_has_no_receipt(acme: Organisation, ada: User, team_pack: Pack) -> None:
    order, _session = open_order(acme, team_pack)
    assert signed_in(ada).get(f"/o/acme/orders/{order.public_id}/receipt/").status_code == 404


def test_it_is_mailed_once_to_the_billing_address(acme: Organisation, team_pack: Pack) -> None:
    Organisation.objects.update(billing_email="bills@acme.example")
    order = buy(Organisation.objects.get(pk=acme.pk), team_pack)
    assert services.mail_due_receipts(now=utc_now()) == 1
    assert services.mail_due_receipts(now=utc_now() + timedelta(days=1)) == 0
    [letter] = mail.outbox
    assert letter.to == ["bills@acme.example"]
    assert Receipt.objects.get().label in letter.subject
    assert "$95.00" in letter.body
    assert "100,000,000 + 5,000,000 bonus" in letter.body
    assert f"/o/acme/orders/{order.public_id}/receipt/" in letter.body
    assert "no money moved" in letter.body


def test_without_a_billing_address_the_buyer_gets_it(
    acme: Organisation, ada: User, team_pack: Pack
) -> None:
    Organisation.objects.update(billing_email="")
    buy(Organisation.objects.get(pk=acme.pk), team_pack)
    services.mail_due_receipts(now=utc_now())
    assert mail.outbox[0].to == [ada.email]


def test_a_mail_server_that_is_down_is_tried_again(
    acme: Organisation, team_pack: Pack, settings
) -> None:
    buy(acme, team_pack)
    backend = settings.EMAIL_BACKEND
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    now = utc_now()
    assert services.mail_due_receipts(now=now) == 0
    settings.EMAIL_BACKEND = backend
    assert services.mail_due_receipts(now=now) == 0, "the lease is not over"
    assert services.mail_due_receipts(now=now + MAIL_LEASE) == 1
    assert len(mail.outbox) == 1
