"""A call is opened with its hold and closed with its capture, each once and in one commit."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from accounts.models import Organisation
from marketplace.ledger import selectors as ledger
from marketplace.ledger import services as ledger_services
from marketplace.ledger.models import Entry, Hold, Limit, Wallet
from marketplace.metering import selectors
from marketplace.metering import services as metering
from marketplace.metering.models import Call, UsageCharge, UsageEvent
from portal.kernel.clock import utc_now
from portal.kernel.public_ids import new_public_id
from tests.cast import make_key
from tests.databases import CommittedDatabase
from tests.market import give_tokens
from tests.metering.conftest import Meter

COST = 10 * 200 + 5 * 800


def wallet(meter: Meter) -> Wallet:
    return wallet_of(meter.acme)


def wallet_of(organisation: Organisation) -> Wallet:
    return Wallet.objects.get(owner_key=organisation.public_id, unit="live")


def everything() -> Any:
    """All that money depends on, to compare before and after."""
    return [
        sorted(map(tuple, model.objects.values_list()))
        for model in (Wallet, Hold, Limit, Entry, Call, UsageEvent, UsageCharge)
    ]


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


def test_declines_are_written_and_say_why(meter: Meter, globex: Organisation) -> None:
    _key, secret = make_key(globex)
    request = meter.request(key=meter.authenticated(secret))
    [result] = metering.open_calls([request], now=utc_now())
    assert (result.outcome, result.decline_code) == ("declined", "insufficient_funds")
    call = Call.objects.get(public_id=result.call_id)
    assert (call.status, call.error_code) == ("refused", "insufficient_funds")
    assert call.ended_at is not None

    _key, secret = make_key(meter.acme, cap_millitokens=1, cap_period="week")
    [result] = metering.open_calls([meter.request(key=meter.authenticated(secret))], now=utc_now())
    assert result.decline_code == "limit_exceeded"
    assert result.decline_subject.endswith(":week")
    assert wallet(meter).held_millitokens == 0


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


def test_the_same_key_opens_the_same_call(meter: Meter, globex: Organisation) -> None:
    request: dict[str, Any] = {
        "idempotency_scope": "provider:prv_1",
        "idempotency_key": "k",
        "request_hash": "h",
    }
    opened = meter.open(**request)
    before = everything()
    [again] = metering.open_calls([meter.request(**request)], now=utc_now())
    assert (again.replayed, again.call_id) == (True, opened.public_id)
    assert again.call is not None
    assert (again.call.call_pk, again.call.hold_id) == (opened.call_pk, opened.hold_id)
    [other] = metering.open_calls([meter.request(**request | {"request_hash": "x"})], now=utc_now())
    assert (other.outcome, other.call) == ("conflict", None)
    assert everything() == before

    _key, poor = make_key(globex)
    declined = {**request, "idempotency_key": "poor", "key": meter.authenticated(poor)}
    [first] = metering.open_calls([meter.request(**declined)], now=utc_now())
    [second] = metering.open_calls([meter.request(**declined)], now=utc_now())
    assert (second.outcome, second.call_id, second.replayed) == ("declined", first.call_id, True)


def test_a_request_made_again_finds_its_call(meter: Meter, globex: Organisation) -> None:
    """Alone or in another batch, shortened or refused: nothing is held or written twice."""
    give_tokens(globex, 60_000)
    _key, poor = make_key(globex)
    theirs = meter.authenticated(poor)
    requests = [
        meter.request(call_id=new_public_id("call")),
        # 20,000 for the prompt leave 50 tokens of answer.
        meter.request(call_id=new_public_id("call"), key=theirs, least_completion_tokens=16),
        meter.request(call_id=new_public_id("call"), key=theirs, least_completion_tokens=16),
    ]
    first = metering.open_calls(requests, now=utc_now())
    assert [result.outcome for result in first] == ["opened", "opened", "declined"]
    assert [result.call_id for result in first] == [request.call_id for request in requests]
    assert first[1].call is not None
    assert (first[1].call.completion_tokens, first[1].call.held_millitokens) == (50, 60_000)
    before = everything()
    give_tokens(globex, reference="since")
    balance = wallet_of(globex).posted_millitokens
    again = metering.open_calls(requests, now=utc_now())
    again += [metering.open_calls([request], now=utc_now())[0] for request in requests]
    for result, known in zip(again, first * 2, strict=True):
        assert result == replace(known, replayed=True)
    assert wallet_of(globex).posted_millitokens == balance
    assert everything()[4:] == before[4:]
    assert (Hold.objects.count(), Call.objects.count()) == (5, 3)


def test_a_call_can_be_closed_elsewhere(meter: Meter) -> None:
    opened = meter.open()
    for found in (
        selectors.get_opened_call(public_id=opened.public_id),
        selectors.get_opened_call(hold_id=opened.hold_id),
    ):
        assert (found.call_pk, found.hold_id, found.price) == (
            opened.call_pk, opened.hold_id, opened.price,
        )  # fmt: skip
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


def test_late_and_the_wallet_is_empty(meter: Meter) -> None:
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


def test_an_answer_is_shortened_to_what_fits_the_call(meter: Meter, globex: Organisation) -> None:
    """Tokens that are for another service pay for nothing here."""
    give_tokens(globex, 40_000)
    for scope, amount in (("service:svc_other", 10**9), ("modality:chat", 20_000)):
        ledger_services.grant_lot(
            owner_key=globex.public_id, unit="live", reference=scope, kind="grant", scope=scope,
            face_millitokens=amount, debits=[("promotion", "operator", amount)], now=utc_now(),
        )  # fmt: skip
    _key, poor = make_key(globex)
    opened = meter.open(key=meter.authenticated(poor), least_completion_tokens=16)
    assert (opened.completion_tokens, opened.held_millitokens) == (50, 60_000)
