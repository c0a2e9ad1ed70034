"""What counts in a key's cap, and in which period: limits that forget are found."""

from datetime import datetime, timedelta

import pytest

from accounts.models import Organisation
from accounts.services import SYSTEM_ACTOR, rotate_api_key, update_organisation
from marketplace.catalog.models import Service
from marketplace.ledger.models import Hold, HoldState, Limit, Wallet
from marketplace.metering.services import archive_budget
from marketplace.reconciliation import services
from marketplace.reconciliation.models import Finding
from portal.kernel.clock import utc_now
from tests.cast import make_key, make_member, make_organisation
from tests.market import make_budget, make_call, open_call
from tests.reconciliation.book import give, inject_all

pytest_plugins = ["tests.partners.fixtures", "tests.reconciliation.fixtures"]
pytestmark = pytest.mark.usefixtures("committed_db")


def look(now: datetime | None = None) -> set[tuple[int, str]]:
    """(number, subject) of all that was found, but for constraints that were passed."""
    run = services.reconcile_balances(trigger="command", now=now or utc_now())
    assert run.error == ""
    return set(Finding.objects.exclude(check_number=21).values_list("check_number", "subject"))


def lose(*statements: str, **names: object) -> None:
    assert inject_all(statement.format(**names) for statement in statements) > 0


def move(limit: Limit, days: int) -> None:
    moved = (limit.period_start + timedelta(days=days)).isoformat(sep=" ")
    statement = "UPDATE ledger_limit SET period_start = '{moved}' WHERE id = {pk}"
    lose(statement, moved=moved, pk=limit.pk)


MONTHLY = "SELECT id FROM ledger_limit WHERE subject LIKE 'key:%%:month'"
GRANTS = "SELECT id FROM ledger_limit WHERE subject LIKE 'grant:%%'"


@pytest.mark.parametrize("limits", [MONTHLY, GRANTS], ids=["key", "grant"])
def test_a_limit_that_is_gone_with_its_memberships_is_missed(busy: Wallet, limits: str) -> None:
    before = look()
    lose(
        "DELETE FROM ledger_holdlimit WHERE limit_id IN ({limits})",
        "DELETE FROM ledger_limit WHERE id IN ({limits})",
        limits=limits,
    )
    [(number, subject)] = look() - before
    assert number == 3
    assert subject.endswith(":uncounted")
    assert int(Finding.objects.get(subject=subject).detail["captured"]) > 0


def test_a_count_that_was_forgotten_with_its_memberships_is_seen(busy: Wallet) -> None:
    before = look()
    lose(
        "UPDATE ledger_limit SET spent_millitokens = 0 WHERE id IN ({limits})",
        "DELETE FROM ledger_holdlimit WHERE limit_id IN ({limits})"
        " AND hold_id IN (SELECT id FROM ledger_hold WHERE state = 'captured')",
        limits=MONTHLY,
    )
    [(number, subject)] = look() - before
    assert (number, subject.rpartition(":")[2]) == (3, "uncounted")


@pytest.mark.parametrize("period", ["day", "week", "month", "total"])
@pytest.mark.parametrize("days", [-40, -31, -7, -1, 1, 40])
def test_a_period_that_was_moved_is_seen(
    acme: Organisation, rhine_service: Service, period: str, days: int
) -> None:
    give(acme)
    key = make_key(acme, cap_millitokens=10**9, cap_period=period)[1]
    make_call(key, rhine_service)
    assert look() == set()
    [limit] = Limit.objects.all()
    move(limit, days)
    assert look() == {(3, f"limit:{limit.subject}:{limit.pk}:period")}


def test_a_grants_period_that_was_moved_is_seen(busy: Wallet) -> None:
    before = look()
    move(Limit.objects.filter(subject__startswith="grant:")[0], days=-1)
    assert {number for number, _subject in look() - before} == {3}


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/St_Johns", "Asia/Shanghai"])
@pytest.mark.parametrize("period", ["day", "week", "month", "total"])
def test_periods_anywhere_raise_nothing(rhine_service: Service, zone: str, period: str) -> None:
    """Calls over many weeks, at times near the ends of days and months, clocks changing too."""
    tenant = make_organisation("Far", timezone=zone)
    began = utc_now()
    give(tenant)
    key = make_key(tenant, cap_millitokens=10**9, cap_period=period)[1]
    for hours in range(1, 3400, 241):
        make_call(key, rhine_service, now=began + timedelta(hours=hours))
    assert look(began + timedelta(days=150)) == set()


