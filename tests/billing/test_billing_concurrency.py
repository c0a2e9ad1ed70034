"""Many at once and killed at every moment: real threads, real processes, real commits."""

import os
import signal
import threading
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, connections

from accounts.models import Organisation
from marketplace.billing import services
from marketplace.billing.models import (
    Attempt,
    Document,
    DocumentCounter,
    InboxEvent,
    Order,
    SandboxSession,
    StrayPayment,
)
from marketplace.billing.sandbox import delivery
from marketplace.billing.sandbox import processor as sandbox
from marketplace.billing.services.inbox import LEASE
from marketplace.ledger.models import Entry
from portal.kernel.clock import utc_now
from tests.billing.processors import Processor, post_event, stand_before_pay_page
from tests.billing.shop import (
    balance_of,
    credited_once,
    make_pack,
    open_order,
    pay,
    start_order,
    untouched,
)
from tests.cast import make_organisation
from tests.databases import CommittedDatabase


def at_once(count: int, act: Callable[[int], Any]) -> list[Any]:
    """``act`` in so many threads that start together; what each returned or raised."""
    barrier = threading.Barrier(count)
    results: list[Any] = [None] * count

    def run(number: int) -> None:
        barrier.wait()
        try:
            results[number] = act(number)
        except Exception as error:
            results[number] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def survives_in_child(act: Callable[[], object], kill_before: int) -> bool:
    """``act`` in a process that kills itself (-9) before this statement (from 0); whether it had
    fewer and came to its end."""
    connections.close_all()
    child = os.fork()
    if child == 0:
        seen = 0

        def kill_at_statement(execute, sql, params, many, context):
            nonlocal seen
            if seen == kill_before:
                os.kill(os.getpid(), signal.SIGKILL)
            seen += 1
            return execute(sql, params, many, context)

        try:
            with connection.execute_wrapper(kill_at_statement):
                act()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return not os.WIFSIGNALED(status)


@pytest.fixture
def acme_with_order(committed_db: CommittedDatabase) -> tuple[Organisation, Order, SandboxSession]:
    acme = make_organisation("Acme Ltd", slug="acme")
    order, session = open_order(acme, make_pack())
    return acme, order, session


def test_the_same_event_twenty_times_at_once(
    committed_db: CommittedDatabase, processor: Processor
) -> None:
    acme = make_organisation("Acme Ltd", slug="acme")
    order, session_id = stand_before_pay_page(acme, make_pack())
    event = processor.pay(session_id)[0]

    def act(_number: int) -> int:
        status = post_event(processor, event)
        services.drive_inbox(now=utc_now())
        return status

    assert at_once(20, act) == [200] * 20
    assert InboxEvent.objects.get().state == "done"
    assert credited_once(order)
    assert balance_of(acme) == order.total_millitokens


def test_everybody_settles_at_once(committed_db: CommittedDatabase, processor: Processor) -> None:
    """Webhook, sweep, reconciliation and an impatient buyer, five of each."""
    acme = make_organisation("Acme Ltd", slug="acme")
    order, session_id = stand_before_pay_page(acme, make_pack())
    events = processor.pay(session_id)
    ways = [
        lambda: post_event(processor, events[0]) and services.drive_inbox(now=utc_now()),
        lambda: services.sweep_orders(now=utc_now()),
        lambda: services.settle_order(order_public_id=order.public_id, now=utc_now()),
        delivery.deliver_due_events,
    ]
    results = at_once(20, lambda number: ways[number % 4]())
    assert not [result for result in results if isinstance(result, Exception)]
    assert credited_once(order)
    assert balance_of(acme) == order.total_millitokens


def test_one_key_in_twenty_submits_is_one_order(
    committed_db: CommittedDatabase, processor: Processor
) -> None:
    acme, pack = make_organisation("Acme Ltd", slug="acme"), make_pack()

    def act(_number: int) -> tuple[str, str]:
        order = start_order(acme, pack, key="form")
        return order.public_id, services.open_payment(order=order, now=utc_now())

    assert len(set(at_once(20, act))) == 1
    assert Order.objects.count() == Attempt.objects.count() == processor.count_sessions() == 1


