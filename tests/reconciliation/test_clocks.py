"""Machines whose clocks differ by minutes: what they write raises no alarm, whoever looks."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.conf import settings

from accounts.models import Organisation
from accounts.services import SYSTEM_ACTOR
from marketplace.billing import services as billing
from marketplace.catalog.models import Service
from marketplace.ledger import services as ledger
from marketplace.ledger.models import Hold, HoldState, Wallet
from marketplace.metering import services as metering
from marketplace.metering.commands import CloseCall, OpenedCall
from marketplace.metering.models import Call
from marketplace.reconciliation import services
from marketplace.reconciliation.models import Finding, RunKind
from portal.kernel.clock import utc_now
from tests.cast import make_key
from tests.market import count_again, make_call, open_call

pytest_plugins = ["tests.partners.fixtures", "tests.reconciliation.fixtures"]
pytestmark = pytest.mark.usefixtures("committed_db")

LASTS = timedelta(minutes=5)
SKEWS = [timedelta(minutes=minutes) for minutes in (-10, 0, 10)]


def minutes(skew: timedelta) -> str:
    return f"{skew.total_seconds() / 60:+.0f}"


def later() -> datetime:
    """When what the fixtures made is there by all clocks."""
    return utc_now() + timedelta(hours=1)


def give(owner: Organisation, millitokens: int, now: datetime, **terms: Any) -> None:
    """By a voucher, so that the tokens have a cause."""
    user = owner.memberships.order_by("pk")[0].user
    who: dict[str, Any] = {"user": user, "actor": SYSTEM_ACTOR, "now": now}
    until = now + timedelta(days=1)
    _batch, [code] = billing.create_vouchers(
        name="Fair", codes=1, millitokens=millitokens, redeemable_until=until, **terms, **who
    )
    billing.redeem_voucher(organisation=owner, code=code, **who)


def look(now: datetime) -> set[tuple[int, str]]:
    """(number, kind of subject) of what is found when it is looked at for a second time, but for
    what this clock says is overdue, and doubts. No wallet is frozen.
    """
    for second, kind in enumerate((RunKind.FULL, RunKind.LIGHT, RunKind.FULL)):
        run = services.reconcile_balances(
            trigger="command", now=now + timedelta(seconds=second), kind=kind
        )
        assert run.error == ""
    assert not Wallet.objects.filter(frozen=True).exists()
    found = Finding.objects.exclude(check_number__in=[6, 7, 22])
    return {(finding.check_number, finding.subject.partition(":")[0]) for finding in found}


def close(call: OpenedCall, now: datetime, completion_tokens: int = 50) -> None:
    [result] = metering.close_calls(
        [
            CloseCall(
                call=call,
                status="succeeded",
                prompt_tokens=100,
                completion_tokens=completion_tokens,
                usage_source="provider",
            )
        ],
        now=now,
    )
    assert result.outcome == "closed"


@pytest.fixture
def rich(acme: Organisation) -> str:
    """A key of acme, which has tokens in a scoped wallet and the general one."""
    give(acme, 10**9, utc_now())
    give(acme, 200_000, utc_now(), scope="modality:chat")
    return make_key(acme, cap_millitokens=10**9)[1]


@pytest.mark.parametrize("looks", SKEWS, ids=minutes)
@pytest.mark.parametrize("writes", SKEWS, ids=minutes)
def test_whoever_writes_and_whoever_looks(
    rich: str, acme: Organisation, rhine_service: Service, writes: timedelta, looks: timedelta
) -> None:
    now = later()
    give(acme, 5000, now + writes)
    make_call(rich, rhine_service, now=now + writes)
    make_call(rich, rhine_service, status="failed", now=now + writes)
    longest = timedelta(seconds=settings.DIRECT_GRANT_SECONDS + settings.DIRECT_GRACE_SECONDS)
    open_call(rich, rhine_service, now=now + writes, lasts=longest)
    count_again(Call.objects.get(status="succeeded"), completion_counted=10, now=now)
    assert look(now + looks) == set()


@pytest.mark.parametrize("completion_tokens", [50, 900])
@pytest.mark.parametrize("sweeps", SKEWS[1:], ids=minutes)
@pytest.mark.parametrize("closes", SKEWS, ids=minutes)
def test_a_sweeper_that_is_ahead_and_a_gateway_that_closes_late(
    rich: str,
    rhine_service: Service,
    sweeps: timedelta,
    closes: timedelta,
    completion_tokens: int,
) -> None:
    """The hold ends by one clock, and its late capture is written by another."""
    now = later()
    call = open_call(rich, rhine_service, now=now, lasts=LASTS, completion_tokens=200)
    metering.sweep_open_calls(now=now + LASTS + sweeps)
    assert Hold.objects.get().state == HoldState.EXPIRED
    close(call, now + closes, completion_tokens)
    assert Hold.objects.get().state == HoldState.CAPTURED
    # What it cost beyond the hold makes a capture that looks timely odd: for a person to see.
    assert look(now) <= {(3, "hold")}


@pytest.mark.parametrize("opens", SKEWS, ids=minutes)
@pytest.mark.parametrize("closes", SKEWS, ids=minutes)
def test_a_call_that_is_opened_and_closed_by_different_clocks(
    rich: str, rhine_service: Service, opens: timedelta, closes: timedelta
) -> None:
    now = later()
    call = open_call(rich, rhine_service, now=now + opens, lasts=LASTS)
    close(call, now + closes)
    assert look(now) == set()


@pytest.mark.parametrize("grants", SKEWS, ids=minutes)
@pytest.mark.parametrize("sweeps", SKEWS, ids=minutes)
def test_lots_that_are_granted_and_swept_by_different_clocks(
    acme: Organisation, grants: timedelta, sweeps: timedelta
) -> None:
    now = later()
    give(acme, 5000, now + grants, tokens_expire_after_days=1)
    now += timedelta(days=1)
    ledger.expire_lots(now=now + sweeps)
    assert look(now) == set()
