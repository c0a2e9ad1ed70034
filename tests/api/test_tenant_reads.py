"""What a tenant reads: wallet, lots, entries, calls, usage. Own things only, by role and unit."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from accounts.models import Organisation, User
from marketplace.catalog.models import Service
from marketplace.ledger import services as ledger
from marketplace.metering import services as metering
from marketplace.metering.models import Call
from portal.kernel.clock import utc_now
from tests.api.client import ApiClient, codes
from tests.cast import make_key
from tests.partners.money import give_tokens

READS = (
    "/api/v1/organisation",
    "/api/v1/wallet",
    "/api/v1/lots",
    "/api/v1/entries",
    "/api/v1/calls",
    "/api/v1/usage/daily?start_on=2026-11-01&end_on=2026-11-02",
    "/api/v1/budgets",
    "/api/v1/packs",
    "/api/v1/orders",
    "/api/v1/refunds",
    "/api/v1/documents",
    "/api/v1/statements",
)


def make_call(tenant: ApiClient, provider: ApiClient, service: Service, tokens: int = 100) -> str:
    """A direct call of so many prompt tokens at 0.2; its public id."""
    grant = tenant.post(
        "/api/v1/direct-grants", {"service": service.public_id, "ceiling": "100000"}
    ).json()["token"]
    most = {"prompt_tokens": tokens}
    held = provider.post("/api/provider/v1/holds", {"grant": grant, "max_quantities": most}).json()
    provider.post(f"/api/provider/v1/holds/{held['id']}/capture", {"quantities": most})
    return str(held["call"])


@pytest.fixture
def funded(acme: Organisation) -> Organisation:
    give_tokens(acme, 10_000)
    return acme


def test_the_wallet_shows_balances_by_unit(
    funded: Organisation, ada_api: ApiClient, rhine_api: ApiClient, rhine_service: Service
) -> None:
    make_call(ada_api, rhine_api, rhine_service, tokens=17)

    live, test = ada_api.get("/api/v1/wallet").json()["balances"]

    assert live == {
        "unit": "live",
        "posted_tokens": "9996.6",
        "held_tokens": "0",
        "spendable_tokens": "9996.6",
        "frozen": False,
    }
    assert (test["unit"], test["posted_tokens"]) == ("test", "0")


def test_lots_come_in_burn_order_over_several_pages(acme: Organisation, ada_api: ApiClient) -> None:
    now = utc_now()
    wanted = [
        ("service:svc_1", "grant", None),
        ("", "bonus", now + timedelta(days=5)),
        ("", "paid", now + timedelta(days=5)),
        ("", "paid", now + timedelta(days=9)),
        ("", "bonus", None),
        ("", "grant", None),
        ("", "paid", None),
    ]
    for number, (scope, kind, expires_at) in reversed(list(enumerate(wanted))):
        ledger.grant_lot(
            owner_key=acme.public_id,
            unit="live",
            reference=f"lot-{number}",
            kind=kind,
            face_millitokens=1000 + number,
            debits=[("promotion", "operator", 1000 + number)],
            scope=scope,
            expires_at=expires_at,
            now=now,
        )

    seen: list[str] = []
    cursor = None
    while True:
        page = ada_api.get("/api/v1/lots", limit=2, **({"cursor": cursor} if cursor else {})).json()
        seen += [lot["reference"] for lot in page["data"]]
        cursor = page["next_cursor"]
        if not cursor:
            break

    # Bonus and grant burn alike (before paid): the older first.
    assert seen == ["lot-0", "lot-1", "lot-2", "lot-3", "lot-5", "lot-4", "lot-6"]


def test_entries_are_signed_and_chain_to_the_balance(
    funded: Organisation, ada_api: ApiClient, rhine_api: ApiClient, rhine_service: Service
) -> None:
    call = make_call(ada_api, rhine_api, rhine_service)

    entries = ada_api.get("/api/v1/entries").json()["data"]

    assert [e["sequence"] for e in entries] == [3, 2, 1]
    assert {e["reference"] for e in entries[:2]} == {f"call:{call}"}
    assert sum(float(e["amount_tokens"]) for e in entries[:2]) == -20
    assert entries[2]["amount_tokens"] == "10000"
    assert entries[0]["balance_after_tokens"] == "9980"
    assert ada_api.get("/api/v1/entries", unit="test").json()["data"] == []
    assert ada_api.get("/api/v1/entries", scope="modality:chat").json()["data"] == []


def test_calls_are_filtered_and_paged(
    funded: Organisation, ada_api: ApiClient, rhine_api: ApiClient, rhine_service: Service
) -> None:
    # Later than the services' first prices, whenever this runs.
    start = datetime(2060, 11, 3, 10, tzinfo=UTC)
    made = []
    for hour in range(4):
        with time_machine.travel(start + timedelta(hours=hour), tick=False):
            made.append(make_call(ada_api, rhine_api, rhine_service))

    def ids(**query: Any) -> list[str]:
        return [call["id"] for call in ada_api.get("/api/v1/calls", **query).json()["data"]]

    assert ids() == made[::-1]
    assert ids(**{"from": "2060-11-03T11:00:00Z", "to": "2060-11-03T13:00:00Z"}) == made[2:0:-1]
    assert ids(**{"from": "2060-11-03T13:00:00+01:00"}) == made[:1:-1]
    assert ids(service=rhine_service.public_id) == made[::-1]
    assert ids(service="svc_" + "0" * 26) == []
    assert ids(key=Call.objects.first().api_key.public_id) == made[::-1]  # type: ignore[union-attr]
    assert ids(status="failed") == []
    assert ids(unit="test") == []
    page = ada_api.get("/api/v1/calls", limit=3).json()
    rest = ada_api.get("/api/v1/calls", limit=3, cursor=page["next_cursor"]).json()
    assert [c["id"] for c in [*page["data"], *rest["data"]]] == made[::-1]
    assert rest["next_cursor"] is None


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ({"from": "yesterday"}, {"from": "not_moment"}),
        ({"from": "0001-01-01T00:00:00+14:00"}, {"from": "not_moment"}),
        ({"status": "open\x00"}, {"status": "invalid_choice"}),
        ({"status": "paid"}, {"status": "invalid_choice"}),
        ({"key": "\x00"}, {"key": "null_characters_not_allowed"}),
        ({"key": "k" * 41}, {"key": "max_length"}),
        ({"since": "2026-11-01"}, {"since": "unknown_parameter"}),
        ({"limit": "-1"}, {"limit": "out_of_range"}),
    ],
)
def test_wrong_filters_are_named(
    ada_api: ApiClient, query: dict[str, str], wrong: dict[str, str]
) -> None:
    response = ada_api.get("/api/v1/calls", **query)

    assert (response.status_code, codes(response)) == (400, wrong)


def test_usage_is_summed_by_day_in_the_organisations_time_zone(
    funded: Organisation, ada_api: ApiClient, rhine_api: ApiClient, rhine_service: Service
) -> None:
    Organisation.objects.filter(pk=funded.pk).update(timezone="Asia/Kolkata")
    # 18:45 UTC is a quarter past midnight of the next day in Kolkata.
    for minute in (15, 45):
        moment = datetime(2060, 11, 3, 18, minute, tzinfo=UTC)
        with time_machine.travel(moment, tick=False):
            make_call(ada_api, rhine_api, rhine_service)
    metering.roll_up_usage(now=utc_now())

    usage = ada_api.get("/api/v1/usage/daily", start_on="2060-11-01", end_on="2060-11-04").json()

    assert usage["timezone"] == "Asia/Kolkata"
    assert [
        (row["day"], row["group"], row["calls"], row["cost_tokens"]) for row in usage["data"]
    ] == [
        ("2060-11-03", rhine_service.public_id, 1, "20"),
        ("2060-11-04", rhine_service.public_id, 1, "20"),
    ]
    by_status = ada_api.get(
        "/api/v1/usage/daily", start_on="2060-11-04", end_on="2060-11-04", group_by="status"
    ).json()
    assert [(row["group"], row["prompt_tokens"]) for row in by_status["data"]] == [
        ("succeeded", 100)
    ]


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ({}, {"start_on", "end_on"}),
        ({"start_on": "2026-11-02", "end_on": "2026-11-01"}, {"end_on"}),
        ({"start_on": "2026-01-01", "end_on": "2027-01-02"}, {"end_on"}),
        ({"start_on": "20261101", "end_on": "2026-W45-1"}, {"start_on", "end_on"}),
        ({"start_on": "2026-02-30", "end_on": "2026-03-01"}, {"start_on"}),
        ({"start_on": "2026-11-01", "end_on": "2026-11-01", "group_by": "colour"}, {"group_by"}),
        ({"start_on": "2026-11-01", "end_on": "2026-11-01", "days": "1"}, {"days"}),
    ],
)
def test_wrong_days_are_named(ada_api: ApiClient, query: dict[str, str], wrong: set[str]) -> None:
    response = ada_api.get("/api/v1/usage/daily", **query)

    assert (response.status_code, set(codes(response))) == (400, wrong)


def test_a_members_key_reads_that_members_usage_and_no_money(
    funded: Organisation,
    ada_api: ApiClient,
    bill_api: ApiClient,
    mia_api: ApiClient,
    mia: User,
    rhine_api: ApiClient,
    rhine_service: Service,
) -> None:
    hers = make_call(mia_api, rhine_api, rhine_service)
    others = make_call(ada_api, rhine_api, rhine_service)
    metering.roll_up_usage(now=utc_now())
    today = utc_now().date().isoformat()
    days = {"start_on": today, "end_on": today, "group_by": "member"}

    assert [c["id"] for c in mia_api.get("/api/v1/calls").json()["data"]] == [hers]
    assert mia_api.get(f"/api/v1/calls/{others}").status_code == 404
    assert [row["group"] for row in mia_api.get("/api/v1/usage/daily", **days).json()["data"]] == [
        mia.public_id
    ]
    assert mia_api.get("/api/v1/wallet").status_code == 200
    for path in ("lots", "entries", "orders", "refunds", "documents", "statements"):
        refused = mia_api.get(f"/api/v1/{path}")
        assert (refused.status_code, refused.json()["code"]) == (403, "role_missing")
        assert bill_api.get(f"/api/v1/{path}").status_code == 200
    assert len(bill_api.get("/api/v1/calls").json()["data"]) == 2
    assert len(bill_api.get("/api/v1/usage/daily", **days).json()["data"]) == 2


def test_a_test_key_reads_test_tokens_only(
    funded: Organisation,
    ada: User,
    ada_api: ApiClient,
    rhine_api: ApiClient,
    rhine_service: Service,
) -> None:
    call = make_call(ada_api, rhine_api, rhine_service)
    test_api = ApiClient(make_key(funded, created_by=ada, kind="test")[1])

    assert [b["unit"] for b in test_api.get("/api/v1/wallet").json()["balances"]] == ["test"]
    assert test_api.get("/api/v1/calls").json()["data"] == []
    assert test_api.get("/api/v1/calls", unit="live").json()["data"] == []
    assert test_api.get(f"/api/v1/calls/{call}").status_code == 404
    assert test_api.get("/api/v1/entries", unit="live").status_code == 403
    assert test_api.get("/api/v1/lots", unit="live").status_code == 403


def test_every_read_is_the_tenants_own(
    funded: Organisation,
    ada_api: ApiClient,
    gus_api: ApiClient,
    rhine_api: ApiClient,
    rhine_service: Service,
) -> None:
    call = make_call(ada_api, rhine_api, rhine_service)
    metering.roll_up_usage(now=utc_now())

    for path in READS:
        mine = ada_api.client.get(path, headers={"Authorization": f"Bearer {ada_api.key}"})
        theirs = gus_api.client.get(path, headers={"Authorization": f"Bearer {gus_api.key}"})
        assert mine.status_code == theirs.status_code == 200
        for secret in (funded.public_id, funded.name, call, "9980"):
            assert secret not in theirs.content.decode()
    assert gus_api.get(f"/api/v1/calls/{call}").status_code == 404
    assert ada_api.get(f"/api/v1/calls/{call}").status_code == 200


def test_lists_cost_the_same_queries_however_long(
    funded: Organisation,
    ada_api: ApiClient,
    rhine_api: ApiClient,
    rhine_service: Service,
    django_assert_max_num_queries: Any,
) -> None:
    for _number in range(5):
        make_call(ada_api, rhine_api, rhine_service)

    for path, most in (("calls", 4), ("entries", 4), ("lots", 4), ("orders", 5)):
        ada_api.get(f"/api/v1/{path}")  # the key's last use is noted once a minute
        with django_assert_max_num_queries(most):
            assert ada_api.get(f"/api/v1/{path}").status_code == 200
    with django_assert_max_num_queries(5):
        rhine_api.get("/api/provider/v1/calls")


def test_providers_see_calls_by_pseudonym_and_their_earnings(
    funded: Organisation,
    globex: Organisation,
    ada_api: ApiClient,
    gus_api: ApiClient,
    rhine_api: ApiClient,
    rival_api: ApiClient,
    rhine_service: Service,
) -> None:
    give_tokens(globex, 100)
    for client in (ada_api, ada_api, gus_api):
        make_call(client, rhine_api, rhine_service)
    metering.roll_up_usage(now=utc_now())
    today = utc_now().date().isoformat()

    answer = rhine_api.get("/api/provider/v1/calls")
    earnings = rhine_api.get("/api/provider/v1/earnings", start_on=today, end_on=today).json()

    customers = [call["customer"] for call in answer.json()["data"]]
    assert customers[1] == customers[2] != customers[0]
    for secret in (funded.public_id, funded.name, "ada@", "key_"):
        assert secret not in answer.content.decode()
    assert earnings["payable_tokens"] == earnings["earned_tokens"] == "54"
    assert earnings["services"][0]["days"] == [{"day": today, "earned_tokens": "54"}]
    assert rival_api.get("/api/provider/v1/calls").json()["data"] == []
    strangers = rival_api.get("/api/provider/v1/earnings", start_on=today, end_on=today).json()
    assert (strangers["payable_tokens"], strangers["services"]) == ("0", [])
