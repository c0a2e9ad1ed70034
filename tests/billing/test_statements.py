"""Statements: the ledger's own figures for each month, on every kind of paper."""

import csv
import io
from collections import defaultdict
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import transaction

from accounts.models import Organisation, User
from marketplace.billing import services, statements
from marketplace.catalog.models import Service
from marketplace.ledger import selectors as ledger_selectors
from marketplace.ledger import services as ledger
from marketplace.ledger.models import Entry, Transaction, WalletCheckpoint
from portal.kernel.clock import utc_now
from portal.kernel.errors import NotFound
from tests.billing.shop import make_pack
from tests.billing.test_documents import buy
from tests.billing.test_pdf import read
from tests.cast import make_key, signed_in
from tests.market import MILLION_TOKENS, give_tokens, make_call
from tests.partners.cast import make_live_service, make_model, make_provider

pytestmark = pytest.mark.django_db

MONTHS = ("2026-08", "2026-09", "2026-10", "2026-11")
END = datetime(2026, 11, 20, tzinfo=UTC)


def at(year: int, month: int, day: int, *time: int) -> time_machine.travel:
    hour, minute, second = (*time, 0, 0, 0)[:3]
    moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    return time_machine.travel(moment, tick=False)


@pytest.fixture(params=["sealed as it goes", "never sealed"])
def busy(acme: Organisation, request: pytest.FixtureRequest) -> Organisation:
    """Acme in Shanghai, four months of it; each figure of a month is its own."""
    Organisation.objects.update(
        timezone="Asia/Shanghai", created_at=datetime(2026, 8, 10, tzinfo=UTC)
    )
    acme.refresh_from_db()
    with at(2026, 8, 15):
        service = make_live_service(make_provider("Rhine"), make_model())
        other = make_live_service(make_provider("Elbe"), make_model("Little"))
        _key, secret = make_key(acme)
        pack = make_pack()
        give_tokens(acme, expires_at=datetime(2026, 9, 10, tzinfo=UTC))
    _call(secret, service, 2026, 8, 31, 15, 59, 59)  # one second before September in Shanghai
    _call(secret, service, 2026, 8, 31, 16, 0, 0)
    _seal(request, 8, 31, 18)
    with at(2026, 9, 5):
        order = buy(acme, pack, purchase_reference="PO-5")
    with at(2026, 9, 11):
        ledger.expire_lots(now=utc_now())
    _seal(request, 9, 11, 1)
    for day in range(1, 8):
        _call(secret, service if day % 2 else other, 2026, 10, day)
        _seal(request, 10, day, 1)
    with at(2026, 10, 20):
        charged = Transaction.objects.filter(kind="capture").latest("id")
        ledger.reverse_transaction(
            transaction_id=charged.public_id, idempotency_key="1", reason="doubled", now=utc_now()
        )
    _seal(request, 11, 2)
    with at(2026, 11, 3), transaction.atomic():
        ledger.reverse_purchase(reference=order.reference, refunded_minor=950, now=utc_now())
        services.issue_credit_note(order=order, reversed_minor=950, now=utc_now())
    _seal(request, 11, 4)
    assert WalletCheckpoint.objects.exists() is (request.param == "sealed as it goes")
    return acme


def _call(secret: str, service: Service, year: int, month: int, day: int, *time: int) -> None:
    with at(year, month, day, *time):
        make_call(secret, service, duration_ms=0)


def _seal(request: pytest.FixtureRequest, month: int, day: int, *time: int) -> None:
    if request.param == "sealed as it goes":
        with at(2026, month, day, *time):
            ledger.seal_entries(now=utc_now())


def month_of(organisation: Organisation, month: str) -> statements.Statement:
    return statements.get_statement(organisation=organisation, month=month, now=END)


def test_each_month_balances_and_opens_where_the_last_one_closed(busy: Organisation) -> None:
    closing = 0
    for month in MONTHS:
        statement = month_of(busy, month)
        assert statement.opening == closing
        closing = statement.opening + sum(statement.lines.values())
        assert statement.closing == closing
    assert closing == ledger_selectors.get_balance(owner_key=busy.public_id, unit="live").posted


