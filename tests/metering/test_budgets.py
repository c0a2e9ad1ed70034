"""Budgets: counted with every hold, from the middle of a period, changed, archived, per tenant."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Barrier
from typing import Any

import pytest
from django.db import IntegrityError, connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from accounts.models import AuditEvent, Organisation, User
from accounts.services import SYSTEM_ACTOR
from marketplace.ledger.models import Hold, HoldLimit, Limit, Wallet
from marketplace.metering import selectors, services
from marketplace.metering.models import Budget, Call
from marketplace.metering.selectors import BudgetState
from portal.kernel.clock import utc_now
from tests.cast import make_key
from tests.databases import CommittedDatabase
from tests.market import give_tokens
from tests.market import make_budget as make_budget_now
from tests.metering.conftest import Meter

ONE_CALL = 100 * 200 + 100 * 800  # what the meter holds for a call
COST = 6_000
NOON = datetime(2026, 10, 7, 12, tzinfo=UTC)


make_budget = partial(make_budget_now, now=NOON)


def state_of(budget: Budget, now: datetime = NOON) -> BudgetState:
    fresh = Budget.objects.select_related("organisation").get(pk=budget.pk)
    return selectors.get_budget_states([fresh], now=now)[fresh.pk]


def try_to_open(meter: Meter, *, now: datetime = NOON, **fields: Any) -> str:
    """ "opened", or the subject of the limit that refused."""
    request = meter.request(expires_at=now + timedelta(minutes=10), **fields)
    [result] = services.open_calls([request], now=now)
    return result.decline_subject or result.outcome


def test_everybodys_calls_count_until_the_period_starts_anew(meter: Meter, mia: User) -> None:
    meter.move_to("UTC")
    budget = make_budget(meter.acme, 2 * ONE_CALL)
    of_mia = meter.authenticated(make_key(meter.acme, created_by=mia)[1])
    assert try_to_open(meter) == "opened"
    assert try_to_open(meter, key=of_mia) == "opened"
    holds = Hold.objects.filter(state="pending").count()
    assert try_to_open(meter) == budget.subject
    assert Hold.objects.filter(state="pending").count() == holds
    state = state_of(budget)
    assert (state.held_millitokens, state.left_millitokens) == (2 * ONE_CALL, 0)
    assert state.ends_at == datetime(2026, 10, 8, tzinfo=UTC)
    assert try_to_open(meter, now=NOON + timedelta(hours=12)) == "opened"


def test_a_members_budget_stops_that_member_alone(meter: Meter, mia: User) -> None:
    budget = make_budget(meter.acme, ONE_CALL, member=mia, period="total")
    of_mia = meter.authenticated(make_key(meter.acme, created_by=mia)[1])
    another = meter.authenticated(make_key(meter.acme, created_by=mia)[1])
    assert try_to_open(meter, key=of_mia) == "opened"
    assert try_to_open(meter, key=another) == budget.subject
    assert try_to_open(meter) == "opened"
    assert state_of(budget).ends_at is None
    assert state_of(budget).held_millitokens == ONE_CALL


def test_live_budgets_do_not_meet_test_tokens_nor_other_tenants(
    meter: Meter, globex: Organisation
) -> None:
    make_budget(meter.acme, 1, unit="test")
    make_budget(globex, 1)
    assert try_to_open(meter) == "opened"
    assert not HoldLimit.objects.exists()


def test_what_was_spent_and_is_held_in_the_running_period_counts(meter: Meter, mia: User) -> None:
    """Rolled up or not; a member's budget counts the member's calls; one in total begins now."""
    meter.move_to("UTC")
    of_mia = meter.authenticated(make_key(meter.acme, created_by=mia)[1])
    meter.call(NOON - timedelta(days=1))
    meter.call(NOON - timedelta(hours=2))
    services.roll_up_usage(now=NOON)
    meter.call(NOON - timedelta(hours=1), key=of_mia)
    running = meter.open(now=NOON - timedelta(minutes=1))
    for_all = make_budget(meter.acme, 2 * COST + 2 * ONE_CALL)
    for_mia = make_budget(meter.acme, 10 * ONE_CALL, member=mia)
    in_total = make_budget(meter.acme, 10 * ONE_CALL, period="total")
    assert state_of(for_all).spent_millitokens == 2 * COST + ONE_CALL
    assert state_of(for_mia).spent_millitokens == COST
    assert state_of(in_total).spent_millitokens == 0
    assert try_to_open(meter) == "opened"
    assert try_to_open(meter) == for_all.subject

    # The call that ran cost less than was held for it: known as soon as somebody looks again.
    meter.close(running, now=NOON)
    assert services.settle_openings(now=NOON + timedelta(minutes=1)) == 1
    assert services.settle_openings(now=NOON + timedelta(minutes=1)) == 0
    assert state_of(for_all).spent_millitokens == 3 * COST
    assert state_of(for_all).held_millitokens == ONE_CALL
    assert try_to_open(meter) == for_all.subject
    # Tomorrow nothing of it counts.
    assert state_of(for_all, NOON + timedelta(days=1)).spent_millitokens == 0
    assert state_of(in_total, NOON + timedelta(days=400)).held_millitokens == ONE_CALL


def test_calls_of_a_process_that_did_not_know_yet_are_counted_too(meter: Meter) -> None:
    budget = make_budget(meter.acme, 3 * ONE_CALL)
    unknown = meter.open(now=NOON + timedelta(seconds=1))
    # As another process opens it that has not heard of the budget.
    HoldLimit.objects.all().delete()
    Limit.objects.update(held_millitokens=0)
    meter.close(unknown, now=NOON + timedelta(seconds=2))
    services.settle_openings(now=NOON + timedelta(seconds=30))
    assert state_of(budget).spent_millitokens == COST


def test_a_period_that_began_goes_on_when_the_zone_changes(meter: Meter) -> None:
    meter.move_to("UTC")
    budget = make_budget(meter.acme, ONE_CALL)
    meter.move_to("Asia/Shanghai")
    for moment in (NOON, NOON + timedelta(hours=5)):  # already tomorrow in Shanghai
        assert state_of(budget, moment).starts_at == datetime(2026, 10, 7, tzinfo=UTC)
    assert try_to_open(meter) == "opened"
    assert try_to_open(meter, now=NOON + timedelta(hours=5)) == budget.subject
    state = state_of(budget)
    assert state.ends_at == datetime(2026, 10, 8, tzinfo=UTC)
    assert try_to_open(meter, now=state.ends_at) == "opened"


def test_a_change_holds_at_once_also_for_calls_that_run(meter: Meter) -> None:
    budget = make_budget(meter.acme, 10 * ONE_CALL)
    running = meter.open(now=NOON)
    services.change_budget(
        budget=budget, max_millitokens=ONE_CALL // 2, alert_percentages=[], actor=SYSTEM_ACTOR,
        now=NOON,
    )  # fmt: skip
    assert services.extend_call(running, completion_tokens=1, now=NOON) is None
    assert try_to_open(meter) == budget.subject
    assert state_of(budget).left_millitokens == 0
    assert meter.close(running, now=NOON).cost_millitokens == COST

    budget.refresh_from_db()
    services.change_budget(
        budget=budget, max_millitokens=3 * ONE_CALL, alert_percentages=[90, 50, 90],
        actor=SYSTEM_ACTOR, now=NOON,
    )  # fmt: skip
    budget.refresh_from_db()
    assert budget.alert_percentages == [50, 90]
    assert try_to_open(meter) == "opened"
    events = AuditEvent.objects.filter(target_id=budget.public_id).order_by("pk")
    assert [event.action for event in events] == ["budget.created"] + ["budget.changed"] * 2


def test_an_archived_budget_limits_nothing_and_stays_archived(meter: Meter) -> None:
    budget = make_budget(meter.acme, ONE_CALL)
    running = meter.open(now=NOON)
    services.archive_budget(budget=budget, actor=SYSTEM_ACTOR, now=NOON)
    services.archive_budget(budget=budget, actor=SYSTEM_ACTOR, now=NOON)
    assert services.extend_call(running, completion_tokens=1, now=NOON) is not None
    assert try_to_open(meter) == "opened"
    with pytest.raises(services.BudgetArchived):
        services.change_budget(
            budget=budget, max_millitokens=1, alert_percentages=[], actor=SYSTEM_ACTOR, now=NOON
        )
    assert AuditEvent.objects.filter(action="budget.archived").count() == 1
    # A new one for the same counts what the old one counted.
    assert state_of(make_budget(meter.acme, 5 * ONE_CALL)).spent_millitokens > 2 * ONE_CALL


def test_the_same_budget_twice_is_one_and_another_is_refused(meter: Meter, gus: User) -> None:
    first = make_budget(meter.acme, ONE_CALL)
    assert make_budget(meter.acme, ONE_CALL) == first
    before = list(Budget.objects.values()), list(AuditEvent.objects.values())
    with pytest.raises(services.BudgetExists):
        make_budget(meter.acme, 2 * ONE_CALL)
    for nonsense in (
        {"most": 0}, {"most": 10**18 + 1}, {"period": "year"}, {"unit": "gold"}, {"member": gus},
        {"alert_percentages": [0]}, {"alert_percentages": [101]},
        {"alert_percentages": range(1, 12)},
    ):  # fmt: skip
        settings: dict[str, Any] = {"most": 1, "period": "week", **nonsense}
        with pytest.raises(services.BudgetRejected):
            make_budget(meter.acme, settings.pop("most"), **settings)
    assert (list(Budget.objects.values()), list(AuditEvent.objects.values())) == before
    with pytest.raises(IntegrityError), transaction.atomic():
        Budget.objects.filter(pk=first.pk).update(max_millitokens=0)


def test_a_crowd_never_exceeds_a_budget(
    committed_db: CommittedDatabase, meter: Meter, mia: User
) -> None:
    """Of forty calls at once, five fit; whoever holds the key, and whichever limit is met first."""
    now = utc_now()
    budget = make_budget(meter.acme, 5 * ONE_CALL, period="month", now=now)
    keys = [meter.authenticated(), meter.authenticated(make_key(meter.acme, created_by=mia)[1])]
    make_budget(meter.acme, 3 * ONE_CALL, member=mia, now=now)
    requests = [meter.request(key=keys[n % 2]) for n in range(40)]
    barrier = Barrier(4)

    def open_some(some: list[services.OpenCall]) -> list[str]:
        try:
            barrier.wait(timeout=30)
            return [services.open_calls([one], now=now)[0].outcome for one in some]
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        parts = pool.map(open_some, [requests[n::4] for n in range(4)])
        outcomes = [outcome for part in parts for outcome in part]
    assert outcomes.count("opened") == 5
    assert outcomes.count("declined") == 35
    assert state_of(budget, now).held_millitokens == 5 * ONE_CALL
    assert Wallet.objects.get(owner_key=meter.acme.public_id).held_millitokens == 5 * ONE_CALL


def test_budgets_are_remembered_for_seconds_and_forgotten_when_changed(
    committed_db: CommittedDatabase, meter: Meter
) -> None:
    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            meter.open(now=NOON)
        return sum("metering_budget" in str(query["sql"]) for query in queries)

    give_tokens(meter.acme, reference="more")
    meter.open(now=NOON)
    assert asked() == 0
    budget = make_budget(meter.acme, 10 * ONE_CALL)
    assert asked() == 1
    assert asked() == 0
    assert state_of(budget).held_millitokens == 2 * ONE_CALL
    assert Call.objects.filter(status="open").count() == 4
