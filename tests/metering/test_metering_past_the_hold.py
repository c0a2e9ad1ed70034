"""Calls that end past their hold: swept, reported late, refused, or claiming more than was held."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.urls import reverse

from accounts.models import Organisation, User
from marketplace.ledger import selectors as ledger
from marketplace.ledger import services as ledger_services
from marketplace.ledger.models import Hold
from marketplace.metering import selectors
from marketplace.metering import services as metering
from marketplace.metering.models import Call, UsageCharge, UsageEvent
from marketplace.metering.services import sweeping
from portal.kernel.clock import utc_now
from tests.cast import make_key, signed_in
from tests.databases import CommittedDatabase
from tests.market import give_tokens
from tests.metering.books import COST, everything, wallet
from tests.metering.conftest import Meter


def test_a_lost_call_that_is_reported_late(meter: Meter) -> None:
    opened = meter.open()
    later = utc_now() + timedelta(hours=1)
    assert metering.sweep_open_calls(now=later) == 1
    call = Call.objects.get()
    assert (call.status, call.error_code, call.cost_millitokens) == ("lost", "process_lost", 0)
    assert wallet(meter).held_millitokens == 0
    assert metering.roll_up_usage(now=later) == 1
    assert meter.close(opened, now=later).cost_millitokens == COST
    call.refresh_from_db()
    assert (call.status, call.cost_millitokens) == ("succeeded", COST)
    metering.roll_up_usage(now=later)
    day = call.started_at.date()
    report = selectors.get_usage(meter.acme, start_on=day, end_on=day, group_by="status")
    assert (report.calls, report.failed_calls, report.cost_millitokens) == (1, 0, COST)
    assert meter.close(opened, now=later).outcome == "replayed"


def test_late_and_the_wallet_is_empty(meter: Meter, ada: User) -> None:
    """The operator pays the provider, never the tenant, and the receipt says so."""
    opened = meter.open()
    later = utc_now() + timedelta(hours=1)
    metering.sweep_open_calls(now=later)
    meter.open(prompt_tokens=5_000_000, completion_tokens=0, expires_at=later + timedelta(hours=1))
    result = meter.close(opened, now=later)
    assert (result.cost_millitokens, result.uncovered_millitokens) == (0, COST)
    call = Call.objects.get(public_id=opened.public_id)
    assert (call.cost_millitokens, call.uncovered_millitokens) == (0, COST)
    assert (call.share_millitokens, call.commission_millitokens) == (5400, -5400)
    assert UsageCharge.objects.get().amount_millitokens == 0
    provider = meter.service.provider.public_id
    assert ledger.get_account_balance(kind="payable", owner_key=provider, unit="live") == 5400
    assert wallet(meter).posted_millitokens == 10**9
    address = reverse(
        "metering:request", kwargs={"organisation": meter.acme.slug, "call": call.public_id}
    )
    receipt = signed_in(ada).get(address).content.decode()
    assert "Of the cost above, 6 tokens were not taken from your wallet" in receipt


def test_a_claim_beyond_hold_and_wallet_is_owed_to_nobody(
    meter: Meter, globex: Organisation
) -> None:
    """The share is of what is owed; the rest waits for a person under the provider's name."""
    give_tokens(globex, 120_000)
    theirs = meter.authenticated(make_key(globex)[1])
    opened = meter.open(key=theirs)  # holds 100,000
    provider = meter.service.provider.public_id
    result = meter.close(opened, prompt_tokens=100, completion_tokens=200)
    assert (result.cost_millitokens, result.uncovered_millitokens) == (120_000, 60_000)
    call = Call.objects.get(public_id=opened.public_id)
    assert (call.cost_millitokens, call.uncovered_millitokens) == (120_000, 60_000)
    assert (call.share_millitokens, call.commission_millitokens) == (108_000, 12_000)
    assert UsageCharge.objects.get().amount_millitokens == 120_000
    lines = selectors.list_cost_lines(call)
    assert sum(line.cost_millitokens for line in lines) == 180_000
    for kind, owner, balance in (
        ("payable", provider, 108_000),
        ("commission", "operator", 12_000),
        ("suspense", provider, 60_000),
    ):
        assert ledger.get_account_balance(kind=kind, owner_key=owner, unit="live") == balance
    again = meter.close(opened, prompt_tokens=100, completion_tokens=200)
    assert (again.outcome, again.uncovered_millitokens) == ("replayed", 60_000)