def test_the_lines_are_the_ledgers(busy: Organisation) -> None:
    august, september, october, november = (month_of(busy, month) for month in MONTHS)
    price = -august.lines["spent"]
    assert price > 0
    assert august.lines == {
        "bought": 0, "granted": MILLION_TOKENS, "spent": -price, "expired": 0,
    }  # fmt: skip
    assert september.lines == {
        "bought": 100 * MILLION_TOKENS,
        "granted": 5 * MILLION_TOKENS,
        "spent": -price,
        "expired": 2 * price - MILLION_TOKENS,
    }
    assert october.lines == {
        "bought": 0, "granted": 0, "spent": -7 * price, "returned": price, "expired": 0,
    }  # fmt: skip
    assert set(november.lines) == {"bought", "granted", "spent", "expired", "refunded"}
    assert november.lines["refunded"] < -9 * MILLION_TOKENS
    assert [(one.provider, one.calls, one.millitokens) for one in october.usage] == [
        ("Rhine", 4, 4 * price),
        ("Elbe", 3, 3 * price),
    ]
    for statement in (august, september, october, november):
        assert -statement.lines["spent"] == sum(one.millitokens for one in statement.usage)


def test_a_document_stands_in_its_month_alone(busy: Organisation) -> None:
    kinds = [[document.kind for document in month_of(busy, month).documents] for month in MONTHS]
    assert kinds == [[], ["invoice"], [], ["credit_note"]]


@pytest.mark.parametrize(
    ("zone", "starts"),
    [
        # The clocks go back on 1 November: that month is an hour longer than its days say.
        ("America/New_York", ("2026-10-01T04:00", "2026-11-01T04:00", "2026-12-01T05:00")),
        ("Asia/Kolkata", ("2026-09-30T18:30", "2026-10-31T18:30", "2026-11-30T18:30")),
    ],
)
def test_months_begin_at_local_midnight_and_follow_a_change_of_zone(
    acme: Organisation, zone: str, starts: tuple[str, ...]
) -> None:
    """One grant each: just before a month begins and as it does; then all of it in UTC."""
    Organisation.objects.update(timezone=zone, created_at=datetime(2026, 9, 2, tzinfo=UTC))
    for number, start in enumerate(starts):
        moment = datetime.fromisoformat(f"{start}+00:00")
        for tokens, when in ((1, moment - timedelta(microseconds=1)), (1000, moment)):
            with time_machine.travel(when, tick=False):
                face = tokens * 10 ** (3 * number) * MILLION_TOKENS
                give_tokens(acme, face, reference=f"grant:{number}:{tokens}")
    months = ("2026-09", "2026-10", "2026-11", "2026-12")
    now = datetime(2026, 12, 10, tzinfo=UTC)
    granted = {}
    for name in (zone, "UTC"):
        Organisation.objects.update(timezone=name)
        acme.refresh_from_db()
        closing = 0
        for month in months:
            statement = statements.get_statement(organisation=acme, month=month, now=now)
            assert statement.opening == closing
            closing = statement.closing
            granted[name, month] = statement.lines["granted"] // MILLION_TOKENS
        assert closing == ledger_selectors.get_balance(owner_key=acme.public_id, unit="live").posted
    here = [granted[zone, month] for month in months]
    assert here == [1, 1000 + 1000, 10**6 + 10**6, 10**9]
    assert [granted["UTC", month] for month in months] != here


def test_test_tokens_are_no_part_of_it(acme: Organisation) -> None:
    give_tokens(acme)
    before = month_of_now(acme)
    ledger.grant_lot(
        owner_key=acme.public_id, unit="test", reference="test:1", kind="grant",
        face_millitokens=7, debits=[("promotion", "operator", 7)], now=utc_now(),
    )  # fmt: skip
    assert month_of_now(acme) == before
    assert before.closing == MILLION_TOKENS


def month_of_now(organisation: Organisation) -> statements.Statement:
    now = utc_now()
    return statements.get_statement(organisation=organisation, month=f"{now:%Y-%m}", now=now)


