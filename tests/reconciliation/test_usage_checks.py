"""Checks 8, 10, 11 and 12, and where reported usage went."""

from datetime import UTC, datetime
from typing import Any

import pytest

from accounts.models import Organisation, User
from accounts.services import SYSTEM_ACTOR
from marketplace.catalog.models import Service
from marketplace.ledger.models import Wallet
from marketplace.metering import services as metering
from marketplace.metering.models import UsageCharge, UsageEvent
from marketplace.reconciliation import services
from marketplace.reconciliation.models import Finding, FindingState, RunKind
from portal.kernel.clock import utc_now
from tests.api.client import ApiClient
from tests.cast import make_key
from tests.market import make_call
from tests.partners.usage_events import event, outcomes, place_holds, report
from tests.reconciliation.book import drop_triggers, inject, run_once, run_twice

pytest_plugins = ["tests.partners.fixtures", "tests.reconciliation.fixtures"]
NO_HOLD = f"hld_{'0' * 26}"
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
pytestmark = pytest.mark.usefixtures("committed_db")


def findings(number: int) -> list[Finding]:
    others = Finding.objects.exclude(check_number__in=[number, 22])
    assert not others.exists(), list(others)
    return list(Finding.objects.filter(check_number=number))


def test_a_missing_charge_is_written_again_from_the_capture(busy: Wallet) -> None:
    before = list(UsageCharge.objects.order_by("event").values("event", "amount_millitokens"))
    inject("DELETE FROM metering_usagecharge WHERE amount_millitokens > 0")
    run_twice()
    assert {finding.state for finding in findings(8)} == {FindingState.RESOLVED}
    assert "again" in findings(8)[0].note
    after = UsageCharge.objects.order_by("event").values("event", "amount_millitokens")
    assert list(after) == before
    assert not Wallet.objects.filter(frozen=True).exists()
    run = run_twice()
    assert {row["number"]: row["differences"] for row in run.checks}[8] == 0
    assert metering.write_missing_charge(call_id=findings(8)[0].subject[5:]) is None


def test_a_charge_that_the_capture_does_not_explain_is_not_written(book: Wallet) -> None:
    inject("DELETE FROM metering_usagecharge WHERE id = (SELECT MIN(id) FROM metering_usagecharge)")
    inject(
        "UPDATE metering_call SET cost_millitokens = cost_millitokens + 1,"
        " commission_millitokens = commission_millitokens + 1"
        " WHERE id = (SELECT MIN(call_id) FROM metering_usageevent)"
    )
    number = UsageCharge.objects.count()
    run_twice()
    finding = Finding.objects.get(check_number=8)
    assert (finding.state, finding.froze_wallet) == (FindingState.OPEN, False)
    assert UsageCharge.objects.count() == number


def test_a_price_changed_afterwards_is_found_by_rating_again(book: Wallet, settings: Any) -> None:
    inject("UPDATE catalog_priceversion SET output_millitokens = output_millitokens + 1")
    run_twice()
    found = findings(10)
    assert len(found) == 2
    assert {finding.state for finding in found} == {FindingState.OPEN}
    assert not any(finding.froze_wallet for finding in found)
    detail = found[0].detail
    assert int(detail["rated"]) - int(detail["charged"]) == found[0].at_stake_millitokens > 0


def test_the_sample_is_another_each_time_but_remembers_what_it_suspects(
    book: Wallet, key: str, rhine_service: Service, settings: Any
) -> None:
    for _turn in range(6):
        make_call(key, rhine_service)
    settings.RECONCILE_SAMPLE = 1
    inject("UPDATE metering_usageevent SET payload_hash = 'other'")
    run_once()
    [suspected] = findings(10)
    run_once()
    suspected.refresh_from_db()
    assert suspected.state == FindingState.OPEN
    for _turn in range(30):
        run_once()
    assert Finding.objects.filter(check_number=10).count() > 2


@pytest.fixture
def api(book: Wallet, acme: Organisation) -> ApiClient:
    return ApiClient(make_key(acme)[1])


