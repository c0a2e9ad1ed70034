"""Providers list, price and submit their own services by REST."""

from datetime import timedelta
from typing import Any

import pytest

from accounts.models import AuditEvent, Membership, Organisation, RememberedAnswer
from marketplace.catalog import services as catalog
from marketplace.catalog.models import AIModel, PriceVersion, Provider, Service, ServiceReview
from portal.kernel.clock import utc_now
from tests.api.client import ApiClient, codes
from tests.cast import make_key, make_person

SERVICES = "/api/provider/v1/services"
DRAFT = {
    "model": "qwen/qwen3-8b",
    "region": "eu-central",
    "country": "DE",
    "endpoint_url": "https://inference.rhine.example/v1",
    "credential": "sk-secret",
    "prices": {"input": "0.2", "cached_input": "0.05", "output": "0.8"},
}


def at(service: Service | str, *more: str) -> str:
    public_id = service if isinstance(service, str) else service.public_id
    return "/".join([SERVICES, public_id, *more])


def test_a_draft_with_prices_is_submitted_approved_and_live(
    rhine: Provider, rhine_api: ApiClient, qwen: AIModel
) -> None:
    created = rhine_api.post(SERVICES, DRAFT)

    assert created.status_code == 201
    draft = created.json()
    assert draft["status"] == "draft"
    assert draft["handle"] == "qwen/qwen3-8b@rhine"
    assert draft["context_length"] == qwen.context_length
    assert draft["prices"]["prices"] == {
        "input": "0.2",
        "cached_input": "0.05",
        "output": "0.8",
        "request": "0",
    }
    assert draft["has_credential"] is True
    assert "sk-secret" not in created.content.decode()
    assert PriceVersion.objects.get().input_millitokens == 200

    submitted = rhine_api.post(at(draft["id"], "submit"))
    assert submitted.status_code == 201
    review = ServiceReview.objects.get(public_id=submitted.json()["id"])
    staff = make_person("staff@market.example", is_staff=True)
    catalog.decide_review(review=review, decision="approved", decided_by=staff, now=utc_now())

    live = rhine_api.get(at(draft["id"])).json()
    assert live["status"] == "live"
    assert live["review"] is None
    assert live["went_live_at"]
    actions = AuditEvent.objects.filter(organisation=rhine.organisation, action="service.created")
    assert actions.get().actor_id.startswith("key_")


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"region": "moon"}, {"/region": "invalid_choice"}),
        ({"country": "Germany"}, {"/country": "max_length"}),
        ({"country": "ZZ"}, {"/country": "listing_rejected"}),
        ({"model": "qwen/unknown"}, {"/model": "invalid"}),
        ({"endpoint_url": "http://10.0.0.1/v1"}, {"/endpoint_url": "listing_rejected"}),
        ({"context_length": 10**9}, {"/context_length": "listing_rejected"}),
        ({"context_length": "many"}, {"/context_length": "invalid"}),
        ({"context_length": True}, {"/context_length": "invalid"}),
        ({"supported_parameters": ["a", 1]}, {"/supported_parameters/1": "invalid"}),
        ({"prices": {"input": 0.2}}, None),
        ({"prices": {"input": "0.2001", "cached_input": "0"}}, {"/prices/input": "not_tokens"}),
        ({"prices": {"input": "-1", "cached_input": "0"}}, {"/prices/input": "not_tokens"}),
        ({"prices": {"input": "1e3", "cached_input": "0"}}, {"/prices/input": "not_tokens"}),
        ({"summary_en": "a\u202e" * 1200}, {"/summary_en": "max_length"}),
        ({"colour": "red"}, {"/colour": "unknown_member"}),
        ({"status": "live"}, {"/status": "unknown_member"}),
    ],
)
def test_wrong_input_is_named_and_nothing_is_written(
    rhine_api: ApiClient, qwen: AIModel, change: dict[str, Any], wrong: dict[str, str] | None
) -> None:
    response = rhine_api.post(SERVICES, DRAFT | change)

    assert response.status_code == 400
    if wrong is not None:
        assert codes(response) == wrong
    else:
        assert codes(response) == {"/prices/input": "not_text", "/prices/cached_input": "required"}
    assert not Service.objects.exists()
    assert not PriceVersion.objects.exists()
    assert not RememberedAnswer.objects.exists()


