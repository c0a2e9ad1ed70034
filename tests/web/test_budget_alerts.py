"""Who is told when a budget is reached: once a period and percentage, and what pages warn of."""

from datetime import UTC, datetime, timedelta

import pytest

from accounts.models import Notice, NoticeCause, Organisation, User
from accounts.services import SYSTEM_ACTOR
from marketplace.catalog.models import Service
from marketplace.metering import services as metering
from marketplace.metering.models import Budget
from portal.kernel.clock import utc_now
from portal.web import notices
from tests.cast import make_key, signed_in
from tests.market import give_tokens, make_budget, make_call

pytest_plugins = ["tests.partners.fixtures"]

NOON = (utc_now() + timedelta(days=1)).replace(hour=12, minute=0, second=0, microsecond=0)
COST = 100 * 200 + 50 * 800  # of a call, in millitokens; 1,000,000 are held for it


@pytest.fixture
def secret(acme: Organisation, mia: User) -> str:
    """A key of mia's, with tokens enough that nothing else is to be told."""
    Organisation.objects.update(timezone="UTC")
    give_tokens(acme, 10**12, now=NOON)
    return make_key(acme, created_by=mia)[1]


def watch(now: datetime = NOON) -> int:
    return notices.watch_balances(now=now)


def told(person: User) -> list[tuple[str, int]]:
    rows = Notice.objects.filter(person=person, kind__endswith="budget_reached").order_by("pk")
    return [(row.kind, row.params["percent"]) for row in rows]


def spend(secret: str, service: Service, calls: int, now: datetime = NOON) -> None:
    for _call in range(calls):
        make_call(secret, service, now=now)


def test_each_percentage_is_told_once_a_period(
    acme: Organisation, ada: User, bill: User, mia: User, secret: str, rhine_service: Service
) -> None:
    budget = make_budget(acme, 100 * COST, alert_percentages=[5, 10, 50], now=NOON)
    spend(secret, rhine_service, 4)
    assert (watch(), told(ada)) == (0, [])
    spend(secret, rhine_service, 1)
    assert (watch(), watch()) == (2, 0)
    assert told(ada) == told(bill) == [("budget_reached", 5)]
    assert told(mia) == []
    spend(secret, rhine_service, 45)
    # Of two at once only the higher is told, and a higher maximum takes nothing back.
    assert (watch(), told(bill)[1:]) == (2, [("budget_reached", 50)])
    metering.change_budget(
        budget=budget, max_millitokens=2000 * COST, alert_percentages=[1, 2],
        actor=SYSTEM_ACTOR, now=NOON,
    )  # fmt: skip
    assert watch() == 0
    assert NoticeCause.objects.get().ended_at is None
    tomorrow = NOON + timedelta(days=1)
    spend(secret, rhine_service, 20, tomorrow)
    assert (watch(tomorrow), told(ada)[2:]) == (2, [("budget_reached", 1)])
    assert NoticeCause.objects.filter(ended_at=None).count() == 1
    metering.archive_budget(budget=budget, actor=SYSTEM_ACTOR, now=tomorrow)
    assert watch(tomorrow) == 0
    assert not NoticeCause.objects.filter(ended_at=None).exists()


def test_a_members_budget_is_told_to_the_member_too(
    acme: Organisation, ada: User, mia: User, secret: str, rhine_service: Service
) -> None:
    make_budget(acme, 20 * COST, member=mia, alert_percentages=[5], now=NOON)
    make_budget(acme, 20 * COST, member=ada, alert_percentages=[1], now=NOON)
    spend(secret, rhine_service, 1)
    assert watch() == 2
    assert told(mia) == [("own_budget_reached", 5)]
    assert told(ada) == [("budget_reached", 5)]
    page = signed_in(mia).get("/o/acme/notifications/").content.decode()
    assert "5% of your budget (per day) is used" in page
    page = signed_in(ada).get("/o/acme/notifications/").content.decode()
    assert "5% of a budget is used: mia@acme.example, per day" in page


def test_what_refuses_calls_is_told_as_used_up(
    acme: Organisation, ada: User, secret: str, rhine_service: Service
) -> None:
    """A tenth is spent, but no call fits into the rest."""
    make_budget(acme, 1_000_000, alert_percentages=[100], now=NOON)
    spend(secret, rhine_service, 1)
    assert watch() == 0
    with pytest.raises(AssertionError, match="limit_exceeded"):
        spend(secret, rhine_service, 1)
    later = NOON + timedelta(minutes=5)
    assert (watch(later), watch(later)) == (1, 0)
    assert told(ada) == [("budget_reached", 100)]
    assert "A budget stops calls" in signed_in(ada).get("/o/acme/notifications/").content.decode()
    assert watch(NOON + timedelta(hours=8)) == 0


def test_pages_warn_of_what_is_nearly_used(
    acme: Organisation, ada: User, mia: User, secret: str, rhine_service: Service
) -> None:
    budget = make_budget(acme, 10**12, member=ada, period="total")
    warning = "Budget nearly used"
    for path in ("/o/acme/", "/o/acme/usage/"):
        assert warning not in signed_in(ada).get(path).content.decode()
    Budget.objects.filter(pk=budget.pk).update(
        opening_start=datetime(1970, 1, 1, tzinfo=UTC), opening_millitokens=8 * 10**11
    )
    for path in ("/o/acme/", "/o/acme/usage/"):
        assert warning in signed_in(ada).get(path).content.decode()
        assert warning not in signed_in(mia).get(path).content.decode()
