"""Direct mode: what is charged in the end, once, in time, and never beyond the hold."""

from datetime import timedelta

import time_machine

from accounts.models import Organisation, User
from marketplace.catalog.models import AIModel, Provider
from marketplace.ledger import selectors as ledger
from marketplace.metering import services as metering
from marketplace.metering.models import Call, UsageCharge, UsageEvent
from marketplace.partners.models import CappedReport
from portal.kernel.clock import utc_now
from tests.api.client import ApiClient
from tests.cast import make_key
from tests.partners.cast import make_live_service
from tests.partners.direct import HOLDS, MOST, ask_grant, hold
from tests.partners.money import balance_of, give_tokens


def test_hold_and_capture_charge_the_tenant_and_pay_the_provider(
    funded: Organisation, grant: str, rhine: Provider, rhine_api: ApiClient, ada_api: ApiClient
) -> None:
    held = hold(rhine_api, grant)

    assert held.status_code == 201
    assert held.json()["amount"] == "820"
    assert balance_of(funded) == (10_000_000, 820_000)

    used = {"prompt_tokens": 100, "cached_tokens": 40, "completion_tokens": 500}
    captured = rhine_api.post(f"{HOLDS}/{held.json()['id']}/capture", {"quantities": used})

    # 60 × 0.2 + 40 × 0.05 + 500 × 0.8
    assert captured.status_code == 200
    assert captured.json() == {"call": held.json()["call"], "charged": "414", "capped": False}
    assert balance_of(funded) == (10_000_000 - 414_000, 0)
    earned = ledger.get_account_balance(kind="payable", owner_key=rhine.public_id, unit="live")
    assert earned == 414_000 * 9 // 10
    call = ada_api.get(f"/api/v1/calls/{held.json()['call']}").json()
    assert call["surface"] == "direct"
    assert call["cost_tokens"] == "414"
    assert [line["cost_tokens"] for line in call["cost_lines"]] == ["12", "2", "400"]


def test_capturing_twice_is_once_and_other_numbers_are_refused(
    funded: Organisation, grant: str, rhine_api: ApiClient
) -> None:
    capture = f"{HOLDS}/{hold(rhine_api, grant).json()['id']}/capture"
    used = {"quantities": {"prompt_tokens": 10, "completion_tokens": 10}}

    first, again = rhine_api.post(capture, used), rhine_api.post(capture, used)
    other = rhine_api.post(capture, {"quantities": {"prompt_tokens": 11}})

    assert first.json() == again.json() == first.json() | {"charged": "10"}
    assert (other.status_code, other.json()["code"]) == (409, "hold_captured")
    assert UsageCharge.objects.get().amount_millitokens == 10_000
    assert balance_of(funded) == (9_990_000, 0)


def test_what_exceeds_the_hold_is_capped_and_kept_never_an_overdraft(
    funded: Organisation, grant: str, rhine: Provider, rhine_api: ApiClient
) -> None:
    placed = hold(rhine_api, grant).json()
    used = {"quantities": {"prompt_tokens": 500, "completion_tokens": 1_000_000_000}}
    capture = f"{HOLDS}/{placed['id']}/capture"

    first, again = rhine_api.post(capture, used), rhine_api.post(capture, used)

    # 500 × 0.2 = 100, the rest of 820 is 900 tokens of answer.
    assert first.status_code == 200
    assert (
        first.json() == again.json() == {"call": placed["call"], "charged": "820", "capped": True}
    )
    assert balance_of(funded) == (9_180_000, 0)
    assert (
        ledger.get_account_balance(kind="promotion", owner_key="operator", unit="live")
        == -10_000_000
    )
    call = Call.objects.get()
    assert (call.prompt_tokens, call.completion_tokens) == (500, 900)
    assert call.usage_doubt == "more_than_possible"
    assert call.uncovered_millitokens == 0
    claim = CappedReport.objects.get()
    assert claim.completion_tokens == 1_000_000_000
    assert claim.held_millitokens == 820_000
    less = rhine_api.post(capture, {"quantities": {"prompt_tokens": 500, "completion_tokens": 900}})
    assert less.status_code == 409


def test_usage_may_come_late_but_not_after_the_grace(
    funded: Organisation, grant: str, rhine_api: ApiClient
) -> None:
    in_time, too_late = (hold(rhine_api, grant).json() for _n in range(2))
    used = {"quantities": {"prompt_tokens": 10}}

    with time_machine.travel(utc_now() + timedelta(minutes=74), tick=False):
        late = rhine_api.post(f"{HOLDS}/{in_time['id']}/capture", used)
        no_more = hold(rhine_api, grant)
    with time_machine.travel(utc_now() + timedelta(minutes=76), tick=False):
        before_sweep = rhine_api.post(f"{HOLDS}/{too_late['id']}/capture", used)
        metering.sweep_open_calls(now=utc_now())
        after_sweep = rhine_api.post(f"{HOLDS}/{too_late['id']}/capture", used)

    assert late.json()["charged"] == "2"
    assert (no_more.status_code, no_more.json()["code"]) == (400, "grant_expired")
    for refused in (before_sweep, after_sweep):
        assert (refused.status_code, refused.json()["code"]) == (409, "hold_expired")
    assert balance_of(funded) == (9_998_000, 0)


def test_test_tokens_pay_for_test_services_and_nobody_is_owed(
    funded: Organisation, ada: User, rhine: Provider, qwen: AIModel, rhine_api: ApiClient
) -> None:
    service = make_live_service(rhine, qwen, test=True)
    give_tokens(funded, 1000, unit="test")
    _key, text = make_key(funded, created_by=ada, kind="test")
    token = ask_grant(ApiClient(text), service).json()["token"]

    held = hold(rhine_api, token).json()
    rhine_api.post(f"{HOLDS}/{held['id']}/capture", {"quantities": {"prompt_tokens": 100}})

    assert balance_of(funded, "test") == (980_000, 0)
    assert balance_of(funded) == (10_000_000, 0)
    for unit in ("live", "test"):
        assert not ledger.get_account_balance(kind="payable", owner_key=rhine.public_id, unit=unit)


def test_a_free_call_is_recorded_and_costs_nothing(
    acme: Organisation, ada_api: ApiClient, rhine: Provider, qwen: AIModel, rhine_api: ApiClient
) -> None:
    free = {"input_millitokens": 0, "cached_input_millitokens": 0, "output_millitokens": 0}
    service = make_live_service(rhine, qwen, prices=free)
    give_tokens(acme, 1)
    token = ask_grant(ada_api, service).json()["token"]

    held = hold(rhine_api, token).json()
    captured = rhine_api.post(f"{HOLDS}/{held['id']}/capture", {"quantities": MOST})

    assert captured.json()["charged"] == "0"
    assert Call.objects.get().completion_tokens == 1000
    assert UsageEvent.objects.count() == 1
    assert balance_of(acme) == (1000, 0)
