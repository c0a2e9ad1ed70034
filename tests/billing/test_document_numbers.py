"""Numbers without gaps when many processes settle at once, and some of them are killed."""

import os
import signal

from django.db import connection, connections

from accounts.models import Organisation
from marketplace.billing import services
from marketplace.billing.models import Document, DocumentCounter, Order
from portal.kernel.clock import utc_now
from tests.billing.shop import credited_once, make_pack, open_order, pay
from tests.cast import make_organisation
from tests.databases import CommittedDatabase

PROCESSES = 20


def test_twenty_processes_at_once_leave_no_gap(committed_db: CommittedDatabase) -> None:
    orders = _pay_orders()
    assert _settle_in_processes(orders) == [0] * PROCESSES
    _expect_whole_numbers(orders)


def test_processes_killed_on_the_way_leave_no_gap(committed_db: CommittedDatabase) -> None:
    """Every second one kills itself (-9) before its n-th statement, each at another place: before,
    at and after the number is taken. The next look finishes what they left."""
    orders = _pay_orders()
    ends = _settle_in_processes(orders, kill_before={at: at + 1 for at in range(0, PROCESSES, 2)})
    assert ends.count(-signal.SIGKILL) >= PROCESSES // 4
    for order in orders:
        services.settle_order(order_public_id=order.public_id, now=utc_now())
    _expect_whole_numbers(orders)


def _pay_orders() -> list[Order]:
    pack, orders = make_pack(), []
    for number in range(PROCESSES):
        company: Organisation = make_organisation(f"Company {number}")
        order, session = open_order(company, pack)
        pay(session)
        orders.append(order)
    return orders


def _settle_in_processes(orders: list[Order], kill_before: dict[int, int] | None = None) -> list:
    """One process per order, all let go at once; the exit code of each, or minus its signal."""
    connections.close_all()
    gate, release = os.pipe()
    children = []
    for at, order in enumerate(orders):
        child = os.fork()
        if child == 0:
            os.close(release)
            os.read(gate, 1)  # returns when the parent closes its end
            _settle_and_exit(order, (kill_before or {}).get(at))
        children.append(child)
    os.close(gate)
    os.close(release)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def _settle_and_exit(order: Order, kill_before: int | None) -> None:
    seen = 0

    def count(execute, sql, params, many, context):
        nonlocal seen
        seen += 1
        if seen == kill_before:
            os.kill(os.getpid(), signal.SIGKILL)
        return execute(sql, params, many, context)

    code = 1
    try:
        with connection.execute_wrapper(count):
            code = not services.settle_order(order_public_id=order.public_id, now=utc_now())
    finally:
        os._exit(code)


def _expect_whole_numbers(orders: list[Order]) -> None:
    assert sorted(Document.objects.values_list("number", flat=True)) == [*range(1, PROCESSES + 1)]
    assert DocumentCounter.objects.get().last_number == PROCESSES
    assert all(credited_once(order) for order in orders)
