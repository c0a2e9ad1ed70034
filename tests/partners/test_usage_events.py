"""Usage reported in batches: an answer per event, repeats harmless, nothing beyond the hold."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine

from accounts.models import Organisation, User
from marketplace.catalog.models import AIModel, Provider, Service
from marketplace.ledger import services as ledger
from marketplace.metering import services as metering
from marketplace.metering.models import Call, UsageCharge, UsageEvent
from marketplace.partners.models import CappedReport
from marketplace.partners.services import usage_reports
from portal.kernel.clock import utc_now
from tests.api.client import ApiClient
from tests.cast import make_key
from tests.partners.cast import make_live_service
from tests.partners.money import balance_of, give_tokens
from tests.partners.usage_events import BATCH_TYPE, EVENTS, event, outcomes, place_holds, report


def test_a_batch_with_repeats_and_a_bad_row_charges_each_call_once(
    funded: Organisation, ada_api: ApiClient, rhine_api: ApiClient, rhine_service: Service
) -> None:
    holds = place_holds(ada_api, rhine_api, rhine_service, 20)
    events: list[Any] = [event(hold, f"e{n}") for n, hold in enumerate(holds)]
    batch = [*events[:10], events[3], *events[10:], events[0], {"id": "bad", "subject": 7}]

    first, again = report(rhine_api, batch), report(rhine_api, batch)

    assert [a["id"] for a in first] == [e["id"] for e in batch]
    expected = ["accepted"] * 10 + ["duplicate"] + ["accepted"] * 10 + ["duplicate"]
    assert outcomes(first) == [*expected, "event_malformed"]
    assert outcomes(again) == ["duplicate"] * 22 + ["event_malformed"]
    assert {a["charged"] for a in first[:-1]} == {a["charged"] for a in again[:-1]} == {"10"}
    assert first[10]["call"] == first[3]["call"]
    assert UsageCharge.objects.count() == UsageEvent.objects.count() == 20
    assert balance_of(funded) == (10_000_000 - 20 * 10_000, 0)


def test_the_split_is_that_of_the_hold_not_of_the_report(
    funded: Organisation, ada_api: ApiClient, rhine_api: ApiClient, rhine_service: Service
) -> None:
    """A commission that is changed while a call runs counts from the next call on."""
    [hold] = place_holds(ada_api, rhine_api, rhine_service)
    Provider.objects.filter(pk=rhine_service.provider_id).update(commission_basis_points=5000)

    report(rhine_api, [event(hold, "e1", 50)])

    call = Call.objects.get()
    assert (call.cost_millitokens, call.share_millitokens) == (10_000, 9_000)
    assert call.commission_millitokens == 1_000


def test_a_repeat_with_other_content_is_rejected(
    funded: Organisation, ada_api: ApiClient, rhine_api: ApiClient, rhine_service: Service
) -> None:
    one, two = place_holds(ada_api, rhine_api, rhine_service, 2)
    report(rhine_api, [event(one, "e1", 50)])

    answers = report(
        rhine_api,
        [event(one, "e1", 51), event(two, "e1", 50), event(one, "e2", 50), event(one, "e1", 50)],
    )

    assert outcomes(answers) == ["event_id_reused", "event_id_reused", "hold_captured", "duplicate"]
    assert balance_of(funded) == (9_990_000, 20_000)


def test_two_events_for_one_hold_in_one_batch_charge_the_first(
    funded: Organisation, ada_api: ApiClient, rhine_api: ApiClient, rhine_service: Service
) -> None:
    (hold,) = place_holds(ada_api, rhine_api, rhine_service)

    answers = report(rhine_api, [event(hold, "a", 10), event(hold, "b", 20), event(hold, "a", 11)])

    assert outcomes(answers) == ["accepted", "hold_captured", "event_id_reused"]
    assert balance_of(funded) == (9_998_000, 0)


def test_two_providers_may_use_the_same_event_id(
    funded: Organisation,
    ada_api: ApiClient,
    rhine_api: ApiClient,
    rival_api: ApiClient,
    rhine_service: Service,
    rival: Provider,
    qwen: AIModel,
) -> None:
    other = make_live_service(rival, qwen)
    (ours,) = place_holds(ada_api, rhine_api, rhine_service)
    (theirs,) = place_holds(ada_api, rival_api, other)

    assert outcomes(report(rhine_api, [event(ours, "same")])) == ["accepted"]
    assert outcomes(report(rival_api, [event(theirs, "same")])) == ["accepted"]
    assert {e.source for e in UsageEvent.objects.all()} == {
        f"provider:{rival.public_id}",
        f"provider:{rhine_service.provider.public_id}",
    }


def test_two_tenants_with_one_event_id_are_not_mixed_up(
    funded: Organisation,
    globex: Organisation,
    ada_api: ApiClient,
    gus_api: ApiClient,
    rhine_api: ApiClient,
    rhine_service: Service,
) -> None:
    give_tokens(globex, 1000)
    (of_acme,) = place_holds(ada_api, rhine_api, rhine_service)
    (of_globex,) = place_holds(gus_api, rhine_api, rhine_service)

    answers = report(rhine_api, [event(of_acme, "same"), event(of_globex, "same")])

    assert outcomes(answers) == ["accepted", "event_id_reused"]
    assert balance_of(funded) == (9_990_000, 0)
    assert balance_of(globex) == (1_000_000, 20_000)


def test_anothers_hold_does_not_exist(
    funded: Organisation,
    ada_api: ApiClient,
    rhine_api: ApiClient,
    rival_api: ApiClient,
    rhine_service: Service,
) -> None:
    (hold,) = place_holds(ada_api, rhine_api, rhine_service)

    answers = report(rival_api, [event(hold, "e1"), event("hld_" + "0" * 26, "e2")])

    assert outcomes(answers) == ["hold_not_found", "hold_not_found"]
    assert balance_of(funded) == (10_000_000, 20_000)


def test_late_events_count_until_the_hold_expires(
    funded: Organisation, ada_api: ApiClient, rhine_api: ApiClient, rhine_service: Service
) -> None:
    early, late = place_holds(ada_api, rhine_api, rhine_service, 2)
    happened = utc_now().isoformat().replace("+00:00", "Z")

    with time_machine.travel(utc_now() + timedelta(minutes=74), tick=False):
        assert outcomes(report(rhine_api, [event(early, "e1", time=happened)])) == ["accepted"]
    with time_machine.travel(utc_now() + timedelta(minutes=76), tick=False):
        assert outcomes(report(rhine_api, [event(late, "e2", time=happened)])) == ["hold_expired"]
        assert outcomes(report(rhine_api, [event(early, "e1", time=happened)])) == ["duplicate"]
        # What it says does not matter any more.
        impossible = event(late, "e3", data={"prompt_tokens": 1, "cached_tokens": 2})
        assert outcomes(report(rhine_api, [impossible])) == ["hold_expired"]


def test_a_hold_that_a_clock_before_ours_has_expired_is_refused(
    funded: Organisation, ada_api: ApiClient, rhine_api: ApiClient, rhine_service: Service
) -> None:
    """By our own clock it still lives, and its call is not marked as lost yet."""
    (hold,) = place_holds(ada_api, rhine_api, rhine_service)
    ledger.expire_holds(now=utc_now() + timedelta(hours=2))

    answers = report(rhine_api, [event(hold, "e1")])

    assert outcomes(answers) == ["hold_expired"]
    assert Call.objects.get().status == "open"
    assert not UsageEvent.objects.exists()
    assert balance_of(funded) == (10_000_000, 0)


@pytest.mark.parametrize("moment", ["between chunks", "before the charge"])
def test_a_hold_that_expires_while_a_batch_is_taken_is_refused(
    funded: Organisation,
    ada_api: ApiClient,
    rhine_api: ApiClient,
    rhine_service: Service,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
) -> None:
    """Never charged late: the wallet may be empty by now, and the operator would pay."""
    holds = place_holds(ada_api, rhine_api, rhine_service, 4)
    events = [event(hold, f"e{n}") for n, hold in enumerate(holds)]
    monkeypatch.setattr(usage_reports, "CHUNK", 2)
    close_calls = metering.close_calls

    with time_machine.travel(utc_now() + timedelta(minutes=74), tick=False) as clock:

        def close_slowly(*arguments: Any, **named: Any) -> Any:
            if moment == "before the charge":
                clock.shift(timedelta(minutes=2))
                metering.sweep_open_calls(now=utc_now())
                return close_calls(*arguments, **named)
            results = close_calls(*arguments, **named)
            clock.shift(timedelta(minutes=2))
            return results

        monkeypatch.setattr(metering, "close_calls", close_slowly)
        answers = report(rhine_api, events)
        metering.sweep_open_calls(now=utc_now())

    expected = ["accepted", "accepted"] if moment == "between chunks" else ["hold_expired"] * 2
    assert outcomes(answers) == [*expected, "hold_expired", "hold_expired"]
    assert answers[-1]["reason"]
    charged = expected.count("accepted")
    assert UsageEvent.objects.count() == charged
    assert Call.objects.filter(status="lost", cost_millitokens=0).count() == 4 - charged
    assert balance_of(funded) == (10_000_000 - charged * 10_000, 0)


def test_more_than_held_is_capped_and_said(
    funded: Organisation, ada_api: ApiClient, rhine_api: ApiClient, rhine_service: Service
) -> None:
    (hold,) = place_holds(ada_api, rhine_api, rhine_service)

    (answer,) = report(rhine_api, [event(hold, "e1", 100_000)])
    (again,) = report(rhine_api, [event(hold, "e1", 100_000)])

    assert (answer["outcome"], answer["charged"], answer["capped"]) == ("accepted", "20", True)
    assert again == answer | {"outcome": "duplicate"}
    assert CappedReport.objects.get().prompt_tokens == 100_000
    assert balance_of(funded) == (9_980_000, 0)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"specversion": "0.3"}, "event_malformed"),
        ({"id": ""}, "event_malformed"),
        ({"id": "x" * 101}, "event_malformed"),
        ({"type": "other"}, "event_malformed"),
        ({"subject": "call_" + "0" * 26}, "event_malformed"),
        ({"time": "yesterday"}, "event_malformed"),
        ({"time": "2099-01-01T00:00:00Z"}, "time_in_future"),
        ({"data": {}}, "event_malformed"),
        ({"data": {"prompt_tokens": -1}}, "event_malformed"),
        ({"data": {"prompt_tokens": 1.5}}, "event_malformed"),
        ({"data": {"prompt_tokens": "5"}}, "event_malformed"),
        ({"data": {"prompt_tokens": 10**12}}, "event_malformed"),
        ({"data": {"prompt_tokens": 1, "words": 3}}, "event_malformed"),
        ({"data": {"prompt_tokens": 1, "cached_tokens": 2}}, "usage_not_possible"),
        ({"data": None}, "event_malformed"),
    ],
)
def test_a_bad_event_is_rejected_with_its_reason_and_charges_nothing(
    funded: Organisation,
    ada_api: ApiClient,
    rhine_api: ApiClient,
    rhine_service: Service,
    change: dict[str, Any],
    code: str,
) -> None:
    (hold,) = place_holds(ada_api, rhine_api, rhine_service)

    (answer,) = report(rhine_api, [event(hold, "e1", **change)])

    assert (answer["outcome"], answer["code"]) == ("rejected", code)
    assert answer["reason"]
    assert not UsageEvent.objects.exists()
    assert Call.objects.get().status == "open"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ([], 400),
        ("events", 400),
        ([None] * 1001, 400),
        ([[], 5, None, "x"], 200),
    ],
)
def test_what_is_no_batch_is_refused(
    rhine: Provider, rhine_api: ApiClient, body: Any, status: int
) -> None:
    response = rhine_api.post(EVENTS, body)

    assert response.status_code == status
    if status == 200:
        assert {a["outcome"] for a in response.json()["results"]} == {"rejected"}


def test_the_media_type_of_cloudevents_is_understood_and_others_are_not(
    rhine: Provider, rhine_api: ApiClient
) -> None:
    def send(content_type: str, body: bytes = b"[1]") -> Any:
        return rhine_api.client.post(
            EVENTS,
            data=body,
            content_type=content_type,
            headers={"Authorization": f"Bearer {rhine_api.key}"},
        )

    assert send(f"{BATCH_TYPE}; charset=utf-8").status_code == 200
    assert send("text/plain").status_code == 415
    assert send("multipart/form-data; boundary=x").status_code == 415
    assert send(BATCH_TYPE, b"[" + b" " * 2**20 + b"]").status_code == 413
    assert send(BATCH_TYPE, b"[" * 100_000).status_code == 400
    assert send(BATCH_TYPE, b"[NaN]").status_code == 400
    assert send(BATCH_TYPE, b'["\\ud800"]').status_code == 400
    assert send(BATCH_TYPE, b'["\\u0000"]').status_code == 400
    assert send(BATCH_TYPE, b'["\xff"]').status_code == 400
    assert send(BATCH_TYPE, b"[" + b"9" * 5000 + b"]").status_code == 400
    assert send(BATCH_TYPE, b"").status_code == 400


def test_a_batch_needs_no_more_queries_for_more_events(
    funded: Organisation,
    ada: User,
    ada_api: ApiClient,
    rhine_api: ApiClient,
    rhine_service: Service,
    django_assert_max_num_queries: Any,
) -> None:
    _key, text = make_key(funded, created_by=ada)
    holds = place_holds(ApiClient(text), rhine_api, rhine_service, 30)
    events = [event(hold, f"e{n}") for n, hold in enumerate(holds)]

    # Each call is closed and its event and charge are written: four statements per event.
    with django_assert_max_num_queries(30 + 4 * 30):
        report(rhine_api, events)
    with django_assert_max_num_queries(12):
        report(rhine_api, events)
