"""The books after the soak, against themselves and against what clients were told."""

import json
from collections import Counter
from datetime import timedelta
from io import StringIO
from typing import Any

from django.core.management import call_command, get_commands
from django.db import connections
from django.db.models import Sum

from marketplace.billing import services as billing
from marketplace.billing.models import CREDITED_ORDER_STATUSES, Order, SandboxSession
from marketplace.billing.sandbox.delivery import deliver_due_events
from marketplace.ledger.models import Entry, Hold, Lot, Transaction, Wallet
from marketplace.metering import services as metering
from marketplace.metering.models import Call, UsageCharge, UsageTotal
from marketplace.reconciliation import services as reconciliation
from marketplace.reconciliation.models import Finding, Run
from portal.kernel.clock import utc_now
from tests.ledger.auditor import audit
from tests.soak.processes import Fleet
from tests.soak.record import OutsideRecord
from tests.soak.steps import list_steps

# Check 22 tells people of calls that were lost, cut or lied about: there are such calls.
EXPECTED_CHECKS = {22}
# Words that no log has where locks, constraints and compare-and-set do what they should.
ALARMS = ("StateChanged", "IntegrityError", "deadlock detected", "CheckViolation", "KeyError")
# Of holds, of events that a killed worker had taken, of orders that nobody paid.
LEASES_ARE_OVER = timedelta(minutes=10)
LOST_CONNECTION = ("OperationalError", "InterfaceError", "AdminShutdown")
# What became of a call is unknown to who hears this, and so to the outside record.
UNKNOWN_CODE = "call_not_recorded"


def settle() -> None:
    """What is due now, by the schedule's own steps, until nothing moves any more; then what killed
    processes had begun, as if some minutes had passed; then two full runs of the reconciliation."""
    connections.close_all()  # ours were cut too
    steps = list_steps()
    while True:
        before = _count_rows()
        for _name, step in steps:
            step()
        if _count_rows() == before:
            break
    later = utc_now() + LEASES_ARE_OVER
    deliver_due_events(now=later)
    billing.drive_inbox(now=later)
    billing.sweep_orders(now=later)
    metering.sweep_open_calls(now=later)
    metering.roll_up_usage(now=later)
    for _turn in range(2):
        reconciliation.reconcile_balances(trigger="command", now=utc_now())


def _count_rows() -> tuple[int, ...]:
    return (Entry.objects.count(), Order.objects.filter(paid_at=None).count())


def assert_all_is_well(record: OutsideRecord, fleet: Fleet) -> None:
    """Fails at the first difference."""
    _assert_processes_were_well(fleet)
    audit()
    assert not Hold.objects.filter(state="pending").exists()
    assert not Wallet.objects.exclude(held_millitokens=0).exists()
    assert not Call.objects.filter(status="open").exists()
    _assert_calls_were_charged_once()
    _assert_record_agrees_on_calls(record)
    _assert_orders_were_credited_once(record)
    _assert_equation_closes()
    if "verify_ledger" in get_commands():
        call_command("verify_ledger", stdout=StringIO())


def _assert_processes_were_well(fleet: Fleet) -> None:
    failures = fleet.worker.failures
    assert not failures.exists(), failures.read_text()
    log = fleet.read_log()
    for alarm in ALARMS:
        assert alarm not in log, log[max(0, log.index(alarm) - 3000) : log.index(alarm) + 500]


def _assert_calls_were_charged_once() -> None:
    charges = UsageCharge.objects.values_list("event__call_id", "amount_millitokens")
    by_call = Counter(call for call, _amount in charges)
    assert not [call for call, times in by_call.items() if times > 1]
    costs = dict(Call.objects.exclude(cost_millitokens=0).values_list("pk", "cost_millitokens"))
    assert {call: amount for call, amount in charges if amount} == costs
    captured = Hold.objects.filter(call__isnull=False).values_list("call", "captured_millitokens")
    assert {call: amount for call, amount in captured if amount} == costs
    rolled_up = UsageTotal.objects.aggregate(calls=Sum("calls"), cost=Sum("cost_millitokens"))
    assert rolled_up == {"calls": Call.objects.count(), "cost": sum(costs.values())}


def _assert_record_agrees_on_calls(record: OutsideRecord) -> None:
    calls: dict[str, list[Any]] = {}
    for request, tenant, cost in Call.objects.values_list(
        "request_id", "organisation__public_id", "cost_millitokens"
    ):
        calls.setdefault(request, []).append((tenant, cost))
    for told in record.read("told"):
        # Tries at other providers come under the same request, at no cost.
        booked = [cost for tenant, cost in calls[told["request"]] if tenant == told["tenant"]]
        assert len(booked) == len(calls[told["request"]]), told
        charged = [cost for cost in booked if cost]
        assert charged == ([told["millitokens"]] if told["millitokens"] else []), (told, booked)
    for refused in record.read("refused"):
        if refused["code"] != UNKNOWN_CODE:
            assert not any(cost for _tenant, cost in calls.get(refused["request"], [])), refused


def _assert_orders_were_credited_once(record: OutsideRecord) -> None:
    lots: dict[str, Counter[str]] = {}
    for reference, kind, face in Lot.objects.filter(reference__startswith="order:").values_list(
        "reference", "kind", "face_millitokens"
    ):
        lots.setdefault(reference, Counter())[kind] += face
    paid = {order.public_id: order for order in Order.objects.exclude(paid_at=None)}
    assert lots.keys() == {order.reference for order in paid.values()}
    for order in paid.values():
        expected = {"paid": order.paid_millitokens, "bonus": order.bonus_millitokens}
        assert lots[order.reference] == expected
        assert order.status in CREDITED_ORDER_STATUSES
        assert order.invoice
    money = SandboxSession.objects.filter(payment_state="paid").values_list("session_id", flat=True)
    assert set(money) == {order.provider_session_id for order in paid.values()}
    for told in record.read("paid"):
        assert paid[told["order"]].organisation.public_id == told["tenant"]


def _assert_equation_closes() -> None:
    runs = Run.objects.filter(finished_at__isnull=False)
    failed = runs.exclude(error="")
    assert all(run.error.startswith(LOST_CONNECTION) for run in failed), list(
        failed.values("error")
    )
    for run in runs.filter(error=""):
        assert {terms["gap"] for terms in run.equation.values()} == {"0"}, run.equation
    # The tenants' tokens come from nowhere, which check 4 tells.
    findings = [
        finding
        for finding in Finding.objects.exclude(check_number__in=EXPECTED_CHECKS)
        if not str(finding.detail.get("reference", "")).startswith("soak:")
    ]
    assert not findings, [(one.check_number, one.subject, one.detail) for one in findings]


def describe(record: OutsideRecord, fleet: Fleet) -> list[str]:
    """What it survived, in lines for people."""
    statuses = Counter(Call.objects.values_list("status", flat=True))
    moved = Entry.objects.aggregate(moved=Sum("amount_millitokens"))["moved"] or 0
    kinds = Counter(Transaction.objects.values_list("kind", flat=True))
    return [
        f"kills: {json.dumps(fleet.kills)}",
        f"clients heard: {json.dumps(record.counts)}",
        f"refusals: {json.dumps(Counter(r['code'] for r in record.read('refused')))}",
        f"calls in the book: {json.dumps(statuses)}",
        f"expired holds: {Hold.objects.filter(state='expired').count()}, "
        f"expired from lots: {kinds['expiry']}, purchases: {kinds['purchase']}, "
        f"captures: {kinds['capture']}, runs of the reconciliation: {Run.objects.count()}",
        f"tokens moved: {moved // 1000:,} in {Entry.objects.count():,} entries",
    ]