def test_prices_that_cannot_be_leave_no_draft_behind(rhine_api: ApiClient, qwen: AIModel) -> None:
    prices = {"input": "0.1", "cached_input": "0.2"}

    response = rhine_api.post(SERVICES, DRAFT | {"prices": prices})

    assert response.status_code == 400
    assert codes(response) == {"/prices/cached_input": "price_rejected"}
    assert not Service.objects.exists()


def test_another_providers_service_is_404_on_every_address(
    rhine_service: Service, rival_api: ApiClient
) -> None:
    before = Service.objects.values().get()
    terms = {"region": "us-east", "country": "US"}

    answers = [
        rival_api.get(at(rhine_service)),
        rival_api.send("put", at(rhine_service), terms),
        rival_api.send("patch", at(rhine_service), {"retains_prompts_days": 3}),
        rival_api.get(at(rhine_service, "prices")),
        rival_api.post(at(rhine_service, "prices"), {"prices": DRAFT["prices"]}),
        *(
            rival_api.post(at(rhine_service, move))
            for move in ("submit", "withdraw", "pause", "resume", "retire")
        ),
    ]

    assert {answer.status_code for answer in answers} == {404}
    assert {answer.json()["code"] for answer in answers} == {"service_not_found"}
    assert rival_api.get(SERVICES).json() == {"data": [], "next_cursor": None}
    assert Service.objects.values().get() == before
    assert PriceVersion.objects.count() == 1


def test_a_tenants_key_and_a_key_without_a_profile_do_not_open_it(
    acme: Organisation, rhine: Provider
) -> None:
    tenant = ApiClient(make_key(rhine.organisation)[1]).get(SERVICES)
    no_provider = ApiClient(make_key(acme, kind="provider")[1]).get(SERVICES)

    assert (tenant.status_code, tenant.json()["code"]) == (403, "scope_missing")
    assert (no_provider.status_code, no_provider.json()["code"]) == (403, "not_a_provider")


def test_a_live_services_reviewed_terms_wait_and_free_ones_do_not(
    rhine_service: Service, rhine_api: ApiClient
) -> None:
    change = {"retains_prompts_days": 30, "summary_en": "Faster now.", "tokens_per_minute": 9000}

    changed = rhine_api.send("patch", at(rhine_service), change)

    assert changed.status_code == 200
    assert changed.json()["status"] == "live"
    assert changed.json()["retains_prompts_days"] == 0
    assert changed.json()["summary_en"] == "Faster now."
    assert changed.json()["tokens_per_minute"] == 9000
    assert changed.json()["review"]["changed_fields"] == ["retains_prompts_days"]
    again = rhine_api.send("patch", at(rhine_service), {"region": "eu-west"})
    assert (again.status_code, again.json()["code"]) == (409, "under_review")
    withdrawn = rhine_api.post(at(rhine_service, "withdraw"))
    assert withdrawn.json()["review"] is None


def test_a_new_endpoint_wants_its_credential(rhine_service: Service, rhine_api: ApiClient) -> None:
    response = rhine_api.send(
        "patch", at(rhine_service), {"endpoint_url": "https://other.rhine.example/v1"}
    )

    assert response.status_code == 400
    assert codes(response) == {"/credential": "credential_needed"}
    rhine_service.refresh_from_db()
    assert rhine_service.endpoint_url == "https://inference.example.com/v1"
    assert not ServiceReview.objects.filter(decision="").exists()


def test_put_states_everything_anew_but_keeps_the_credential(
    rhine_api: ApiClient, qwen: AIModel
) -> None:
    draft = rhine_api.post(SERVICES, DRAFT | {"summary_en": "Old", "retains_prompts_days": 9})
    public_id = draft.json()["id"]

    replaced = rhine_api.send(
        "put",
        at(public_id),
        {
            "region": "us-east",
            "country": "US",
            "endpoint_url": "https://inference.rhine.example/v1",
        },
    )

    assert replaced.status_code == 200
    assert replaced.json()["region"] == "us-east"
    assert replaced.json()["summary_en"] == ""
    assert replaced.json()["retains_prompts_days"] == 0
    assert replaced.json()["has_credential"] is True


def test_a_price_rise_of_a_live_service_needs_notice(
    rhine_service: Service, rhine_api: ApiClient
) -> None:
    dearer = {"prices": {"input": "0.3", "cached_input": "0.05", "output": "0.8"}}
    later = (utc_now() + timedelta(days=60)).isoformat().replace("+00:00", "Z")

    at_once = rhine_api.post(at(rhine_service, "prices"), dearer)
    announced = rhine_api.post(at(rhine_service, "prices"), dearer | {"effective_at": later})

    assert at_once.status_code == 400
    assert at_once.json()["code"] == "price_rise_needs_notice"
    assert at_once.json()["earliest_at"]
    assert codes(at_once) == {"/effective_at": "price_rise_needs_notice"}
    assert announced.status_code == 201
    assert announced.json()["number"] == 2
    versions = rhine_api.get(at(rhine_service, "prices")).json()["data"]
    assert [version["number"] for version in versions] == [2, 1]
    assert rhine_api.get(at(rhine_service)).json()["prices"]["number"] == 1