def test_a_contradiction_waits_in_quarantine(
    api: ApiClient, rhine_api: ApiClient, rhine_service: Service, sam: User
) -> None:
    [hold] = place_holds(api, rhine_api, rhine_service)
    assert outcomes(report(rhine_api, [event(hold, "e1")])) == ["accepted"]
    charged = list(UsageCharge.objects.values())
    for _turn in range(2):
        assert outcomes(report(rhine_api, [event(hold, "e1", 51)])) == ["event_id_reused"]
    assert list(UsageCharge.objects.values()) == charged
    run_twice()
    [finding] = findings(11)
    assert (finding.state, finding.froze_wallet) == (FindingState.OPEN, False)
    assert finding.detail["charged"] == "50/0/0"
    assert finding.detail["reported"] == "51/0/0"
    assert finding.detail["times"] == "2"
    call = UsageEvent.objects.get(event_id="e1").call
    assert finding.subject == f"call:{call.public_id}"

    services.resolve_finding(
        finding=finding, note="A bug of theirs.", user=sam, actor=SYSTEM_ACTOR, now=utc_now()
    )
    run_twice()
    assert len(findings(11)) == 1
    report(rhine_api, [event(hold, "e1", 52)])
    run_twice()
    assert len(findings(11)) == 2


def test_near_duplicates_are_told_once_per_service_key_and_day(
    api: ApiClient, rhine_api: ApiClient, rhine_service: Service, sam: User
) -> None:
    holds = place_holds(api, rhine_api, rhine_service, 4)
    events = [event(hold, f"e{number}") for number, hold in enumerate(holds[:3])]
    events.append(event(holds[3], "e9", 49))
    assert outcomes(report(rhine_api, events)) == ["accepted"] * 4
    run_once(kind=RunKind.LIGHT)
    run_once(kind=RunKind.LIGHT)
    [finding] = findings(12)
    assert (finding.state, finding.froze_wallet) == (FindingState.OPEN, False)
    assert finding.detail["repeats"] == "2"
    assert finding.at_stake_millitokens == 2 * 50 * 200
    services.resolve_finding(
        finding=finding, note="A load test.", user=sam, actor=SYSTEM_ACTOR, now=utc_now()
    )
    run_twice()
    assert len(findings(12)) == 1


def test_what_was_received_was_charged_repeated_quarantined_or_rejected(
    api: ApiClient, rhine_api: ApiClient, rhine_service: Service, rhine: Any
) -> None:
    holds = place_holds(api, rhine_api, rhine_service, 2)
    report(rhine_api, [event(holds[0], "e1"), event(holds[1], "e2"), event(NO_HOLD, "e3")])
    report(rhine_api, [event(holds[0], "e1"), event(holds[1], "e2", 7)])
    intake = run_once().intake
    assert intake[f"provider:{rhine.public_id}"] == {
        "received": 5,
        "charged": 2,
        "repeated": 1,
        "quarantined": 1,
        "rejected": 1,
        "unanswered": 0,
    }
    gateway = intake["gateway"]
    assert gateway["received"] == gateway["charged"] == 2
    assert gateway["unanswered"] == 0
    # As if one had been charged before the counting began.
    inject("UPDATE metering_usageevent SET received_at = %s WHERE event_id = 'e1'", LONG_AGO)
    before = run_once().intake[f"provider:{rhine.public_id}"]
    assert (before["charged"], before["unanswered"]) == (1, 1)


def test_what_cost_the_operator_or_is_in_doubt_is_told_by_reason(busy: Wallet, sam: User) -> None:
    run_twice()
    told = {finding.detail["reason"]: finding for finding in findings(22)}
    assert set(told) == {"beyond_hold", "more_than_possible", "disputed"}
    assert told["beyond_hold"].at_stake_millitokens == 800_000
    assert {finding.state for finding in told.values()} == {FindingState.OPEN}
    for finding in told.values():
        services.resolve_finding(
            finding=finding, note="Known.", user=sam, actor=SYSTEM_ACTOR, now=utc_now()
        )
    run_twice()
    assert len(findings(22)) == 3
    # As if one of them had ended only now, or with test tokens.
    inject("UPDATE metering_call SET ended_at = %s WHERE uncovered_millitokens > 0", utc_now())
    run_twice()
    assert len(findings(22)) == 4
    inject("UPDATE reconciliation_finding SET resolved_at = %s, state = 'resolved'", LONG_AGO)
    inject("UPDATE metering_call SET unit = 'test'")
    run_once()
    assert Finding.objects.filter(check_number=22).count() == 4


def test_guards_that_are_gone_are_found(book: Wallet) -> None:
    drop_triggers()
    run_twice()
    found = Finding.objects.filter(check_number=21)
    assert found.filter(subject__contains="ledger_entry").exists()
    assert set(found.values_list("state", "froze_wallet")) == {(FindingState.OPEN, False)}
