"""Invoices and credit notes: gapless numbers, parties as they were, mailed once."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.core import mail
from django.db import DatabaseError, transaction
from structlog.testing import capture_logs

from accounts.models import Organisation, User
from marketplace.billing import checks, services
from marketplace.billing.models import Document, DocumentCounter, Order, Pack
from marketplace.billing.offers import included_tax
from marketplace.billing.services import document_mail, documents
from marketplace.billing.services.document_mail import MAIL_LEASE
from portal.kernel.clock import utc_now
from tests.billing.shop import open_order, pay
from tests.cast import signed_in

pytestmark = pytest.mark.django_db


def buy(organisation: Organisation, pack: Pack, key: str = "form-1", **more) -> Order:
    order, session = open_order(organisation, pack, key=key, **more)
    pay(session)
    assert services.settle_order(order_public_id=order.public_id, now=utc_now())
    return order


def credit(order: Order, reversed_minor: int) -> Document | None:
    with transaction.atomic():
        return services.issue_credit_note(order=order, reversed_minor=reversed_minor, now=utc_now())


def page_of(document: Document, person: User, slug: str = "acme") -> str:
    answer = signed_in(person).get(f"/o/{slug}/invoices/{document.public_id}/")
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    return answer.content.decode()


# --- Numbers ------------------------------------------------------------------------------


def test_numbers_start_anew_each_year(acme: Organisation, team_pack: Pack) -> None:
    with time_machine.travel(datetime(2026, 12, 31, 23, 0, tzinfo=UTC), tick=False) as clock:
        buy(acme, team_pack, "a")
        buy(acme, team_pack, "b")
        clock.shift(timedelta(hours=2))
        buy(acme, team_pack, "c")
    labels = [document.label for document in Document.objects.order_by("id")]
    assert labels == ["TEST-2026-000001", "TEST-2026-000002", "TEST-2027-000001"]


def test_each_seller_kind_and_mode_counts_for_itself(
    acme: Organisation, team_pack: Pack, settings
) -> None:
    settings.DOCUMENT_SERIES = "NL"
    with time_machine.travel(datetime(2026, 3, 1, tzinfo=UTC)):
        first = buy(acme, team_pack, "a")
        Order.objects.filter(pk=first.pk).update(livemode=True)
        credit(first, 1)
        second = buy(acme, team_pack, "b")
        credit(second, 1)
        settings.DOCUMENT_SERIES = "DE"
        buy(acme, team_pack, "c")
    assert [document.label for document in Document.objects.order_by("id")] == [
        "TEST-NL-2026-000001",
        "NL-CN-2026-000001",
        "TEST-NL-2026-000002",
        "TEST-NL-CN-2026-000001",
        "TEST-DE-2026-000001",
    ]


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("DOCUMENT_SERIES", "TEST", "billing.E010"),
        ("DOCUMENT_SERIES", "nl/1", "billing.E010"),
        ("TAX_BASIS_POINTS", -1, "billing.E011"),
        ("TAX_BASIS_POINTS", 1900, "billing.E011"),  # without a name
        ("SELLER_TAX_ID", "DE1", "billing.W001"),
    ],
)
def test_settings_that_would_spoil_documents_are_told(settings, name, value, problem) -> None:
    settings.SELLER_COUNTRY = "DE"
    assert not checks.check_documents()
    setattr(settings, name, value)
    assert [message.id for message in checks.check_documents()] == [problem]


def test_nobody_changes_or_removes_what_was_issued(acme: Organisation, team_pack: Pack) -> None:
    buy(acme, team_pack)
    before = list(Document.objects.values())
    for change in (
        lambda: Document.objects.update(number=7),
        lambda: Document.objects.update(amount_minor=1),
        lambda: Document.objects.update(parties={}),
        lambda: Document.objects.all()._raw_delete("default"),
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            change()
    assert list(Document.objects.values()) == before


# --- What they say ------------------------------------------------------------------------


def test_the_invoice_keeps_the_parties_of_its_day(
    acme: Organisation, ada: User, team_pack: Pack, settings
) -> None:
    settings.SELLER_NAME, settings.SELLER_TAX_ID = "Market BV", "NL123"
    settings.SELLER_ADDRESS = "Kade 1\n1011 Amsterdam"
    Organisation.objects.update(
        legal_name="Acme Limited", address="1 Mill Lane\nYork", tax_id="GB999", country="GB"
    )
    order = buy(Organisation.objects.get(pk=acme.pk), team_pack, purchase_reference="PO-1")
    settings.SELLER_NAME = "Renamed BV"
    Organisation.objects.update(legal_name="Other", tax_id="XX")
    text = page_of(Document.objects.get(), ada)
    for said in (
        "Acme Limited", "1 Mill Lane<br>York", "Tax id GB999", "United Kingdom", "Market BV",
        "Tax id NL123", "1011 Amsterdam", "$95.00", "PO-1", order.public_id, "100,000,000",
        "5,000,000", "000001", "no money moved",
    ):  # fmt: skip
        assert said in text, said
    assert "Renamed" not in text


def test_text_of_the_buyer_is_only_ever_text(
    acme: Organisation, ada: User, team_pack: Pack
) -> None:
    evil = "<script>alert(1)</script>"
    Organisation.objects.update(legal_name=evil, address=evil)
    buy(Organisation.objects.get(pk=acme.pk), team_pack, purchase_reference=evil)
    page = page_of(Document.objects.get(), ada)
    assert evil not in page
    assert page.count("&lt;script&gt;") >= 3


def test_the_tax_of_the_order_is_shown_whatever_the_rate_became(
    acme: Organisation, ada: User, team_pack: Pack, settings
) -> None:
    settings.TAX_NAME, settings.TAX_BASIS_POINTS = "VAT", 1900
    order, session = open_order(acme, team_pack)
    settings.TAX_NAME, settings.TAX_BASIS_POINTS = "VAT", 2100
    pay(session)
    services.settle_order(order_public_id=order.public_id, now=utc_now())
    invoice = Document.objects.get()
    assert (invoice.net_minor, invoice.tax_minor, invoice.amount_minor) == (7983, 1517, 9500)
    page = page_of(invoice, ada)
    for said in ("VAT 19%", "$79.83", "$15.17", "$95.00"):
        assert said in page, said


def test_yen_have_no_cents_on_an_invoice(acme: Organisation, ada: User, team_pack: Pack) -> None:
    buy(acme, team_pack, currency="JPY")
    page = page_of(Document.objects.get(), ada)
    assert "Amount (JPY)" in page
    assert "¥14,500" in page


@pytest.mark.parametrize(
    ("amount", "rate", "tax"), [(11900, 1900, 1900), (9500, 1900, 1517), (1, 1900, 0), (9500, 0, 0)]
)
def test_a_price_contains_its_tax(amount: int, rate: int, tax: int) -> None:
    assert included_tax(amount, rate) == tax


# --- Credit notes -------------------------------------------------------------------------


def test_a_credit_note_says_what_is_new_and_of_which_invoice(
    acme: Organisation, ada: User, team_pack: Pack, settings
) -> None:
    settings.TAX_NAME, settings.TAX_BASIS_POINTS = "VAT", 1900
    order = buy(acme, team_pack)
    notes = [credit(order, target) for target in (3333, 3333, 1000, 9500, 9500)]
    first, again, less, rest, over = notes
    assert (again, less, over) == (None, None, None)
    assert first is not None
    assert rest is not None
    assert (first.amount_minor, rest.amount_minor) == (3333, 6167)
    assert first.tax_minor == 1517 * 3333 // 9500
    assert first.tax_minor + rest.tax_minor == 1517, "in the end all of it"
    invoice = Document.objects.get(order=order, kind="invoice")
    assert first.corrects == rest.corrects == invoice
    page = page_of(rest, ada)
    for said in ("Credit note", invoice.label, "$61.67", "VAT 19%"):
        assert said in page, said
    assert first.label in page_of(invoice, ada)


def test_a_credit_note_beyond_what_was_paid_is_refused(acme: Organisation, team_pack: Pack) -> None:
    order = buy(acme, team_pack)
    for target in (9501, -1):
        with pytest.raises(AssertionError):
            credit(order, target)
    assert Document.objects.count() == DocumentCounter.objects.count() == 1


# --- Whose they are -----------------------------------------------------------------------


def test_an_unpaid_order_has_no_invoice(acme: Organisation, ada: User, team_pack: Pack) -> None:
    order, _session = open_order(acme, team_pack)
    assert signed_in(ada).get(f"/o/acme/orders/{order.public_id}/receipt/").status_code == 404
    assert "Nothing has been bought" in signed_in(ada).get("/o/acme/invoices/").content.decode()


def test_links_of_older_mails_lead_to_the_invoice(
    acme: Organisation, ada: User, team_pack: Pack
) -> None:
    order = buy(acme, team_pack)
    answer = signed_in(ada).get(f"/o/acme/orders/{order.public_id}/receipt/")
    assert answer["Location"] == f"/o/acme/invoices/{Document.objects.get().public_id}/"


def test_documents_are_for_those_who_may_buy_and_of_their_tenant(
    acme: Organisation, globex: Organisation, bill: User, mia: User, gus: User, team_pack: Pack
) -> None:
    order = buy(acme, team_pack)
    credit(order, 100)
    assert "CN-" in signed_in(bill).get("/o/acme/invoices/").content.decode()
    for document in Document.objects.all():
        for tail in ("", "pdf/"):
            path = f"/o/acme/invoices/{document.public_id}/{tail}"
            assert signed_in(bill).get(path).status_code == 200
            assert signed_in(mia).get(path).status_code == 403
            assert signed_in(gus).get(path).status_code == 404
            assert signed_in(gus).get(path.replace("acme", "globex")).status_code == 404
    assert signed_in(mia).get("/o/acme/invoices/").status_code == 403
    assert "TEST-" not in signed_in(gus).get("/o/globex/invoices/").content.decode()


# --- Mail ---------------------------------------------------------------------------------


def test_it_is_mailed_once_to_the_billing_address(acme: Organisation, team_pack: Pack) -> None:
    Organisation.objects.update(billing_email="bills@acme.example")
    buy(Organisation.objects.get(pk=acme.pk), team_pack)
    assert services.mail_due_documents(now=utc_now()) == 1
    assert services.mail_due_documents(now=utc_now() + timedelta(days=1)) == 0
    [letter] = mail.outbox
    invoice = Document.objects.get()
    assert letter.to == ["bills@acme.example"]
    assert invoice.label in letter.subject
    assert "$95.00" in letter.body
    assert "100,000,000 + 5,000,000 bonus" in letter.body
    assert f"/o/acme/invoices/{invoice.public_id}/" in letter.body
    assert "no money moved" in letter.body
    [(name, content, kind)] = letter.attachments
    assert (name, content[:5], kind) == (f"{invoice.label}.pdf", b"%PDF-", "application/pdf")


def test_a_credit_note_is_mailed_too(acme: Organisation, team_pack: Pack) -> None:
    order = buy(acme, team_pack)
    services.mail_due_documents(now=utc_now())
    note = credit(order, 100)
    assert note is not None
    assert services.mail_due_documents(now=utc_now()) == 1
    letter = mail.outbox[-1]
    assert "Credit note" in letter.subject
    assert "Given back: $1.00" in letter.body
    assert note.corrects is not None
    assert note.corrects.label in letter.body
    assert letter.attachments[0][0] == f"{note.label}.pdf"


def test_a_mail_to_a_chinese_buyer_is_chinese(
    acme: Organisation, ada: User, team_pack: Pack
) -> None:
    User.objects.update(language="zh-hans")
    buy(acme, team_pack)
    services.mail_due_documents(now=utc_now())
    assert "账单" in str(mail.outbox[0].subject)


def test_without_a_billing_address_the_buyer_gets_it(
    acme: Organisation, ada: User, team_pack: Pack
) -> None:
    Organisation.objects.update(billing_email="")
    buy(Organisation.objects.get(pk=acme.pk), team_pack)
    services.mail_due_documents(now=utc_now())
    assert mail.outbox[0].to == [ada.email]


def test_a_mail_server_that_is_down_is_tried_again(
    acme: Organisation, team_pack: Pack, settings
) -> None:
    buy(acme, team_pack)
    backend = settings.EMAIL_BACKEND
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    now = utc_now()
    assert services.mail_due_documents(now=now) == 0
    settings.EMAIL_BACKEND = backend
    assert services.mail_due_documents(now=now) == 0, "the lease is not over"
    assert services.mail_due_documents(now=now + MAIL_LEASE) == 1
    assert len(mail.outbox) == 1


def test_an_address_that_is_none_does_not_hold_up_the_others(
    acme: Organisation, globex: Organisation, team_pack: Pack
) -> None:
    Organisation.objects.filter(pk=acme.pk).update(billing_email="bills@acme.example\nBcc: x")
    buy(Organisation.objects.get(pk=acme.pk), team_pack)
    buy(globex, team_pack)
    assert services.mail_due_documents(now=utc_now()) == 1
    assert len(mail.outbox) == 1
    assert "bills@acme.example" not in str(mail.outbox[0].to)
    assert Document.objects.get(mailed_at=None).order.organisation == acme


def test_two_workers_that_both_saw_it_due_mail_it_once(
    acme: Organisation, team_pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second comes while the first sends, and, with an old list, once more after it."""
    buy(acme, team_pack)
    [pk], now, later = Document.objects.values_list("pk", flat=True), utc_now(), 2 * MAIL_LEASE
    others: list[bool] = []

    def send(letter: mail.EmailMessage) -> None:
        others.append(document_mail._mail_document(pk, now=now))
        mail.outbox.append(letter)

    monkeypatch.setattr(mail.EmailMessage, "send", send)
    assert services.mail_due_documents(now=now) == 1
    others.append(document_mail._mail_document(pk, now=now + later))
    assert others == [False, False]
    assert len(mail.outbox) == 1


def test_issuing_wakes_the_mailing_and_noting_too_much_is_told(
    acme: Organisation, team_pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken: list[str] = []
    monkeypatch.setattr(documents, "wake_on_commit", woken.append)
    order = buy(acme, team_pack)
    assert woken == ["billing.mail_documents"]
    with capture_logs() as logs:
        credit(order, 100)
        assert not logs
        assert credit(order, 99) is None
    [told] = logs
    assert (told["event"], told["log_level"]) == ("credited_too_much", "warning")
    assert (told["order"], told["noted_minor"]) == (order.public_id, 100)
    assert woken == ["billing.mail_documents"] * 2


def test_old_receipts_keep_their_numbers() -> None:
    """Those of before there were series have none, and read as they did."""
    assert Document(series="", year=2026, number=42).label == "2026-000042"