def test_a_change_of_zones_raises_nothing_and_a_period_long_past_is_still_seen(
    acme: Organisation, rhine_service: Service
) -> None:
    began = utc_now()
    give(acme)
    key = make_key(acme, cap_millitokens=10**9, cap_period="week")[1]
    for day in range(1, 80, 3):
        zone = ("Pacific/Kiritimati", "Pacific/Pago_Pago", "UTC")[day // 3 % 3]
        now = began + timedelta(days=day)
        update_organisation(
            organisation=acme, changes={"timezone": zone}, actor=SYSTEM_ACTOR, now=now
        )
        make_call(key, rhine_service, now=now)
    assert look(began + timedelta(days=150)) == set()
    first = Limit.objects.order_by("period_start")[0]
    move(first, days=-15)
    assert look(began + timedelta(days=150)) == {(3, f"limit:{first.subject}:{first.pk}:period")}


def test_calls_that_run_or_failed_or_were_declined_raise_nothing(
    acme: Organisation, rhine_service: Service
) -> None:
    give(acme)
    capped, free = make_key(acme, cap_millitokens=10**9)[1], make_key(acme, name="Free")[1]
    for key in (capped, free):
        open_call(key, rhine_service)
        make_call(key, rhine_service, status="failed")
    with pytest.raises(AssertionError, match="limit_exceeded"):
        open_call(make_key(acme, cap_millitokens=1)[1], rhine_service)
    assert Hold.objects.filter(state=HoldState.DECLINED).exists()
    assert look() == set()


def test_keys_of_one_line_count_together(acme: Organisation, rhine_service: Service) -> None:
    give(acme)
    first, old = make_key(acme, cap_millitokens=10**9)
    _second, new = rotate_api_key(
        key=first, grace=timedelta(days=1), actor=SYSTEM_ACTOR, now=utc_now()
    )
    for key in (old, new):
        make_call(key, rhine_service)
    assert Limit.objects.count() == 1
    assert look() == set()


@pytest.mark.parametrize("period", ["day", "total"])
def test_budgets_count_the_calls_that_they_are_for(
    acme: Organisation, rhine_service: Service, period: str
) -> None:
    """A budget made later, of a member, or archived raises nothing; what it forgets is found."""
    give(acme)
    key, began = make_key(acme)[1], utc_now()
    make_call(key, rhine_service)
    old = make_budget(acme, 10**9, period=period)
    make_budget(acme, 10**9, period="week", member=acme.memberships.get().user)
    stranger = make_member(acme, "else@acme.example")
    make_budget(acme, 10**9, period="week", member=stranger)
    make_call(key, rhine_service, now=began + timedelta(seconds=1))
    make_call(key, rhine_service, now=began + timedelta(minutes=2))
    archive_budget(budget=old, actor=SYSTEM_ACTOR, now=began + timedelta(minutes=5))
    make_call(key, rhine_service, now=began + timedelta(minutes=6))
    later = began + timedelta(days=1)
    assert look(later) == set()
    [limit] = Limit.objects.filter(subject=old.subject)
    move(limit, days=-1)
    assert look(later) == {(3, f"limit:{limit.subject}:{limit.pk}:period")}
    lose("DELETE FROM ledger_holdlimit WHERE limit_id = {pk}", pk=limit.pk)
    assert (3, f"limit:{limit.subject}:uncounted") in look(later)


def test_a_hold_in_anothers_budget_is_seen(
    acme: Organisation, globex: Organisation, rhine_service: Service
) -> None:
    give(acme)
    make_budget(acme, 10**9)
    make_call(make_key(acme)[1], rhine_service)
    theirs = make_budget(globex, 10**9)
    limit = Limit.objects.exclude(subject=theirs.subject).get()
    Limit.objects.filter(subject=theirs.subject).delete()
    lose(
        "UPDATE ledger_limit SET subject = '{subject}' WHERE id = {pk}",
        subject=theirs.subject,
        pk=limit.pk,
    )
    assert "holdlimit" in {subject.partition(":")[0] for _number, subject in look()}
