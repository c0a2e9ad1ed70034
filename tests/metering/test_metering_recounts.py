"""What follows from counting a call again: a verdict, the usual difference, tokens given back."""

from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse

from accounts.models import Organisation, User, WebhookDelivery
from marketplace.catalog.models import Service
from marketplace.ledger import selectors as ledger
from marketplace.ledger.models import Entry, Transaction
from marketplace.metering import selectors
from marketplace.metering import services as metering
from marketplace.metering.models import Calibration, Call, Recount, RecountTally
from marketplace.metering.verdicts import CountedCall, judge
from portal.kernel.clock import utc_now
from tests.accounts.webhooks import make_webhook
from tests.api.client import ApiClient
from tests.cast import make_key
from tests.market import count_again, give_tokens, make_call

pytest_plugins = ["tests.partners.fixtures"]


def counted(**numbers: Any) -> CountedCall:
    fields = {
        "call_pk": 1, "service_pk": 1, "tokenizer": "qwen3", "prompt_reported": 100,
        "prompt_counted": 100, "completion_reported": 50, "completion_counted": 50,
    }  # fmt: skip
    return CountedCall(**{**fields, **numbers})


@pytest.mark.parametrize(
    ("numbers", "offset", "verdict", "fair"),
    [
        ({}, 0, "agrees", (100, 50)),
        ({"prompt_reported": 104}, 0, "agrees", (104, 50)),
        ({"prompt_reported": 105}, 0, "review", (105, 50)),
        ({"prompt_reported": 116}, 0, "review", (116, 50)),
        ({"prompt_reported": 117}, 0, "disputed", (100, 50)),
        # Half a per cent and two per cent of many.
        ({"prompt_reported": 10_050, "prompt_counted": 10_000}, 0, "agrees", (10_050, 50)),
        ({"prompt_reported": 10_200, "prompt_counted": 10_000}, 0, "review", (10_200, 50)),
        ({"prompt_reported": 10_201, "prompt_counted": 10_000}, 0, "disputed", (10_000, 50)),
        # What the service always adds.
        ({"prompt_reported": 130}, 30, "agrees", (130, 50)),
        ({"prompt_reported": 147}, 30, "disputed", (130, 50)),
        ({"prompt_reported": 5000}, None, "review", (5000, 50)),
        # The token that ends an answer may count or not.
        ({"completion_reported": 55, "stops": 1}, 0, "agrees", (100, 55)),
        ({"completion_reported": 54, "stops": 0}, 0, "agrees", (100, 54)),
        ({"completion_reported": 55}, 0, "review", (100, 55)),
        ({"completion_reported": 68, "stops": 1}, 0, "disputed", (100, 51)),
        # Markers around thoughts and tool calls.
        ({"completion_reported": 62, "has_markup": True}, 0, "agrees", (100, 62)),
        ({"completion_reported": 75, "has_markup": True}, 0, "disputed", (100, 58)),
        # Less than we count hurts nobody.
        ({"prompt_reported": 0}, 0, "review", (0, 50)),
        ({"completion_reported": 0}, 0, "review", (100, 0)),
        # One part alone.
        ({"prompt_counted": None, "reason": "tools"}, 0, "agrees", (100, 50)),
        ({"prompt_counted": None, "completion_reported": 99}, 0, "disputed", (100, 50)),
        ({"prompt_counted": None, "completion_counted": None}, 0, "uncountable", (100, 50)),
    ],
)
def test_verdicts(
    numbers: dict[str, Any], offset: int | None, verdict: str, fair: tuple[int, int]
) -> None:
    judgement = judge(counted(**numbers), prompt_offset=offset)
    assert judgement.verdict == verdict
    assert (judgement.fair_prompt, judgement.fair_completion) == fair


@pytest.mark.parametrize(
    ("numbers", "reason"),
    [
        ({"prompt_counted": None, "reason": "tools"}, "tools"),
        ({"prompt_reported": 400}, "calibrating"),
        ({"completion_reported": 1}, "reported_less"),
        ({}, ""),
    ],
)
def test_reasons(numbers: dict[str, Any], reason: str) -> None:
    assert judge(counted(**numbers), prompt_offset=None).reason == reason


@pytest.fixture
def key(db: None, acme: Organisation) -> str:
    give_tokens(acme)
    return make_key(acme)[1]


def balance(acme: Organisation) -> int:
    return ledger.get_balance(owner_key=acme.public_id, unit="live").spendable


def test_a_call_that_agrees_stays_as_it_is(
    key: str, acme: Organisation, rhine_service: Service
) -> None:
    call, before = make_call(key, rhine_service), balance(acme)
    recount = count_again(call)
    assert (recount.verdict, recount.returned_millitokens) == ("agrees", 0)
    call.refresh_from_db()
    assert call.usage_doubt == ""
    assert balance(acme) == before
    assert not Transaction.objects.filter(kind="reversal").exists()


def test_a_disputed_call_costs_what_was_counted(
    key: str, acme: Organisation, rhine_service: Service
) -> None:
    """Prices 200 in, 800 out: of 50 reported tokens 10 can be shown."""
    make_webhook(acme, event_types=["call.disputed"])
    call, before = make_call(key, rhine_service), balance(acme)
    for _again in range(2):
        recount = count_again(call, completion_counted=10)
    told = WebhookDelivery.objects.get().payload
    assert told == {"call": call.public_id, "returned_tokens": "32"}
    assert (recount.verdict, recount.returned_millitokens) == ("disputed", 40 * 800)
    assert balance(acme) == before + 40 * 800
    call.refresh_from_db()
    assert call.usage_doubt == "disputed"
    assert call.cost_millitokens == 100 * 200 + 50 * 800
    [reversal] = Transaction.objects.filter(kind="reversal")
    assert recount.correction == reversal
    sides = dict(
        Entry.objects.filter(transaction=reversal).values_list(
            "debit_account__kind", "amount_millitokens"
        )
    )
    # In proportion: what the provider keeps is its share of what the call should have cost.
    rate = 10_000 - call.commission_basis_points
    kept = (100 * 200 + 10 * 800) * rate // 10_000
    assert sides == {
        "payable": call.share_millitokens - kept,
        "commission": 40 * 800 - (call.share_millitokens - kept),
    }
    tally = RecountTally.objects.get()
    assert (tally.disputed, tally.agrees) == (1, 0)


