"""Budgets by REST: as owners and billing make them, and as members see them."""

from typing import Any

import pytest

from accounts.models import Organisation, User
from marketplace.catalog.models import Service
from marketplace.metering.models import Budget
from tests.api.client import ApiClient, codes
from tests.cast import make_key
from tests.market import make_budget, make_call
from tests.partners.money import give_tokens

BUDGETS = "/api/v1/budgets"
WISH = {"period": "month", "max_tokens": "5000.5", "alert_percentages": [100, 50, 50]}


def test_a_budget_is_made_once_changed_and_archived(
    acme: Organisation, bill_api: ApiClient, mia: User, rhine_service: Service
) -> None:
    made = bill_api.post(BUDGETS, WISH | {"member": mia.public_id}, idempotency_key="b-1")
    again = bill_api.post(BUDGETS, WISH | {"member": mia.public_id}, idempotency_key="b-1")
    assert made.status_code == again.status_code == 201
    budget = made.json()
    assert again.json() == budget
    assert budget | {"id": 0, "starts_at": 0, "ends_at": 0, "created_at": 0} == {
        "id": 0, "subject": "member", "member": mia.public_id, "unit": "live", "period": "month",
        "max_tokens": "5000.5", "alert_percentages": [50, 100], "spent_tokens": "0",
        "held_tokens": "0", "starts_at": 0, "ends_at": 0, "created_at": 0, "archived_at": None,
    }  # fmt: skip
    give_tokens(acme, 5000)
    make_call(make_key(acme, created_by=mia)[1], rhine_service)
    address = f"{BUDGETS}/{budget['id']}"
    assert bill_api.get(address).json()["spent_tokens"] == "60"

    changed = bill_api.send("patch", address, {"max_tokens": "7"}).json()
    assert (changed["max_tokens"], changed["alert_percentages"]) == ("7", [50, 100])
    changed = bill_api.send("patch", address, {"alert_percentages": []}).json()
    assert (changed["max_tokens"], changed["alert_percentages"]) == ("7", [])
    other = bill_api.post(BUDGETS, WISH | {"member": mia.public_id})
    assert (other.status_code, other.json()["code"]) == (409, "budget_exists")
    for _twice in range(2):
        assert bill_api.post(f"{address}/archive").json()["archived_at"] is not None
    assert bill_api.get(BUDGETS).json() == {"data": []}
    refused = bill_api.send("patch", address, {"max_tokens": "8"})
    assert (refused.status_code, refused.json()["code"]) == (409, "budget_archived")
    assert bill_api.get(address).json()["max_tokens"] == "7"


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"max_tokens": 5000}, "/max_tokens"), ({"max_tokens": "0"}, "/max_tokens"),
        ({"max_tokens": None}, "/max_tokens"), ({"period": "year"}, "/period"),
        ({"unit": "gold"}, "/unit"), ({"member": "usr_nobody"}, "/member"),
        ({"alert_percentages": [0]}, "/alert_percentages/0"),
        ({"alert_percentages": ["50"]}, "/alert_percentages/0"),
        ({"alert_percentages": list(range(1, 12))}, "/alert_percentages"),
        ({"key": "key_x"}, "/key"),
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_is_named(
    acme: Organisation, ada_api: ApiClient, wrong: dict[str, Any], where: str
) -> None:
    answer = ada_api.post(BUDGETS, WISH | wrong)
    assert answer.status_code == 400
    assert set(codes(answer)) == {where}
    assert not Budget.objects.exists()


def test_keys_see_what_their_makers_may(
    acme: Organisation, ada: User, mia: User, ada_api: ApiClient, mia_api: ApiClient,
    gus_api: ApiClient,
) -> None:  # fmt: skip
    for_all = make_budget(acme, 10**6)
    of_ada = make_budget(acme, 10**6, member=ada)
    of_mia = make_budget(acme, 10**6, member=mia)
    of_test = make_budget(acme, 10**6, unit="test")
    test_key = ApiClient(make_key(acme, created_by=ada, kind="test")[1])
    seen = [
        {row["id"] for row in client.get(BUDGETS).json()["data"]}
        for client in (ada_api, mia_api, test_key, gus_api)
    ]
    everything = {b.public_id for b in (for_all, of_ada, of_mia, of_test)}
    assert seen == [
        everything, everything - {of_ada.public_id}, {of_test.public_id}, set(),
    ]  # fmt: skip
    assert mia_api.get(f"{BUDGETS}/{of_ada.public_id}").status_code == 404
    assert test_key.get(f"{BUDGETS}/{for_all.public_id}").status_code == 404
    assert mia_api.send("patch", f"{BUDGETS}/{of_mia.public_id}", {}).status_code == 403
