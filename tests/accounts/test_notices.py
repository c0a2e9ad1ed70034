"""The inbox: each person's own in each organisation, each thing once, in the reader's language."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts import services as accounts
from accounts.models import (
    AuditEvent,
    Membership,
    Notice,
    NoticeCause,
    NoticeKind,
    NoticePreference,
    Organisation,
    Role,
    User,
)
from accounts.services import Standing
from portal.kernel.clock import utc_now
from tests.cast import make_member, make_organisation, signed_in

ORDER = {
    "order": "ord_01jc0000000000000000000000",
    "pack": "Team",
    "millitokens": 50_000_000_000,
    "amount_minor": 5000,
    "currency": "USD",
}
INBOX, READ = "/o/acme/notifications/", "/o/acme/notifications/read/"


def tell(organisation: Organisation, subject: str = "order:1", **changes: Any) -> None:
    announcement: dict[str, Any] = {"kind": NoticeKind.ORDER_PAID, "params": ORDER} | changes
    announcement.setdefault("now", utc_now())
    accounts.announce_event(organisation=organisation, subject=subject, **announcement)


def low(stage: int | None = 0) -> list[Standing]:
    params = {"left_millitokens": 12_345_000, "mark_millitokens": 100_000_000}
    return [Standing(subject="live", stage=stage, params=params)]


def follow(
    organisation: Organisation, standings: list[Standing], *, now: datetime | None = None
) -> int:
    return accounts.follow_causes(
        organisation=organisation,
        kind=NoticeKind.BALANCE_LOW,
        judge=lambda: standings,
        now=now or utc_now(),
    )


def page_of(person: User, path: str = INBOX) -> str:
    answer = signed_in(person).get(path)
    assert answer.status_code == 200
    return answer.content.decode()


def test_owner_and_billing_are_told_of_money_and_members_are_not(
    acme: Organisation, ada: User, bill: User, mia: User
) -> None:
    tell(acme)
    assert set(Notice.objects.values_list("person__email", flat=True)) == {ada.email, bill.email}
    assert "Team is paid: 50M tokens are in the wallet" in page_of(bill)
    assert "Nothing to tell you yet." in page_of(mia)


def test_an_event_is_told_once_whoever_tells_it_and_however_often(
    acme: Organisation, ada: User
) -> None:
    for _time in range(3):
        tell(acme)
    assert Notice.objects.get().person == ada
    tell(acme, "order:2")
    assert Notice.objects.count() == 2


def test_one_person_in_two_companies_has_two_inboxes(
    acme: Organisation, ada: User, globex: Organisation, gus: User
) -> None:
    Membership.objects.create(organisation=globex, user=ada, role=Role.OWNER)
    tell(acme)
    assert "Team is paid" in page_of(ada)
    assert "Team is paid" not in page_of(ada, "/o/globex/notifications/")
    assert "Team is paid" not in page_of(gus, "/o/globex/notifications/")


def test_nobody_reads_or_marks_anothers_notices(
    acme: Organisation, ada: User, bill: User, globex: Organisation, gus: User
) -> None:
    tell(acme)
    theirs = Notice.objects.get(person=ada)
    for person, path in ((gus, "/o/globex/notifications/read/"), (bill, READ), (gus, READ)):
        for field in ("notice", "until"):
            answer = signed_in(person).post(path, {field: theirs.public_id})
            assert answer.status_code == 404
    assert signed_in(gus).get(INBOX).status_code == 404
    assert not Notice.objects.exclude(read_at=None).exists()


def test_who_is_billing_no_more_no_longer_reads_about_money(acme: Organisation, bill: User) -> None:
    tell(acme)
    membership = Membership.objects.get(user=bill)
    accounts.change_role(
        membership=membership, role=Role.MEMBER, actor=accounts.SYSTEM_ACTOR, now=utc_now()
    )
    page = page_of(bill)
    assert "Team is paid" not in page
    assert "bell-count" not in page
    notice = Notice.objects.get(person=bill)
    assert signed_in(bill).post(READ, {"notice": notice.public_id}).status_code == 404
    notice.refresh_from_db()
    assert notice.read_at is None


def test_the_words_are_made_in_the_language_in_which_they_are_read(
    acme: Organisation, ada: User
) -> None:
    follow(acme, low())
    assert "Only 12.3K tokens are left" in page_of(ada)
    browser = signed_in(ada)
    browser.cookies["django_language"] = "zh-hans"
    page = browser.get(INBOX).content.decode()
    assert "仅剩 1.23万 词元" in page
    assert 'href="/o/acme/wallet/"' in page
    assert 'href="/o/acme/buy/"' in page


WISH = {
    "request": "prq_1",
    "pack": "Team",
    "quantity": 2,
    "amount_minor": 19000,
    "currency": "USD",
}
BUDGET = {
    "percent": 80,
    "period": "month",
    "person": "",
    "spent_millitokens": 4_000_000,
    "max_millitokens": 5_000_000,
    "ends_at": "2026-12-01T00:00:00+00:00",
}
EVERYTHING = {
    NoticeKind.BALANCE_LOW: {"left_millitokens": 1000, "mark_millitokens": 2000},
    NoticeKind.DAYS_LEFT: {"days": 0, "left_millitokens": 1000},
    NoticeKind.LOT_EXPIRES: {
        "left_millitokens": 1000,
        "expires_at": "2026-12-01T23:30:00+00:00",
    },
    NoticeKind.BUDGET_REACHED: BUDGET,
    NoticeKind.OWN_BUDGET_REACHED: BUDGET | {"percent": 100, "ends_at": None},
    NoticeKind.TOP_UP_PAID: ORDER,
    NoticeKind.TOP_UP_FAILED: {**ORDER, "outcome": "authenticate"},
    NoticeKind.ORDER_PAID: ORDER,
    NoticeKind.ORDER_FAILED: ORDER,
    NoticeKind.REFUND_DECIDED: {**ORDER, "outcome": "approved"},
    NoticeKind.PURCHASE_ASKED: {**WISH, "person": "mia@acme.example"},
    NoticeKind.PURCHASE_DECIDED: {**WISH, "outcome": "declined"},
    NoticeKind.FAPIAO_DECIDED: {"title": "Acme Ltd", "outcome": "issued"},
    NoticeKind.WEBHOOK_STOPPED: {"webhook": "whe_1", "url": "https://hooks.example.com/"},
}


@pytest.mark.parametrize(
    ("outcome", "title", "way_out"),
    [
        ("declined", "The automatic top-up could not be paid", "/o/acme/buy/"),
        ("authenticate", "Your bank wants you to confirm a payment", "/o/acme/orders/ord_1/"),
        ("cap", "Automatic top-up has reached your limit", "/o/acme/buy/"),
        ("failures", "Automatic top-up is off: three payments", "/o/acme/buy/"),
        ("offer_changed", "Automatic top-up is off: the price", "/o/acme/top-up/"),
    ],
)
def test_what_became_of_a_top_up_is_said_with_the_way_out(
    acme: Organisation, ada: User, outcome: str, title: str, way_out: str
) -> None:
    """A rule that is off, or at its limit, has no order."""
    amount = {"amount_minor": 9500, "currency": "USD", "outcome": outcome}
    order = {"order": "ord_1"} if outcome in ("declined", "authenticate") else {}
    tell(acme, kind=NoticeKind.TOP_UP_FAILED, params={**amount, **order})
    page = page_of(ada)
    assert title in page
    assert f'href="{way_out}"' in page


@pytest.mark.parametrize("kind", NoticeKind)
def test_every_kind_has_words_and_leads_somewhere(
    acme: Organisation, ada: User, kind: NoticeKind
) -> None:
    tell(acme, kind=kind, params=EVERYTHING[kind])
    browser = signed_in(ada)
    english = browser.get(INBOX).content.decode()
    browser.cookies["django_language"] = "zh-hans"
    chinese = browser.get(INBOX).content.decode()
    inbox = english[english.index('<ul class="inbox') :]
    heading = inbox[inbox.index("<h2>") : inbox.index("</h2>")]
    assert 'href="/o/acme/' in heading
    assert heading not in chinese


@pytest.mark.parametrize("outcome", ["approved", "declined", "failed"])
def test_a_refund_ends_in_one_of_three_ways(acme: Organisation, ada: User, outcome: str) -> None:
    tell(acme, kind=NoticeKind.REFUND_DECIDED, params={**ORDER, "outcome": outcome})
    page = page_of(ada)
    assert f"Refund {outcome}" in page or f"Refund of $50.00 for Team {outcome}" in page
    assert ("back in your wallet" in page) is (outcome != "approved")


def test_dates_are_the_organisations(acme: Organisation, ada: User) -> None:
    Organisation.objects.update(timezone="Asia/Shanghai")
    kind = NoticeKind.LOT_EXPIRES
    tell(acme, kind=kind, params=EVERYTHING[kind])
    assert "tokens expire on 2026-12-02" in page_of(ada)


def test_the_header_counts_what_is_unread_here(
    acme: Organisation, ada: User, globex: Organisation
) -> None:
    Membership.objects.create(organisation=globex, user=ada, role=Role.OWNER)
    assert "bell-count" not in page_of(ada, "/o/acme/team/")
    for number in range(3):
        tell(acme, f"order:{number}")
    assert '<span class="bell-count" aria-hidden="true">3</span>' in page_of(ada, "/o/acme/team/")
    assert "bell-count" not in page_of(ada, "/o/globex/team/")
    for number in range(3, 105):
        tell(acme, f"order:{number}")
    assert '<span class="bell-count" aria-hidden="true">99+</span>' in page_of(ada)


def test_one_is_marked_read(acme: Organisation, ada: User, bill: User) -> None:
    tell(acme, "order:1")
    tell(acme, "order:2")
    first = Notice.objects.get(person=ada, subject="order:1")
    browser = signed_in(ada)
    for _time in range(2):
        answer = browser.post(READ, {"notice": first.public_id, "query": "after=x\r\nSet-Cookie:1"})
        assert answer.status_code == 302
        assert answer["Location"].startswith(INBOX + "?after=x%0D%0A")
    read = Notice.objects.exclude(read_at=None).get()
    assert read == first


def test_all_are_marked_but_for_those_that_came_meanwhile(acme: Organisation, ada: User) -> None:
    tell(acme, "order:1")
    tell(acme, "order:2")
    newest = Notice.objects.get(subject="order:2")
    tell(acme, "order:3")
    answer = signed_in(ada).post(READ, {"until": newest.public_id})
    assert (answer.status_code, answer["Location"]) == (302, INBOX)
    assert Notice.objects.get(read_at=None).subject == "order:3"


def test_long_inboxes_have_pages(acme: Organisation, ada: User) -> None:
    for number in range(27):
        tell(acme, f"order:{number}", params={**ORDER, "pack": f"Pack-{number:02d}"})
    browser = signed_in(ada)
    first = browser.get(INBOX)
    assert "Pack-26" in first.content.decode()
    assert "Pack-01" not in first.content.decode()
    older = browser.get(INBOX + first.context["page"].older_url).content.decode()
    assert "Pack-01" in older
    assert "Pack-02" not in older


def test_a_long_inbox_asks_no_more_often(acme: Organisation, ada: User) -> None:
    browser, counts = signed_in(ada), []
    for number in range(20):
        tell(acme, f"order:{number}")
        follow(acme, low() if number % 2 else [])
        with CaptureQueriesContext(connection) as queries:
            browser.get(INBOX)
        counts.append(len(queries))
    assert max(counts) == counts[1] <= 15


def test_a_cause_is_told_when_it_begins_gets_worse_and_begins_anew(
    acme: Organisation, ada: User
) -> None:
    assert follow(acme, low(7)) == 1
    assert follow(acme, low(7)) == follow(acme, low(None)) == 0
    assert follow(acme, low(3)) == 1
    assert follow(acme, low(7)) == 0
    assert follow(acme, []) == 0
    assert "No longer so" in page_of(ada)
    assert follow(acme, low(7)) == 1
    assert NoticeCause.objects.count() == 2
    assert Notice.objects.count() == 3


def test_a_cause_that_only_wavers_is_not_told(acme: Organisation, ada: User) -> None:
    assert follow(acme, low(None)) == 0
    assert not NoticeCause.objects.exists()


def test_a_cause_at_once_in_many_processes_is_told_once(committed_db: Any) -> None:
    acme = make_organisation()
    make_member(acme, "bill@acme.example", Role.BILLING)

    def tell_twice(_number: int) -> int:
        try:
            tell(acme)
            return follow(acme, low())
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(tell_twice, range(8))) == 2
    assert NoticeCause.objects.count() == 1
    assert Notice.objects.count() == 4


def test_the_database_keeps_each_thing_told_once(acme: Organisation, ada: User) -> None:
    tell(acme)
    notice = Notice.objects.get()
    notice.pk, notice.public_id = None, "ntc_other"
    with pytest.raises(IntegrityError), transaction.atomic():
        notice.save()
    follow(acme, low())
    cause = NoticeCause.objects.get()
    cause.pk, cause.public_id = None, "ncs_other"
    with pytest.raises(IntegrityError), transaction.atomic():
        cause.save()


def test_a_clock_that_is_set_back_tells_nothing_anew(acme: Organisation, ada: User) -> None:
    now = utc_now()
    assert follow(acme, low(), now=now) == 1
    assert follow(acme, low(), now=now - timedelta(days=400)) == 0
    assert follow(acme, low(), now=now + timedelta(days=400)) == 0


CHOICES = "/o/acme/notifications/settings/"


def test_everybody_chooses_for_themselves(acme: Organisation, ada: User, bill: User) -> None:
    answer = signed_in(bill).post(CHOICES, {"form": "choices", "order_failed_mail": "on"})
    assert (answer.status_code, answer["Location"]) == (302, CHOICES)
    tell(acme, kind=NoticeKind.DAYS_LEFT, params=EVERYTHING[NoticeKind.DAYS_LEFT])
    tell(acme, kind=NoticeKind.ORDER_FAILED)
    assert Notice.objects.filter(person=ada).count() == 2
    failed = Notice.objects.get(person=bill)
    assert (failed.kind, failed.in_portal, failed.mail_due) == ("order_failed", False, True)
    assert "Nothing to tell you yet." in page_of(bill)


def test_what_announces_a_stop_an_expiry_or_a_charge_stays_in_the_portal(
    acme: Organisation, ada: User
) -> None:
    """Nothing is ticked, as a forged form could have it."""
    signed_in(ada).post(CHOICES, {"form": "choices"})
    kept = {
        (row.kind, row.in_portal, row.by_mail)
        for row in NoticePreference.objects.all()
        if row.in_portal or row.by_mail
    }
    assert kept == {
        ("balance_low", True, False),
        ("budget_reached", True, False),
        ("own_budget_reached", True, False),
        ("lot_expires", True, False),
        ("top_up_failed", True, False),
        ("top_up_paid", True, True),
        ("webhook_stopped", True, False),
    }
    follow(acme, low())
    assert not Notice.objects.get().mail_due


def test_a_member_chooses_nothing_about_money(acme: Organisation, mia: User) -> None:
    browser = signed_in(mia)
    page = browser.get(CHOICES).content.decode()
    assert "Your purchase request decided" in page
    assert "Few tokens left" not in page
    assert "Low balance" not in page
    browser.post(CHOICES, {"form": "choices", "balance_low_mail": "on"})
    browser.post(CHOICES, {"form": "mark", "low_balance_tokens": "5"})
    chosen = NoticePreference.objects.values_list("kind", flat=True)
    assert set(chosen) == {"own_budget_reached", "purchase_decided"}
    assert Organisation.objects.get().low_balance_tokens is None


@pytest.mark.parametrize(("typed", "kept"), [("5000", 5000), ("0", 0), ("", None)])
def test_billing_sets_the_organisations_mark(
    acme: Organisation, bill: User, typed: str, kept: int | None
) -> None:
    Organisation.objects.update(low_balance_tokens=7)
    signed_in(bill).post(CHOICES, {"form": "mark", "low_balance_tokens": typed})
    assert Organisation.objects.get().low_balance_tokens == kept
    event = AuditEvent.objects.get(action="organisation.changed")
    assert (event.before, event.after) == (
        {"low_balance_tokens": 7},
        {"low_balance_tokens": kept},
    )


@pytest.mark.parametrize("typed", ["-1", "many", "1.5", "1000000000001", "9" * 30])
def test_a_mark_that_is_none_is_refused(acme: Organisation, ada: User, typed: str) -> None:
    answer = signed_in(ada).post(CHOICES, {"form": "mark", "low_balance_tokens": typed})
    assert answer.status_code == 200
    assert "<title>Error:" in answer.content.decode()
    assert Organisation.objects.get().low_balance_tokens is None
    assert not AuditEvent.objects.exists()


def test_old_notices_go_and_causes_that_last_stay(
    acme: Organisation, ada: User, settings: LazySettings
) -> None:
    now = utc_now()
    long_ago = now - timedelta(days=settings.NOTICE_KEEP_DAYS, seconds=1)
    tell(acme, now=long_ago)
    follow(acme, low(), now=long_ago)
    tell(acme, "order:2", now=now - timedelta(days=settings.NOTICE_KEEP_DAYS - 1))
    assert accounts.prune_notices(now=now) == 2
    assert Notice.objects.get().subject == "order:2"
    assert follow(acme, low(), now=now) == 0
    follow(acme, [], now=long_ago)
    assert accounts.prune_notices(now=now) == 0
    assert not NoticeCause.objects.exists()
