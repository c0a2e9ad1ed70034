"""Checks 14, 15 and 16: what payment providers know against what we keep. Each drift is injected
and seen twice; a healthy shop raises nothing. Clones of the database, since snapshots read it."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from accounts.models import Organisation, User
from accounts.services import SYSTEM_ACTOR
from marketplace.billing import services as billing
from marketplace.billing.models import (
    Attempt,
    Order,
    Pack,
    SandboxEvent,
    SandboxSession,
    StrayPayment,
)
from marketplace.billing.sandbox import processor
from marketplace.ledger.models import Lot, Wallet
from marketplace.reconciliation import services
from marketplace.reconciliation.models import Finding, FindingState
from portal.kernel.clock import utc_now
from tests.billing.shop import (
    MILLION,
    balance_of,
    credited_once,
    deliver,
    make_pack,
    open_order,
    pay,
    untouched,
)

pytestmark = pytest.mark.usefixtures("committed_db")
NUMBERS = (14, 15, 16)


@pytest.fixture
def pack(committed_db: Any, acme: Organisation) -> Pack:
    return make_pack()


@pytest.fixture
def order(acme: Organisation, pack: Pack) -> Order:
    """An order that was paid and credited."""
    order, session = open_order(acme, pack)
    deliver(*pay(session))
    assert credited_once(order)
    return order


def run(times: int = 2, *, after: timedelta = timedelta(minutes=3)) -> datetime:
    """So many runs of five minutes apart, of which the first comes when webhooks had their time."""
    now = utc_now() + after
    for _ in range(times):
        services.reconcile_balances(trigger="command", now=now)
        now += timedelta(minutes=5)
    return now


def inject(sql: str, *parameters: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)


def findings(number: int) -> list[Finding]:
    """Those of one check; the other two have none."""
    others = Finding.objects.filter(check_number__in=set(NUMBERS) - {number})
    assert not others.exists(), list(others)
    return list(Finding.objects.filter(check_number=number).order_by("pk"))


def resolve(finding: Finding, sam: User) -> None:
    services.resolve_finding(
        finding=finding, note="Given back.", user=sam, actor=SYSTEM_ACTOR, now=utc_now()
    )


def is_frozen(acme: Organisation) -> bool:
    return Wallet.objects.filter(owner_key=acme.public_id, frozen=True).exists()


def test_an_order_paid_just_before_a_second_was_over_raises_nothing(
    acme: Organisation, pack: Pack
) -> None:
    order, session = open_order(acme, pack)
    pay(session)
    just_before = utc_now().replace(microsecond=999_771)
    assert billing.settle_order(order_public_id=order.public_id, now=just_before)
    run(2)
    assert not Finding.objects.exists()
    assert not is_frozen(acme)


def test_a_healthy_shop_raises_nothing(acme: Organisation, pack: Pack, order: Order) -> None:
    """Paid, declined and paid, left open, cancelled, under way, and in another currency."""
    declined, session = open_order(acme, pack, key="declined")
    processor.decline(session_id=session.session_id, now=utc_now())
    billing.settle_order(order_public_id=declined.public_id, now=utc_now())
    billing.open_payment(order=declined, now=utc_now())
    deliver(*pay(SandboxSession.objects.latest("id")))
    open_order(acme, pack, key="left open")
    cancelled, _ = open_order(acme, pack, key="cancelled")
    billing.cancel_order(order=cancelled, actor=SYSTEM_ACTOR, now=utc_now())
    under_way, session = open_order(acme, pack, key="under way")
    processor.pay_later(session_id=session.session_id, delay=timedelta(minutes=9), now=utc_now())
    deliver(*session.events.all())
    _yen, session = open_order(acme, pack, key="yen", currency="JPY", quantity=2)
    deliver(*pay(session))
    run(3)
    assert not Finding.objects.exists()
    under_way.refresh_from_db()
    assert under_way.status == "processing"


def test_a_payment_that_nobody_heard_of_is_credited(acme: Organisation, pack: Pack) -> None:
    order, session = open_order(acme, pack)
    pay(session)
    run()
    assert credited_once(order)
    [finding] = findings(14)
    assert finding.state == FindingState.RESOLVED


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE billing_order SET amount_minor = amount_minor - 1",
        "UPDATE billing_order SET currency = 'EUR'",
        "UPDATE billing_order SET paid_millitokens = paid_millitokens + 1",
        "UPDATE billing_order SET bonus_millitokens = bonus_millitokens - 1",
        "UPDATE billing_order SET status = 'pending', paid_at = NULL",
    ],
)
def test_an_order_that_says_something_else_than_its_lots_freezes_the_wallet(
    acme: Organisation, order: Order, settings: Any, sql: str
) -> None:
    settings.SANDBOX_PAYMENTS = False  # so that only our own two records can tell
    inject(sql)
    run()
    [finding] = findings(14)
    assert (finding.state, finding.froze_wallet) == (FindingState.OPEN, True)
    assert is_frozen(acme)


def test_a_paid_order_without_its_lots_is_a_finding(
    acme: Organisation, pack: Pack, settings: Any
) -> None:
    order, _session = open_order(acme, pack)
    settings.SANDBOX_PAYMENTS = False
    inject("UPDATE billing_order SET status = 'paid', paid_at = created_at")
    run()
    [finding] = findings(14)
    assert finding.state == FindingState.OPEN
    assert not Lot.objects.filter(reference=order.reference).exists()


def second_payment(acme: Organisation, pack: Pack) -> tuple[Order, SandboxSession]:
    """An order that was credited, and another session of it that is paid but not heard of."""
    order, first = open_order(acme, pack)
    Attempt.objects.update(state="closed")
    Order.objects.update(status="failed")
    order.refresh_from_db()
    billing.open_payment(order=order, now=utc_now())
    deliver(*pay(SandboxSession.objects.latest("id")))
    assert credited_once(order)
    SandboxSession.objects.filter(pk=first.pk).update(state="open")
    pay(first)
    return order, first


def test_a_second_payment_nobody_heard_of_is_remembered_and_told(
    acme: Organisation, pack: Pack, sam: User
) -> None:
    order, session = second_payment(acme, pack)
    subject = f"payment:sandbox:{session.payment_id}"
    run(1)
    [suspected] = findings(15)
    assert (suspected.subject, suspected.state) == (subject, FindingState.SUSPECTED)
    assert not StrayPayment.objects.exists()
    run(1, after=timedelta(minutes=9))
    assert StrayPayment.objects.get().order == order
    run(2, after=timedelta(minutes=15))
    placed, told = findings(15)
    assert placed.state == FindingState.RESOLVED
    assert (told.subject, told.state) == (subject, FindingState.OPEN)
    assert (told.detail["amount_minor"], told.detail["currency"]) == (9500, "USD")
    assert told.at_stake_millitokens == 95 * MILLION
    assert not is_frozen(acme)
    assert credited_once(order)
    assert balance_of(acme) == 105 * MILLION
    resolve(told, sam)
    run(2, after=timedelta(minutes=30))
    assert len(findings(15)) == 2


def test_a_payment_without_an_order_is_remembered_and_told(acme: Organisation, pack: Pack) -> None:
    order, session = open_order(acme, pack)
    pay(session)
    inject(
        "UPDATE billing_order SET public_id = 'ord_other', provider_session_id = NULL,"
        " provider_payment_id = NULL"
    )
    inject("UPDATE billing_attempt SET session_id = ''")
    run(4)
    [stray] = StrayPayment.objects.all()
    assert (stray.kind, stray.payment_id, stray.order) == ("unmatched", session.payment_id, None)
    _placed, told = findings(15)
    assert told.state == FindingState.OPEN
    assert told.at_stake_millitokens == 95 * MILLION
    assert not Lot.objects.exists()
    assert order.public_id != "ord_other"


def test_a_stray_payment_whose_suspense_is_gone_is_told(acme: Organisation, pack: Pack) -> None:
    second_payment(acme, pack)
    deliver(*SandboxEvent.objects.order_by("id"))
    inject("UPDATE billing_straypayment SET suspense_millitokens = suspense_millitokens - 7")
    run()
    told = {finding.subject.split(":")[0]: finding for finding in findings(15)}
    assert set(told) == {"payment", "suspense"}
    assert told["suspense"].at_stake_millitokens == 7
    assert told["suspense"].state == FindingState.OPEN


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("UPDATE billing_sandboxsession SET amount_minor = amount_minor - 1", "amount_minor"),
        ("UPDATE billing_sandboxsession SET currency = 'EUR'", "currency"),
        ("UPDATE billing_sandboxsession SET payment_state = 'unpaid'", "payment_state"),
        ("UPDATE billing_sandboxsession SET metadata = '{}'", "organisation"),
        (
            "UPDATE billing_sandboxsession SET session_id = 'sbx_gone', payment_id = 'sbp_gone',"
            " payment_state = 'unpaid'",
            "session",
        ),
    ],
)
def test_a_provider_that_disagrees_about_a_paid_order_freezes_the_wallet(
    acme: Organisation, order: Order, sql: str, said: str
) -> None:
    inject(sql)
    run(1)
    assert not is_frozen(acme)
    run(1, after=timedelta(minutes=9))
    [finding] = findings(16)
    assert (finding.state, finding.froze_wallet) == (FindingState.OPEN, True)
    assert finding.subject == f"order:{order.public_id}"
    assert said in finding.detail
    assert is_frozen(acme)
    assert credited_once(order)


def test_what_staff_decided_about_a_disagreement_is_not_brought_up_again(
    acme: Organisation, order: Order, sam: User
) -> None:
    inject("UPDATE billing_sandboxsession SET amount_minor = amount_minor - 1")
    run()
    [finding] = findings(16)
    resolve(finding, sam)
    assert not is_frozen(acme)
    run(after=timedelta(minutes=30))
    assert len(findings(16)) == 1
    assert not is_frozen(acme)


def test_a_payment_that_was_not_ordered_so_stays_a_finding(
    acme: Organisation, pack: Pack, sam: User
) -> None:
    """Neither credited nor repaired away, however many runs there are; then put right."""
    order, session = open_order(acme, pack)
    SandboxSession.objects.update(amount_minor=9000)
    deliver(*pay(session))
    run(6)
    [finding] = findings(16)
    assert (finding.state, finding.froze_wallet) == (FindingState.OPEN, False)
    assert finding.subject == f"order:{order.public_id}"
    assert untouched(order)
    SandboxSession.objects.update(amount_minor=9500)
    run(2, after=timedelta(minutes=60))
    assert credited_once(order)


def test_a_mismatch_of_an_earlier_session_is_told_once(acme: Organisation, pack: Pack) -> None:
    order, first = open_order(acme, pack)
    inject("UPDATE billing_attempt SET state = 'closed'")
    inject("UPDATE billing_order SET status = 'failed'")
    order.refresh_from_db()
    billing.open_payment(order=order, now=utc_now())
    SandboxSession.objects.filter(pk=first.pk).update(amount_minor=9000, metadata={})
    deliver(*pay(first))
    run(6)
    [finding] = findings(16)
    assert finding.state == FindingState.OPEN
    assert untouched(order)
    assert not StrayPayment.objects.exists()


def test_a_provider_out_of_reach_accuses_nobody(
    acme: Organisation, order: Order, settings: Any
) -> None:
    settings.SANDBOX_PAYMENTS = False
    run()
    assert not Finding.objects.exists()
