"""Mails of notices: once, while it is still so, to who may still know, in their language."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.core.mail import EmailMultiAlternatives
from django.core.mail.backends.locmem import EmailBackend
from django.db import connection

from accounts import services as accounts
from accounts.models import Membership, Notice, NoticeKind, Organisation, User
from accounts.notice_kinds import Channels
from portal.kernel.clock import utc_now
from tests.accounts.test_notices import ORDER, follow, low, tell
from tests.cast import make_organisation, signed_in


def mail_now(**later: float) -> int:
    return accounts.mail_due_notices(now=utc_now() + timedelta(**later))


def test_each_reader_gets_one_mail_in_their_language(
    acme: Organisation, ada: User, bill: User
) -> None:
    accounts.update_person(user=bill, language="zh-hans")
    follow(acme, low())
    assert mail.outbox == []
    assert (mail_now(), mail_now(), mail_now(days=1)) == (2, 0, 0)
    to_ada, to_bill = mail.outbox
    assert (to_ada.to, to_bill.to) == ([ada.email], [bill.email])
    assert to_ada.subject == "Only 12.3K tokens are left · Acme Ltd"
    assert to_bill.subject == "仅剩 1.23万 词元 · Acme Ltd"
    assert Notice.objects.filter(mailed_at__isnull=False, mail_due=False).count() == 2


def test_a_mail_leads_to_the_cause_the_way_out_and_the_choices(
    acme: Organisation, ada: User, settings: Any
) -> None:
    settings.SITE_URL = "https://market.example"
    Organisation.objects.update(name="Acme <b>& Sons")
    follow(acme, low())
    mail_now()
    message = mail.outbox[0]
    assert isinstance(message, EmailMultiAlternatives)
    page, kind = message.alternatives[0]
    assert kind == "text/html"
    for place in ("wallet/", "buy/", "notifications/settings/"):
        address = f"https://market.example/o/acme/{place}"
        assert f"\n{address}\n" in str(message.body)
        assert f'href="{address}"' in str(page)
    assert "Acme <b>& Sons" in str(message.body)
    assert "Acme &lt;b&gt;&amp; Sons" in str(page)
    assert message.extra_headers["Auto-Submitted"] == "auto-generated"


def test_what_is_over_before_it_is_mailed_is_not_mailed(acme: Organisation, ada: User) -> None:
    follow(acme, low())
    follow(acme, [])
    assert (mail_now(), mail.outbox) == (0, [])
    notice = Notice.objects.get()
    assert (notice.mail_due, notice.mailed_at) == (False, None)
    follow(acme, low())
    assert mail_now() == 1


def test_who_read_left_was_barred_or_switched_it_off_gets_no_mail(
    acme: Organisation, ada: User, bill: User
) -> None:
    tell(acme, kind=NoticeKind.ORDER_FAILED)
    Membership.objects.filter(user=bill).delete()
    notice = Notice.objects.get(person=ada)
    signed_in(ada).post("/o/acme/notifications/read/", {"notice": notice.public_id})
    assert mail_now() == 0

    tell(acme, "order:2", kind=NoticeKind.ORDER_FAILED)
    accounts.choose_channels(
        organisation=acme, person=ada, chosen={NoticeKind.ORDER_FAILED: Channels(True, False)}
    )
    assert mail_now() == 0

    follow(acme, low())
    User.objects.update(is_active=False)
    assert (mail_now(), mail.outbox) == (0, [])
    assert not Notice.objects.filter(mail_due=True).exists()


def test_orders_that_are_paid_are_not_mailed_since_the_invoice_is(
    acme: Organisation, ada: User
) -> None:
    tell(acme)
    assert mail_now() == 0
    assert Notice.objects.get().mail_due is False


class DeadServer(EmailBackend):
    def send_messages(self, messages: Any) -> int:
        raise ConnectionRefusedError


def test_a_mail_server_that_is_down_is_asked_again(
    acme: Organisation, ada: User, settings: Any
) -> None:
    tell(acme, kind=NoticeKind.ORDER_FAILED)
    working = settings.EMAIL_BACKEND
    settings.EMAIL_BACKEND = f"{__name__}.DeadServer"
    assert mail_now() == 0
    settings.EMAIL_BACKEND = working
    assert mail_now(minutes=4) == 0
    assert mail_now(minutes=6) == 1


def test_after_days_it_is_no_news(acme: Organisation, ada: User) -> None:
    tell(acme, kind=NoticeKind.ORDER_FAILED, now=utc_now() - timedelta(days=2, seconds=1))
    assert (mail_now(), mail.outbox) == (0, [])
    assert "bell-count" in signed_in(ada).get("/o/acme/notifications/").content.decode()


class Killed(BaseException):
    """What a process that is killed leaves behind: no handler runs."""


class DeadlyServer(EmailBackend):
    def send_messages(self, messages: Any) -> int:
        raise Killed


def test_a_sender_that_dies_between_claim_and_sending_loses_nothing(
    acme: Organisation, ada: User, settings: Any
) -> None:
    tell(acme, kind=NoticeKind.ORDER_FAILED)
    working = settings.EMAIL_BACKEND
    settings.EMAIL_BACKEND = f"{__name__}.DeadlyServer"
    with pytest.raises(Killed):
        mail_now()
    settings.EMAIL_BACKEND = working
    assert mail_now() == 0
    assert mail_now(minutes=6) == 1


def test_a_claim_from_before_the_clock_was_set_back_does_not_hold_up(
    acme: Organisation, ada: User
) -> None:
    tell(acme, kind=NoticeKind.ORDER_FAILED)
    Notice.objects.update(mail_leased_until=utc_now() + timedelta(days=300))
    assert mail_now() == 1


def test_many_senders_at_once_send_each_mail_once(committed_db: Any) -> None:
    acme = make_organisation()
    for number in range(5):
        tell(acme, f"order:{number}", kind=NoticeKind.ORDER_FAILED, params=ORDER)

    def send(_number: int) -> int:
        try:
            return mail_now()
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(send, range(8))) == 5
    assert len(mail.outbox) == 5