@pytest.mark.parametrize("swept", [False, True])
def test_a_late_closing_can_be_refused(meter: Meter, swept: bool) -> None:
    late, other = meter.open(), meter.open(expires_at=utc_now() + timedelta(hours=2))
    later = utc_now() + timedelta(hours=1)
    if swept:
        metering.sweep_open_calls(now=later)
    before = everything()
    assert meter.close(late, now=later, late="refuse").outcome == "expired"
    assert everything() == before
    used: dict[str, Any] = {"status": "succeeded", "prompt_tokens": 10, "usage_source": "provider"}
    results = metering.close_calls(
        [
            metering.CloseCall(call=late, late="refuse", **used),
            metering.CloseCall(call=other, late="refuse", **used),
        ],
        now=later,
    )
    assert [(r.outcome, r.cost_millitokens) for r in results] == [("expired", 0), ("closed", 2000)]
    assert UsageEvent.objects.count() == 1


def test_closing_against_the_sweep(committed_db: CommittedDatabase, meter: Meter) -> None:
    """At the very instant: each call ends one way or the other, and the books balance."""
    later = utc_now() + timedelta(hours=1)
    for _round in range(5):
        calls = [meter.open() for _number in range(6)]

        def work(number: int, calls: list[Any] = calls) -> Any:
            try:
                if number == 3:
                    return metering.sweep_open_calls(now=later)
                return meter.close(calls[number], now=later)
            finally:
                connection.close()

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(work, range(6)))
    metering.sweep_open_calls(now=later)
    assert not Hold.objects.filter(state="pending").exists()
    charged = sum(Call.objects.values_list("cost_millitokens", flat=True))
    assert charged == 25 * COST
    assert wallet(meter).posted_millitokens == 10**9 - charged
    assert wallet(meter).held_millitokens == 0


def test_a_broken_wallet_keeps_no_others_calls_from_being_swept(
    meter: Meter, globex: Organisation
) -> None:
    give_tokens(globex)
    theirs = meter.open(key=meter.authenticated(make_key(globex)[1]))
    broken = meter.open()
    later = utc_now() + timedelta(hours=1)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE ledger_wallet SET held_millitokens = 0 WHERE owner_key = %s",
            [meter.acme.public_id],
        )
    assert metering.sweep_open_calls(now=later) == 1
    assert Call.objects.get(pk=theirs.call_pk).status == "lost"
    assert Call.objects.get(pk=broken.call_pk).status == "open"
    assert Hold.objects.get(public_id=broken.hold_id).state == "pending"
    assert metering.sweep_open_calls(now=later) == 0


def test_a_sweep_that_died_half_way_is_made_good(meter: Meter) -> None:
    opened = meter.open()
    later = utc_now() + timedelta(hours=1)
    ledger_services.expire_holds(now=later)
    assert metering.sweep_open_calls(now=later) == 1
    assert Call.objects.get(pk=opened.call_pk).status == "lost"


def test_calls_that_hold_nothing_are_given_up_after_their_time(
    meter: Meter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that are due, however many go into one batch; not one that may still be running."""
    monkeypatch.setattr(sweeping, "BATCH", 2)
    now = utc_now()
    free = {"prompt_tokens": 0, "completion_tokens": 0}
    due = [meter.open(now=now - metering.longest_call() - timedelta(seconds=1), **free)
           for _number in range(5)]  # fmt: skip
    meter.open(now=now - metering.longest_call() + timedelta(seconds=1), **free)
    assert metering.sweep_open_calls(now=now) == 5
    lost = Call.objects.filter(status="lost", error_code="process_lost", cost_millitokens=0)
    assert set(lost.values_list("pk", flat=True)) == {call.call_pk for call in due}
    assert Call.objects.filter(status="open").count() == 1


def test_a_call_that_is_closed_under_the_sweeps_hands_stays_closed(meter: Meter) -> None:
    """Between being found and being marked as lost, its usage is reported."""
    opened = meter.open()
    later = utc_now() + timedelta(hours=1)
    closed: list[str] = []

    def report_first(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith("UPDATE") and "process_lost" in str(params) and not closed:
            closed.append(meter.close(opened, now=later).outcome)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(report_first):
        assert metering.sweep_open_calls(now=later) == 0
    assert closed == ["closed"]
    call = Call.objects.get()
    assert (call.status, call.cost_millitokens) == ("succeeded", COST)