def test_the_sums_are_those_of_all_entries_added_up_one_by_one(busy: Organisation) -> None:
    """An adding machine that knows neither seals nor wallets' chains."""
    sums: defaultdict[str, int] = defaultdict(int)
    for entry in Entry.objects.filter(wallet__owner_key=busy.public_id).select_related(
        "transaction", "wallet"
    ):
        assert entry.wallet is not None
        local = entry.transaction.recorded_at + timedelta(hours=8)
        into = entry.credit_account_id == entry.wallet.account_id
        sums[f"{local:%Y-%m}"] += entry.amount_millitokens if into else -entry.amount_millitokens
    for month in MONTHS:
        statement = month_of(busy, month)
        assert statement.closing - statement.opening == sums[month], month


def test_only_the_organisations_own_months_exist(busy: Organisation) -> None:
    months = statements.list_months(organisation=busy, now=END)
    assert [f"{month:%Y-%m}" for month in months] == list(reversed(MONTHS))
    for month in ("2026-07", "2026-12", "2026-13", "2026-8", "now", "2026-08-01"):
        with pytest.raises(NotFound):
            month_of(busy, month)


def test_page_pdf_and_csv_say_the_same(busy: Organisation, bill: User) -> None:
    browser = signed_in(bill)
    with time_machine.travel(END, tick=False):
        browser = signed_in(bill)
        page = browser.get("/o/acme/statements/2026-09/")
        pdf = browser.get("/o/acme/statements/2026-09/pdf/")
        table = browser.get("/o/acme/statements/2026-09/csv/")
        running = browser.get("/o/acme/statements/2026-11/").content.decode()
        listed = browser.get("/o/acme/statements/").content.decode()
    statement = month_of(busy, "2026-09")
    closing = f"{statement.closing // 1000:,}"
    for said in ("100,000,000", "5,000,000", closing, "$95.00", "PO-5", "Rhine", "Asia/Shanghai"):
        assert said in page.content.decode(), said
        assert said in read(pdf.content), said
    assert "not over yet" not in page.content.decode()
    assert "not over yet" in running
    assert "/o/acme/statements/2026-08/" in listed
    rows = list(csv.DictReader(io.StringIO(table.content.decode("utf-8-sig"))))
    balance = {row["item"]: row["tokens"] for row in rows if row["section"] == "balance"}
    assert balance["bought"] == "100000000.000"
    assert balance["spent"].startswith("-")
    millitokens = {line: int(text.replace(".", "")) for line, text in balance.items()}
    assert millitokens.pop("closing") == sum(millitokens.values()) == statement.closing
    [bought] = [row for row in rows if row["section"] == "invoice"]
    assert (bought["amount"], bought["currency"], bought["date"]) == ("95.00", "USD", "2026-09-05")
    [used] = [row for row in rows if row["section"] == "usage"]
    assert (used["detail"], used["calls"]) == ("Rhine", "1")
    assert table["Content-Disposition"] == 'attachment; filename="statement-acme-2026-09.csv"'


def test_a_credit_note_counts_against_the_purchases(busy: Organisation, bill: User) -> None:
    with time_machine.travel(END, tick=False):
        page = signed_in(bill).get("/o/acme/statements/2026-11/").content.decode()
    assert "CN-2026-000001" in page
    assert "−$9.50" in page


def test_statements_are_for_those_who_may_buy_and_of_their_tenant(
    acme: Organisation, globex: Organisation, bill: User, mia: User, gus: User
) -> None:
    give_tokens(acme)
    month = f"{utc_now():%Y-%m}"
    for tail in ("", f"{month}/", f"{month}/pdf/", f"{month}/csv/"):
        path = f"/o/acme/statements/{tail}"
        answer = signed_in(bill).get(path)
        assert answer.status_code == 200
        assert "no-store" in answer["Cache-Control"]
        assert signed_in(mia).get(path).status_code == 403
        assert signed_in(gus).get(path).status_code == 404
    assert signed_in(bill).get("/o/acme/statements/1999-01/").status_code == 404
    own = signed_in(gus).get(f"/o/globex/statements/{month}/").content.decode()
    assert "1,000,000" not in own


def test_cells_of_a_spreadsheet_are_no_formulas(acme: Organisation, bill: User) -> None:
    buy(acme, make_pack("evil", name_en="=HYPERLINK(1)"))
    table = signed_in(bill).get(f"/o/acme/statements/{utc_now():%Y-%m}/csv/").content.decode()
    assert ",'=HYPERLINK(1)," in table