@pytest.mark.parametrize(
    "moment",
    [
        "2026-10-01",
        "2026-10-01T10:00:00",
        "9999-12-31T23:59:59-12:00",
        "2026-13-01T00:00:00Z",
        5,
        None,
    ],
)
def test_a_time_is_written_in_full(
    rhine_service: Service, rhine_api: ApiClient, moment: object
) -> None:
    body = {"prices": DRAFT["prices"], "effective_at": moment}

    response = rhine_api.post(at(rhine_service, "prices"), body)

    assert response.status_code == 400
    assert set(codes(response)) == {"/effective_at"}
    assert PriceVersion.objects.count() == 1


def test_pause_resume_and_retire(rhine_service: Service, rhine_api: ApiClient) -> None:
    statuses = [
        (answer.status_code, answer.json().get("status"))
        for answer in (
            rhine_api.post(at(rhine_service, "resume")),
            rhine_api.post(at(rhine_service, "pause")),
            rhine_api.post(at(rhine_service, "pause")),
            rhine_api.post(at(rhine_service, "resume")),
            rhine_api.post(at(rhine_service, "retire")),
            rhine_api.post(at(rhine_service, "resume")),
        )
    ]

    assert statuses == [
        (409, 409),
        (200, "paused"),
        (409, 409),
        (200, "live"),
        (200, "retired"),
        (409, 409),
    ]


def test_lists_are_paged_by_cursor_without_gaps_or_repeats(
    rhine_api: ApiClient, qwen: AIModel, rival_api: ApiClient
) -> None:
    made = [rhine_api.post(SERVICES, DRAFT).json()["id"] for _n in range(5)]

    seen, cursor = [], None
    while True:
        page = rhine_api.get(SERVICES, limit=2, **({"cursor": cursor} if cursor else {})).json()
        seen += [service["id"] for service in page["data"]]
        if len(seen) == 2:  # what comes meanwhile moves nothing
            rhine_api.post(SERVICES, DRAFT)
        cursor = page["next_cursor"]
        if cursor is None:
            break

    assert seen == made[::-1]
    first = rhine_api.get(SERVICES, limit=2).json()["next_cursor"]
    tampered = rhine_api.get(SERVICES, cursor=first[:-2] + "AA")
    elsewhere = rhine_api.get(at(made[0], "prices"), cursor=first)
    assert codes(tampered) == codes(elsewhere) == {"cursor": "unknown_cursor"}


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ({"limit": "0"}, {"limit": "out_of_range"}),
        ({"limit": "201"}, {"limit": "out_of_range"}),
        ({"limit": "٣"}, {"limit": "out_of_range"}),
        ({"limit": ""}, {"limit": "out_of_range"}),
        ({"cursor": "\x00"}, {"cursor": "unknown_cursor"}),
        ({"cursor": "x" * 5000}, {"cursor": "unknown_cursor"}),
        ({"state": "live"}, {"state": "unknown_parameter"}),
    ],
)
def test_query_parameters_are_checked(
    rhine_api: ApiClient, query: dict[str, str], wrong: dict[str, str]
) -> None:
    response = rhine_api.get(SERVICES, **query)

    assert response.status_code == 400
    assert codes(response) == wrong


def test_the_list_costs_the_same_queries_for_one_and_many(
    rhine_api: ApiClient, qwen: AIModel, django_assert_max_num_queries: Any
) -> None:
    for _n in range(4):
        rhine_api.post(SERVICES, DRAFT)

    with django_assert_max_num_queries(8):
        assert len(rhine_api.get(SERVICES).json()["data"]) == 4


def test_a_maker_who_is_no_longer_an_owner_takes_the_keys_rights_along(
    rhine: Provider, rhine_api: ApiClient
) -> None:
    assert rhine_api.get(SERVICES).status_code == 200
    Membership.objects.filter(organisation=rhine.organisation).update(role="billing")

    refused = rhine_api.get(SERVICES)

    assert (refused.status_code, refused.json()["code"]) == (403, "role_missing")