def test_disputes_can_be_only_written_down(
    key: str, acme: Organisation, rhine_service: Service
) -> None:
    call, before = make_call(key, rhine_service), balance(acme)
    recount = count_again(call, completion_counted=10, settles=False)
    assert (recount.verdict, recount.returned_millitokens) == ("disputed", 0)
    assert balance(acme) == before


def test_what_the_operator_bore_is_left_to_a_person(
    key: str, acme: Organisation, rhine_service: Service
) -> None:
    call = make_call(key, rhine_service)
    Call.objects.filter(pk=call.pk).update(uncovered_millitokens=5)
    before = balance(acme)
    recount = count_again(call, completion_counted=10)
    assert (recount.verdict, recount.returned_millitokens) == ("disputed", 0)
    assert balance(acme) == before


def test_what_is_usual_for_a_service_is_learned_and_then_expected(
    key: str, acme: Organisation, rhine_service: Service
) -> None:
    calls = [make_call(key, rhine_service) for _number in range(6)]
    for call, hidden in zip(calls, (30, 31, 30, 90, 30), strict=False):
        recount = count_again(call, prompt_counted=100 - hidden)
        assert (recount.verdict, recount.reason) == ("review", "calibrating")
    calibration = Calibration.objects.get()
    assert (calibration.prompt_offset, calibration.learned_from) == (30, 5)
    agreed = count_again(calls[5], prompt_counted=70)
    assert (agreed.verdict, agreed.calibration_version) == ("agrees", 1)
    greedy = count_again(make_call(key, rhine_service), prompt_counted=20)
    assert (greedy.verdict, greedy.returned_millitokens) == ("disputed", 50 * 200)
    record = selectors.get_count_records([rhine_service.pk], now=utc_now())[rhine_service.pk]
    assert (record.checked, record.agrees, record.review, record.disputed) == (7, 1, 5, 1)
    assert (record.agree_basis_points, record.prompt_offset) == (1428, 30)


def test_many_at_once_are_one_statement(key: str, rhine_service: Service) -> None:
    calls = [make_call(key, rhine_service) for _number in range(3)]
    many = [
        counted(call_pk=call.pk, service_pk=rhine_service.pk, prompt_counted=None) for call in calls
    ]
    for _again in range(2):
        assert metering.record_recounts(many, now=utc_now()) == ["agrees"] * 3
    assert Recount.objects.count() == 3
    assert RecountTally.objects.get().agrees == 3


def test_a_recount_never_changes(key: str, rhine_service: Service) -> None:
    recount = count_again(make_call(key, rhine_service))
    for change in (
        lambda: Recount.objects.filter(pk=recount.pk).update(verdict="disputed"),
        lambda: recount.delete(),
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            change()


def test_nothing_was_checked_yet(rhine_service: Service) -> None:
    record = selectors.get_count_records([rhine_service.pk], now=utc_now())[rhine_service.pk]
    assert (record.checked, record.agree_basis_points, record.prompt_offset) == (0, None, None)
    assert selectors.get_count_records([], now=utc_now()) == {}


@pytest.mark.parametrize(
    ("terms", "verdict", "words"),
    [
        ({}, "agrees", "came to the same"),
        ({"completion_counted": 44}, "review", "too small to say"),
        ({"completion_counted": 10}, "disputed", "32 tokens came back"),
        ({"completion_counted": 10, "settles": False}, "disputed", "has not changed yet"),
        ({"prompt_counted": 30}, "review", "still being learned"),
    ],
)
def test_the_receipt_says_what_was_found(
    key: str,
    acme: Organisation,
    ada: User,
    rhine_service: Service,
    client: Client,
    terms: dict[str, Any],
    verdict: str,
    words: str,
) -> None:
    call = make_call(key, rhine_service)
    url = reverse("metering:request", kwargs={"organisation": acme.slug, "call": call.public_id})
    client.force_login(ada)
    assert "Counted again" not in client.get(url).content.decode()
    api = ApiClient(key)
    assert api.get(f"/api/v1/calls/{call.public_id}").json()["recount"] is None
    recount = count_again(call, **terms)
    page = client.get(url).content.decode()
    assert "Counted again" in page
    assert words in " ".join(page.split())
    told = api.get(f"/api/v1/calls/{call.public_id}").json()["recount"]
    assert (told["verdict"], told["completion_counted"]) == (verdict, recount.completion_counted)
    assert told["returned_tokens"] == str(recount.returned_millitokens // 1000)


def test_the_service_page_says_how_often_counts_agree(
    key: str, rhine_service: Service, client: Client
) -> None:
    url = reverse("catalog:service", kwargs={"slug": rhine_service.slug})
    assert "the market checked" not in client.get(url).content.decode()
    for _number in range(5):
        count_again(make_call(key, rhine_service), prompt_counted=97)
    page = " ".join(client.get(url).content.decode().split())
    assert "5, 100% agree" in page
    assert "+3 model tokens" in page
