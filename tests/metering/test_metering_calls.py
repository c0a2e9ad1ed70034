"""A call is opened with its hold and closed with its capture, each once and in one commit."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from accounts.models import Organisation
from marketplace.catalog.models import Provider
from marketplace.ledger import selectors as ledger
from marketplace.ledger.models import Hold, Wallet
from marketplace.metering import selectors
from marketplace.metering import services as metering
from marketplace.metering.models import Call, UsageCharge, UsageEvent
from portal.kernel.clock import utc_now
from tests.cast import make_key
from tests.databases import CommittedDatabase
from tests.market import give_tokens
from tests.metering.books import COST, everything, wallet
from tests.metering.conftest import Meter


def test_a_call_from_hold_to_charge(meter: Meter) -> None:
    opened = meter.open(prompt_tokens=100, completion_tokens=50, request_id="req_1", streamed=True)
    held = 100 * 200 + 50 * 800
    assert (opened.held_millitokens, wallet(meter).held_millitokens) == (held, held)
    call = Call.objects.get(public_id=opened.public_id)
    assert (call.status, call.hold.public_id, call.request_id, call.streamed) == (  # type: ignore[union-attr]
        "open", opened.hold_id, "req_1", True,
    )  # fmt: skip
    assert (call.region, call.price_version) == ("eu-central", meter.service.price_versions.get())

    result = meter.close(opened, finish_reason="stop", upstream_id="x", first_token_ms=20)
    assert (result.outcome, result.cost_millitokens) == ("closed", COST)
    call.refresh_from_db()
    assert (call.status, call.cost_millitokens, call.finish_reason) == ("succeeded", COST, "stop")
    assert (call.share_millitokens, call.commission_millitokens) == (5400, 600)
    assert wallet(meter).held_millitokens == 0
    assert wallet(meter).posted_millitokens == 10**9 - COST
    charge = UsageCharge.objects.get()
    assert charge.transaction is not None
    assert (charge.amount_millitokens, charge.transaction.public_id) == (
        COST,
        result.transaction_id,
    )
    assert charge.event.call == call
    assert (charge.event.source, charge.event.event_id) == ("gateway", call.public_id)
    provider = meter.service.provider.public_id
    assert ledger.get_account_balance(kind="payable", owner_key=provider, unit="live") == 5400


def test_closing_again_changes_nothing(meter: Meter) -> None:
    opened = meter.open()
    first = meter.close(opened)
    before = everything()
    for fields in ({}, {"completion_tokens": 50}, {"status": "failed", "usage_source": "none"}):
        again = meter.close(opened, **fields)
        assert (again.outcome, again.cost_millitokens) == ("replayed", COST)
        assert again.transaction_id == first.transaction_id
    assert everything() == before


@pytest.mark.parametrize(
    ("status", "source", "cost"),
    [
        ("failed", "provider", 0), ("failed", "none", 0), ("succeeded", "none", 0),
        ("client_disconnected", "none", 0), ("client_disconnected", "estimate", COST),
    ],
)  # fmt: skip
def test_what_costs(meter: Meter, status: str, source: str, cost: int) -> None:
    opened = meter.open()
    assert meter.close(opened, status=status, usage_source=source).cost_millitokens == cost
    assert wallet(meter).posted_millitokens == 10**9 - cost
    assert wallet(meter).held_millitokens == 0
    assert UsageEvent.objects.count() == UsageCharge.objects.count() == bool(cost)
    # Closing a failed call again is no second ending either.
    assert meter.close(opened).outcome == "replayed"
    assert wallet(meter).posted_millitokens == 10**9 - cost


def test_impossible_quantities_are_refused_whole(meter: Meter) -> None:
    opened = meter.open()
    before = everything()
    wrong: list[dict[str, Any]] = [
        {"prompt_tokens": -1}, {"cached_tokens": 11}, {"completion_tokens": -9},
    ]  # fmt: skip
    for fields in wrong:
        with pytest.raises(metering.UsageNotPossible):
            meter.close(opened, **fields)
    assert everything() == before


def test_a_batch_is_decided_one_by_one(meter: Meter, globex: Organisation) -> None:
    """In the order given, in one commit, and closed the same way."""
    _key, poor = make_key(globex)
    requests = [meter.request(), meter.request(key=meter.authenticated(poor)), meter.request()]
    results = metering.open_calls(requests, now=utc_now())
    assert [result.outcome for result in results] == ["opened", "declined", "opened"]
    closings = [
        metering.CloseCall(
            call=result.call, status="succeeded", prompt_tokens=n, usage_source="provider"
        )
        for n, result in enumerate(results)
        if result.call
    ]
    closed = metering.close_calls([*closings, closings[0]], now=utc_now())
    assert [(c.outcome, c.cost_millitokens) for c in closed] == [
        ("closed", 0), ("closed", 400), ("replayed", 0),
    ]  # fmt: skip
    assert metering.open_calls([], now=utc_now()) == []
    assert metering.close_calls([], now=utc_now()) == []


def test_a_call_can_be_closed_elsewhere(meter: Meter) -> None:
    opened = meter.open()
    # What is agreed later does not touch a call that is running.
    Provider.objects.update(commission_basis_points=5000)
    found = selectors.describe_opened(Call.objects.get(public_id=opened.public_id))
    assert opened.commission_basis_points == 1000
    assert found == replace(opened, prompt_tokens=0, completion_tokens=0)
    event: dict[str, Any] = {"event_source": "provider:prv_1", "event_id": "e1"}
    assert meter.close(found, **event).outcome == "closed"
    # The same event for another call, or with other quantities, is not that event.
    other = meter.open()
    before = everything()
    assert meter.close(other, **event).outcome == "conflict"
    assert meter.close(opened, **event, completion_tokens=6).outcome == "conflict"
    assert meter.close(opened, **event).outcome == "replayed"
    assert everything() == before
    # Another source may use the same id.
    assert meter.close(other, event_source="provider:prv_2", event_id="e1").outcome == "closed"


def test_one_event_for_two_calls_at_once(meter: Meter) -> None:
    event: dict[str, Any] = {"event_source": "provider:prv_1", "event_id": "e1"}
    calls = [meter.open(), meter.open()]
    results = metering.close_calls(
        [
            metering.CloseCall(
                call=call, status="succeeded", prompt_tokens=10, usage_source="provider", **event
            )
            for call in calls
        ],
        now=utc_now(),
    )
    assert [result.outcome for result in results] == ["closed", "conflict"]
    assert Call.objects.filter(status="open").count() == 1


def test_calls_of_every_kind_close_in_one_batch(meter: Meter, globex: Organisation) -> None:
    """Each gets what it would get alone: paid, failed, uncounted, closed before, lost, twice."""
    give_tokens(globex)
    theirs = meter.authenticated(make_key(globex)[1])
    paid, failed, uncounted, before, lost = (meter.open() for _number in range(5))
    other = meter.open(key=theirs)
    meter.close(before)
    Call.objects.filter(pk=lost.call_pk).update(status="lost", ended_at=utc_now())
    used: dict[str, Any] = {"prompt_tokens": 10, "completion_tokens": 5, "usage_source": "provider"}
    results = metering.close_calls(
        [
            metering.CloseCall(call=paid, status="succeeded", duration_ms=7, **used),
            metering.CloseCall(call=failed, status="failed", error_code="upstream_error"),
            metering.CloseCall(call=uncounted, status="succeeded", usage_doubt="missing"),
            metering.CloseCall(call=before, status="succeeded", **used),
            metering.CloseCall(call=lost, status="succeeded", first_token_ms=3, **used),
            metering.CloseCall(call=other, status="client_disconnected", **used),
            metering.CloseCall(call=paid, status="succeeded", duration_ms=7, **used),
        ],
        now=utc_now(),
    )
    assert [(result.outcome, result.cost_millitokens) for result in results] == [
        ("closed", COST), ("closed", 0), ("closed", 0), ("replayed", COST), ("closed", COST),
        ("closed", COST), ("replayed", COST),
    ]  # fmt: skip
    assert results[0].transaction_id == results[-1].transaction_id
    calls = {call.pk: call for call in Call.objects.all()}
    assert (calls[paid.call_pk].duration_ms, calls[paid.call_pk].first_token_ms) == (7, None)
    assert (calls[lost.call_pk].status, calls[lost.call_pk].first_token_ms) == ("succeeded", 3)
    assert calls[failed.call_pk].error_code == "upstream_error"
    assert calls[uncounted.call_pk].usage_doubt == "missing"
    assert UsageCharge.objects.count() == 4
    assert not Hold.objects.filter(state="pending").exists()
    assert wallet(meter).posted_millitokens == 10**9 - 3 * COST
    assert Wallet.objects.get(owner_key=globex.public_id).posted_millitokens == 10**9 - COST


def test_failed_calls_cannot_cost(meter: Meter) -> None:
    """Not even by a slip: the database refuses."""
    opened = meter.open()
    with pytest.raises(IntegrityError), transaction.atomic():
        Call.objects.filter(pk=opened.call_pk).update(
            status="failed", cost_millitokens=5, share_millitokens=5, ended_at=utc_now()
        )


def test_query_counts(meter: Meter, django_assert_max_num_queries: Any) -> None:
    """Opening and closing ask as often for ten calls as for one, but for their own rows."""
    request = meter.request()
    with django_assert_max_num_queries(14):
        results = metering.open_calls([request], now=utc_now())
    call = results[0].call
    assert call is not None
    closing = metering.CloseCall(call=call, status="succeeded", usage_source="provider")
    with django_assert_max_num_queries(18):
        metering.close_calls([closing], now=utc_now())


def test_closed_fifty_times_at_once(committed_db: CommittedDatabase, meter: Meter) -> None:
    opened = meter.open()

    def close(_number: int) -> str:
        try:
            return meter.close(opened).outcome
        finally:
            connection.close()

    with ThreadPoolExecutor(10) as pool:
        outcomes = Counter(pool.map(close, range(50)))
    assert outcomes == {"closed": 1, "replayed": 49}
    assert wallet(meter).posted_millitokens == 10**9 - COST


def test_events_and_charges_never_change(meter: Meter) -> None:
    meter.close(meter.open())
    before = everything()
    changed: list[tuple[Any, dict[str, Any]]] = [
        (UsageEvent.objects.all(), {"prompt_tokens": 1}),
        (UsageCharge.objects.all(), {"amount_millitokens": 1}),
    ]
    for rows, values in changed:
        with pytest.raises(DatabaseError), transaction.atomic():
            rows.update(**values)
        with pytest.raises(DatabaseError), transaction.atomic():
            rows._raw_delete(rows.db)
    assert everything() == before
