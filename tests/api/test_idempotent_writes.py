"""Writes under an Idempotency-Key: done once, answered alike, safe in crowds and after crashes."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
import time_machine
from django.db import connections

from accounts.models import AuditEvent, Organisation, RememberedAnswer
from marketplace.billing.models import Attempt, Order
from marketplace.catalog.models import AIModel, Provider, Service
from marketplace.ledger.models import Hold, Lot
from marketplace.partners.models import DirectGrant
from portal.kernel.clock import utc_now
from tests.api.client import ApiClient, codes
from tests.billing.shop import make_pack
from tests.databases import CommittedDatabase
from tests.partners.money import balance_of, give_tokens

SERVICES = "/api/provider/v1/services"
DRAFT = {"model": "qwen/qwen3-8b", "region": "eu-central", "country": "DE"}
CROWD = 8


def test_a_repeat_gets_the_first_answer_and_does_nothing(
    rhine_api: ApiClient, qwen: AIModel
) -> None:
    first = rhine_api.post(SERVICES, DRAFT, idempotency_key="draft-1")
    again = rhine_api.post(SERVICES, DRAFT, idempotency_key="draft-1")
    spelt_otherwise = rhine_api.post(
        SERVICES, dict(reversed(DRAFT.items())), idempotency_key="draft-1"
    )

    assert first.status_code == again.status_code == spelt_otherwise.status_code == 201
    assert first.json() == again.json() == spelt_otherwise.json()
    assert "Idempotent-Replayed" not in first
    assert again["Idempotent-Replayed"] == "true"
    assert Service.objects.count() == 1
    assert AuditEvent.objects.filter(action="service.created").count() == 1


def test_another_body_or_address_under_the_same_key_is_refused(
    rhine_api: ApiClient, qwen: AIModel
) -> None:
    first = rhine_api.post(SERVICES, DRAFT, idempotency_key="draft-1")
    price = {"prices": {"input": "1", "cached_input": "1"}}

    body = rhine_api.post(SERVICES, DRAFT | {"country": "FR"}, idempotency_key="draft-1")
    address = rhine_api.post(
        f"{SERVICES}/{first.json()['id']}/prices", price, idempotency_key="draft-1"
    )

    for refused in (body, address):
        assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_key_reused")
    assert Service.objects.get().country == "DE"
    assert not Service.objects.get().price_versions.exists()


def test_keys_of_two_callers_do_not_meet(
    rhine_api: ApiClient, rival_api: ApiClient, qwen: AIModel
) -> None:
    ours = rhine_api.post(SERVICES, DRAFT, idempotency_key="same").json()
    theirs = rival_api.post(SERVICES, DRAFT | {"country": "FR"}, idempotency_key="same").json()

    assert ours["id"] != theirs["id"]
    assert theirs["country"] == "FR"


@pytest.mark.parametrize("key", ["", "x" * 201, "with space", "schlüssel"])
def test_the_key_must_be_there_and_be_one(rhine_api: ApiClient, qwen: AIModel, key: str) -> None:
    response = rhine_api.post(SERVICES, DRAFT, idempotency_key=key)

    assert response.status_code == 400
    assert set(codes(response)) == {"Idempotency-Key"}
    assert not Service.objects.exists()


def test_a_refusal_is_not_remembered(rhine_api: ApiClient, qwen: AIModel) -> None:
    refused = rhine_api.post(SERVICES, DRAFT | {"country": "XX"}, idempotency_key="draft-1")
    corrected = rhine_api.post(SERVICES, DRAFT, idempotency_key="draft-1")

    assert refused.status_code == 400
    assert corrected.status_code == 201


def test_a_claim_whose_process_died_is_taken_over_after_its_lease(
    rhine_api: ApiClient, qwen: AIModel
) -> None:
    rhine_api.post(SERVICES, DRAFT, idempotency_key="draft-1")
    # As a process leaves it that dies between claim and commit: no answer, and no effect.
    Service.objects.all().delete()
    RememberedAnswer.objects.update(status=None, body=None)

    waiting = rhine_api.post(SERVICES, DRAFT, idempotency_key="draft-1")
    with time_machine.travel(utc_now() + timedelta(seconds=61), tick=False):
        taken_over = rhine_api.post(SERVICES, DRAFT, idempotency_key="draft-1")

    assert (waiting.status_code, waiting.json()["code"]) == (409, "request_in_flight")
    assert int(waiting["Retry-After"]) >= 1
    assert taken_over.status_code == 201
    assert Service.objects.count() == 1


def test_answers_are_kept_for_a_day_as_ciphertext(
    acme: Organisation, ada_api: ApiClient, rhine_service: Service
) -> None:
    wish = {"service": rhine_service.public_id, "ceiling": "5"}
    token = ada_api.post("/api/v1/direct-grants", wish, idempotency_key="g").json()["token"]

    assert token not in str(RememberedAnswer.objects.get().body)
    again = ada_api.post("/api/v1/direct-grants", wish, idempotency_key="g")
    assert again.json()["token"] == token
    with time_machine.travel(utc_now() + timedelta(hours=25), tick=False):
        ada_api.post("/api/v1/direct-grants", wish, idempotency_key="another")
    assert RememberedAnswer.objects.get().idempotency_key == "another"


def crowd(client: ApiClient, path: str, body: Any, key: str) -> list[Any]:
    """The same request from many threads at the same moment."""
    barrier = Barrier(CROWD)

    def send() -> Any:
        try:
            barrier.wait(timeout=30)
            return ApiClient(client.key).post(path, body, idempotency_key=key)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(CROWD) as pool:
        return [future.result() for future in [pool.submit(send) for _n in range(CROWD)]]


def test_a_crowd_with_one_key_drafts_one_service(
    committed_db: CommittedDatabase, rhine: Provider, rhine_api: ApiClient, qwen: AIModel
) -> None:
    answers = crowd(rhine_api, SERVICES, DRAFT, "crowd")

    statuses = Counter(answer.status_code for answer in answers)
    assert set(statuses) <= {201, 409}
    assert statuses[201] >= 1
    ids = {answer.json()["id"] for answer in answers if answer.status_code == 201}
    assert len(ids) == 1
    assert {a.json()["code"] for a in answers if a.status_code == 409} <= {"request_in_flight"}
    assert Service.objects.count() == 1
    assert rhine_api.post(SERVICES, DRAFT, idempotency_key="crowd").json()["id"] in ids


def test_a_crowd_with_one_key_orders_once(
    committed_db: CommittedDatabase, acme: Organisation, ada_api: ApiClient
) -> None:
    make_pack("team")
    wish = {"pack": "team", "currency": "USD"}

    answers = crowd(ada_api, "/api/v1/orders", wish, "crowd")

    assert set(Counter(answer.status_code for answer in answers)) <= {201, 409}
    last = ada_api.post("/api/v1/orders", wish, idempotency_key="crowd")
    assert last.status_code == 201
    assert Order.objects.count() == Attempt.objects.count() == 1


def test_a_crowd_with_one_key_holds_once(
    committed_db: CommittedDatabase,
    acme: Organisation,
    ada_api: ApiClient,
    rhine_service: Service,
    rhine_api: ApiClient,
) -> None:
    give_tokens(acme, 1000)
    grant = ada_api.post(
        "/api/v1/direct-grants", {"service": rhine_service.public_id, "ceiling": "1000"}
    ).json()["token"]
    wish = {"grant": grant, "amount": "80"}

    answers = crowd(rhine_api, "/api/provider/v1/holds", wish, "crowd")

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert Hold.objects.count() == 1
    assert balance_of(acme) == (1_000_000, 80_000)


def test_a_crowd_with_one_key_extends_once(
    committed_db: CommittedDatabase,
    acme: Organisation,
    ada_api: ApiClient,
    rhine_service: Service,
    rhine_api: ApiClient,
) -> None:
    give_tokens(acme, 1000)
    grant = ada_api.post(
        "/api/v1/direct-grants", {"service": rhine_service.public_id, "ceiling": "1000"}
    ).json()["token"]
    hold = rhine_api.post("/api/provider/v1/holds", {"grant": grant, "amount": "80"}).json()

    answers = crowd(
        rhine_api, f"/api/provider/v1/holds/{hold['id']}/extend", {"amount": "10"}, "crowd"
    )

    assert {answer.status_code for answer in answers} <= {200, 409}
    assert balance_of(acme) == (1_000_000, 90_000)


def test_a_crowd_captures_once(
    committed_db: CommittedDatabase,
    acme: Organisation,
    ada_api: ApiClient,
    rhine_service: Service,
    rhine_api: ApiClient,
) -> None:
    give_tokens(acme, 1000)
    grant = ada_api.post(
        "/api/v1/direct-grants", {"service": rhine_service.public_id, "ceiling": "1000"}
    ).json()["token"]
    hold = rhine_api.post("/api/provider/v1/holds", {"grant": grant, "amount": "80"}).json()
    used = {"quantities": {"prompt_tokens": 100}}

    answers = crowd(rhine_api, f"/api/provider/v1/holds/{hold['id']}/capture", used, "")

    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["charged"] for answer in answers} == {"20"}
    assert balance_of(acme) == (980_000, 0)
    assert DirectGrant.objects.count() == 1
    assert Lot.objects.get().remaining_millitokens == 980_000