def test_two_payments_of_one_order_at_once_credit_once_and_leave_one_stray(acme_with_order) -> None:
    acme, order, first = acme_with_order
    Attempt.objects.update(state="closed")
    Order.objects.update(status="failed")
    order.refresh_from_db()
    services.open_payment(order=order, now=utc_now())
    second = SandboxSession.objects.latest("id")
    paid = [first.session_id, second.session_id]
    pay(first)
    pay(second)

    def act(number: int) -> bool:
        return services.settle_order(
            order_public_id=order.public_id, object_id=paid[number % 2], now=utc_now()
        )

    assert at_once(12, act) == [True] * 12
    assert credited_once(order)
    assert balance_of(acme) == order.total_millitokens
    stray = StrayPayment.objects.get()
    assert {stray.session_id, order.provider_session_id} == set(paid)
    posted = Entry.objects.filter(transaction__reference=stray.reference)
    assert [entry.amount_millitokens for entry in posted] == [order.tariff_millitokens]


def test_two_tabs_paying_one_order_pay_once(acme_with_order) -> None:
    acme, order, session = acme_with_order

    def act(_number: int) -> bool:
        paid = sandbox.pay(session_id=session.session_id, now=utc_now())
        delivery.deliver_due_events()
        return paid

    assert at_once(8, act).count(True) == 1
    services.drive_inbox(now=utc_now())
    assert credited_once(order)
    assert balance_of(acme) == order.total_millitokens


def test_paying_against_cancelling_ends_one_way_or_the_other(
    committed_db: CommittedDatabase, processor: Processor
) -> None:
    from accounts.services import SYSTEM_ACTOR

    acme, pack = make_organisation("Acme Ltd", slug="acme"), make_pack()
    credited = 0
    for round_ in range(6):
        order, session_id = stand_before_pay_page(acme, pack, key=f"k{round_}")

        def act(number: int, order: Order = order, session_id: str = session_id) -> object:
            if number:
                return services.cancel_order(order=order, actor=SYSTEM_ACTOR, now=utc_now())
            return processor.pay(session_id)

        paid, _cancelled = at_once(2, act)
        services.settle_order(order_public_id=order.public_id, object_id=session_id, now=utc_now())
        order.refresh_from_db()
        assert order.status == ("paid" if paid else "cancelled")
        credited += bool(paid)
        assert credited_once(order) if paid else untouched(order)
    assert balance_of(acme) == credited * 105_000_000_000


def test_invoice_numbers_have_no_gaps_and_no_doubles(committed_db: CommittedDatabase) -> None:
    pack = make_pack()
    orders = []
    for number in range(12):
        order, session = open_order(make_organisation(f"Company {number}"), pack)
        pay(session)
        orders.append(order)
    at_once(
        12,
        lambda number: services.settle_order(
            order_public_id=orders[number].public_id, now=utc_now()
        ),
    )
    numbers = sorted(Document.objects.values_list("number", flat=True))
    assert numbers == list(range(1, 13))
    assert DocumentCounter.objects.get().last_number == 12


def test_a_worker_killed_at_any_statement_loses_and_doubles_nothing(
    committed_db: CommittedDatabase, processor: Processor
) -> None:
    """A child process drives the event and kills itself (-9) before its n-th statement, for every
    n until it survives. Each order is then finished by the next worker after the lease."""
    acme, pack = make_organisation("Acme Ltd", slug="acme"), make_pack()
    killed_with_credit = killed_without = 0
    for statement in range(200):
        order, session_id = stand_before_pay_page(acme, pack, key=f"k{statement}")
        post_event(processor, processor.pay(session_id)[0])
        survived = survives_in_child(lambda: services.drive_inbox(now=utc_now()), statement)
        if survived:
            break
        order.refresh_from_db()
        killed_with_credit += order.is_credited
        killed_without += not order.is_credited
        services.drive_inbox(now=utc_now())
        services.drive_inbox(now=utc_now() + LEASE)
        assert credited_once(order), statement
        assert InboxEvent.objects.latest("id").state == "done"
    assert survived
    assert killed_without > 10
    # Between the ledger's commit and the event's "done" lies the moment this test is named for.
    assert killed_with_credit >= 1
    assert credited_once(order)
    assert balance_of(acme) == (statement + 1) * order.total_millitokens
    numbers = sorted(Document.objects.values_list("number", flat=True))
    assert numbers == list(range(1, statement + 2)), "a rolled-back number is given out again"
