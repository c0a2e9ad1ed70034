"""Receipts of before become invoices with their numbers, and back."""

from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from marketplace.billing.models import Document, DocumentCounter
from portal.kernel.clock import utc_now
from portal.kernel.immutability import missing_guards
from tests.cast import make_organisation
from tests.databases import CommittedDatabase

BEFORE = ("billing", "0004_pay_pages_have_long_addresses")


def test_a_receipt_becomes_an_invoice_and_back(committed_db: CommittedDatabase) -> None:
    call_command("migrate", *BEFORE, verbosity=0)
    receipts = _make_receipt(MigrationExecutor(connection).loader.project_state([BEFORE]).apps)
    call_command("migrate", "billing", verbosity=0)
    invoice = Document.objects.get()
    assert invoice.order.invoice == invoice
    assert invoice.label == "2026-000042"
    assert (invoice.currency, invoice.amount_minor, invoice.tax_minor) == ("JPY", 770, 70)
    assert str(DocumentCounter.objects.get()) == "2026: 42"
    assert not missing_guards(connection)
    with pytest.raises(DatabaseError):
        Document.objects.update(number=5)
    call_command("migrate", *BEFORE, verbosity=0)
    assert receipts.get().number == 42
    call_command("migrate", "billing", verbosity=0)
    assert not missing_guards(connection)


def _make_receipt(apps: Any) -> Any:
    """By the models of then: a paid order of ¥770 with its receipt; the receipts' manager."""
    company, now = make_organisation(), utc_now()
    pack = apps.get_model("billing", "Pack").objects.create(
        slug="p", name_en="P", paid_millitokens=5, tariff_millitokens=5
    )
    order = apps.get_model("billing", "Order").objects.create(
        organisation_id=company.pk,
        ordered_by_id=company.memberships.get().user_id,
        pack=pack,
        idempotency_key="k",
        request_hash="h",
        pack_name="P",
        paid_millitokens=5,
        tariff_millitokens=5,
        currency="JPY",
        amount_minor=770,
        tax_minor=70,
        livemode=False,
        provider="sandbox",
        expires_at=now,
        status="paid",
        paid_at=now,
    )
    receipts = apps.get_model("billing", "Receipt").objects
    receipts.create(order=order, year=2026, number=42, issued_at=now, mailed_at=now)
    apps.get_model("billing", "ReceiptCounter").objects.create(year=2026, last_number=42)
    return receipts
