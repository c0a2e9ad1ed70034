"""What organisations are warned of: by their wallets, by the forecast, by what expires."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import connection

from accounts.models import Notice, NoticeCause, Organisation, User
from marketplace.catalog.models import Service
from marketplace.ledger import services as ledger
from marketplace.metering import services as metering
from portal.kernel.clock import utc_now
from portal.web import notices, tasks
from tests.cast import make_key, make_organisation
from tests.market import MILLION_TOKENS, give_tokens, make_call

pytest_plugins = ["tests.partners.fixtures"]

TOKEN = 1000
LOW = 100_000 * TOKEN  # the usual mark
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def watch(now: datetime = NOON) -> int:
    return notices.watch_balances(now=now)


def told() -> list[tuple[str, Any]]:
    """(kind, what is special about it), oldest first."""
    special = {"balance_low": "left_millitokens", "days_left": "days", "lot_expires": "expires_at"}
    return [
        (notice.kind, notice.params[special[notice.kind]])
        for notice in Notice.objects.order_by("pk")
    ]


def test_a_full_wallet_is_no_news(acme: Organisation, ada: User) -> None:
    give_tokens(acme, now=NOON)
    assert (watch(), told()) == (0, [])


def test_who_never_had_a_token_is_not_warned(acme: Organisation, ada: User) -> None:
    assert (watch(), told()) == (0, [])


def test_a_low_balance_is_told_once_and_again_only_after_it_recovered(
    acme: Organisation, ada: User
) -> None:
    give_tokens(acme, LOW - 1, now=NOON)
    assert (watch(), watch(), watch(NOON + timedelta(days=90))) == (1, 0, 0)
    give_tokens(acme, 1, reference="bonus:1", now=NOON)
    assert watch() == 0
    assert NoticeCause.objects.get().ended_at == NOON
    Organisation.objects.update(low_balance_tokens=200_000)
    assert (watch(), watch()) == (1, 0)
    assert told() == [("balance_low", LOW - 1), ("balance_low", LOW)]


def test_the_mark_is_the_organisations_own(
    acme: Organisation, ada: User, globex: Organisation, gus: User
) -> None:
    give_tokens(acme, 10 * TOKEN, now=NOON)
    give_tokens(globex, 10 * TOKEN, now=NOON)
    Organisation.objects.filter(pk=acme.pk).update(low_balance_tokens=0)
    Organisation.objects.filter(pk=globex.pk).update(low_balance_tokens=11)
    assert watch() == 1
    assert Notice.objects.get().organisation == globex


def test_a_hold_is_no_low_balance_and_test_tokens_are_none(acme: Organisation, ada: User) -> None:
    give_tokens(acme, LOW, now=NOON)
    ledger.grant_lot(
        owner_key=acme.public_id,
        unit="test",
        reference="test:1",
        kind="grant",
        face_millitokens=1,
        debits=[("promotion", "operator", 1)],
        now=NOON,
        expires_at=NOON + timedelta(days=2),
    )
    assert (watch(), told()) == (0, [])


def test_expiry_is_told_30_7_and_1_days_before_and_no_more(acme: Organisation, ada: User) -> None:
    expires_at = NOON + timedelta(days=90)
    give_tokens(acme, expires_at=expires_at, now=NOON)
    written = {
        days: watch(expires_at - timedelta(days=days))
        for days in (90, 31, 30, 29, 8, 7, 6, 2, 1, 0)
    }
    assert written == {90: 0, 31: 0, 30: 1, 29: 0, 8: 0, 7: 1, 6: 0, 2: 0, 1: 1, 0: 0}
    assert told() == [("lot_expires", expires_at.isoformat())] * 3
    assert NoticeCause.objects.get().ended_at == expires_at


def test_only_the_most_urgent_is_told_of_what_came_late(acme: Organisation, ada: User) -> None:
    give_tokens(acme, expires_at=NOON + timedelta(days=5), now=NOON)
    assert (watch(), watch()) == (1, 0)
    assert NoticeCause.objects.get().stage == 7


def test_each_purchase_has_its_own_expiry_and_its_bonus_expires_with_it(
    acme: Organisation, ada: User
) -> None:
    for reference, days in (("order:1", 6), ("order:2", 20)):
        for kind, face in (("paid", MILLION_TOKENS), ("bonus", TOKEN)):
            ledger.grant_lot(
                owner_key=acme.public_id,
                unit="live",
                reference=reference,
                kind=kind,
                face_millitokens=face,
                debits=[("clearing", "sandbox", face)],
                expires_at=NOON + timedelta(days=days),
                now=NOON,
            )
    assert watch() == 2
    lefts = [notice.params["left_millitokens"] for notice in Notice.objects.all()]
    assert lefts == [MILLION_TOKENS + TOKEN] * 2


def test_a_clock_that_is_set_back_a_little_tells_nothing_twice(
    acme: Organisation, ada: User
) -> None:
    expires_at = NOON + timedelta(days=90)
    give_tokens(acme, expires_at=expires_at, now=NOON)
    mark = expires_at - timedelta(days=30)
    steps = (0, -1, 1, -3600, 3600)
    assert [watch(mark + timedelta(seconds=step)) for step in steps] == [1, 0, 0, 0, 0]


@pytest.fixture
def burning(acme: Organisation, ada: User, rhine_service: Service) -> datetime:
    """When seven full days have cost 10,000 tokens each; what is left is for the test to say."""
    Organisation.objects.update(low_balance_tokens=0)
    give_tokens(acme)
    key = make_key(acme, created_by=ada)[1]
    began = utc_now()
    for day in range(7):
        # rhine asks 0.8 tokens for output.
        make_call(
            key,
            rhine_service,
            prompt_tokens=0,
            completion_tokens=12_500,
            now=began + timedelta(days=day),
        )
    metering.roll_up_usage(now=began + timedelta(days=7))
    return began + timedelta(days=7)


DAY = 10_000 * TOKEN


def leave(millitokens: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "_count_left", lambda _organisation: millitokens)


def test_days_left_are_told_at_7_3_and_1_and_again_only_after_recovery(
    burning: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def days(count: int) -> int:
        leave(count * DAY, monkeypatch)
        return watch(burning)

    assert [days(count) for count in (93, 8, 7, 8, 6, 7, 3, 4, 2, 13, 7)] == [
        0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0,
    ]  # fmt: skip
    assert [days(count) for count in (1, 0, 14, 7)] == [1, 0, 0, 1]
    assert told() == [("days_left", 7), ("days_left", 3), ("days_left", 1), ("days_left", 7)]


def test_a_balance_that_falls_at_once_is_told_once(
    burning: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(DAY // 2, monkeypatch)
    assert (watch(burning), watch(burning)) == (1, 0)
    assert told() == [("days_left", 0)]


def test_a_pause_in_usage_is_no_recovery(
    burning: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(7 * DAY, monkeypatch)
    assert watch(burning) == 1
    assert watch(burning + timedelta(days=6)) == 0
    assert NoticeCause.objects.get().ended_at is None
    assert watch(burning) == 0


def test_beat_writes_and_mails(acme: Organisation, ada: User) -> None:
    give_tokens(acme, TOKEN)
    tasks.watch_balances()
    tasks.watch_balances()
    [message] = mail.outbox
    assert message.to == [ada.email]
    assert message.subject.startswith("Only 1 tokens are left")


def test_watchers_at_once_tell_and_mail_once(committed_db: Any) -> None:
    acme = make_organisation()
    give_tokens(acme, TOKEN, expires_at=utc_now() + timedelta(days=3))

    def look(_number: int) -> None:
        try:
            tasks.watch_balances()
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(look, range(8)))
    assert sorted(kind for kind, _special in told()) == ["balance_low", "lot_expires"]
    assert len(mail.outbox) == 2
