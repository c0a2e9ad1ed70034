"""Direct mode: a provider's holds on a grant, within its ceiling, extended and released."""

from typing import Any

import pytest

from accounts.models import Organisation, User
from marketplace.catalog import services as catalog
from marketplace.catalog.models import Service
from marketplace.ledger import services as ledger
from marketplace.ledger import watch
from marketplace.ledger.models import Wallet
from marketplace.metering.models import Call
from portal.kernel.clock import utc_now
from portal.web.api_schema import get_document
from tests.api.client import ApiClient, codes
from tests.cast import make_key
from tests.partners.direct import HOLDS, MOST, ask_grant, hold
from tests.partners.money import balance_of, give_tokens


def test_a_hold_is_placed_once_per_key(
    funded: Organisation, grant: str, rhine_api: ApiClient
) -> None:
    first = hold(rhine_api, grant, idempotency_key="call-1")
    again = hold(rhine_api, grant, idempotency_key="call-1")
    other = hold(
        rhine_api, grant, idempotency_key="call-1", body={"max_quantities": {"prompt_tokens": 7}}
    )
    without = hold(rhine_api, grant, idempotency_key="")

    assert first.json() == again.json()
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert (without.status_code, codes(without)) == (400, {"Idempotency-Key": "required"})
    assert Call.objects.count() == 1
    assert balance_of(funded) == (10_000_000, 820_000)


@pytest.mark.parametrize(
    ("wish", "other"),
    [
        ({"amount": "100"}, {"amount": "101"}),
        ({"max_quantities": MOST}, {"max_quantities": MOST | {"completion_tokens": 999}}),
        ({"max_quantities": MOST}, {"max_quantities": MOST | {"prompt_tokens": 99}}),
    ],
)
def test_a_key_stands_for_one_wish_on_one_grant(
    funded: Organisation,
    grant: str,
    ada_api: ApiClient,
    rhine_api: ApiClient,
    rhine_service: Service,
    wish: dict[str, Any],
    other: dict[str, Any],
) -> None:
    second = ask_grant(ada_api, rhine_service).json()["token"]
    held = rhine_api.post(HOLDS, {"grant": grant} | wish, idempotency_key="call-1")
    before = balance_of(funded)

    for body in ({"grant": grant} | other, {"grant": second} | wish):
        refused = rhine_api.post(HOLDS, body, idempotency_key="call-1")
        assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_key_reused")

    assert held.status_code == 201
    assert Call.objects.count() == 1
    assert balance_of(funded) == before


@pytest.mark.parametrize("wish", [{"amount": "100"}, {"max_quantities": MOST}])
def test_a_hold_is_the_same_again_after_the_price_changed(
    funded: Organisation,
    grant: str,
    rhine_api: ApiClient,
    rhine_service: Service,
    wish: dict[str, Any],
) -> None:
    body = {"grant": grant} | wish
    first = rhine_api.post(HOLDS, body, idempotency_key="call-1")
    now = utc_now()
    catalog.add_price_version(
        service=rhine_service, input_millitokens=100, cached_input_millitokens=50,
        output_millitokens=700, effective_at=now, created_by=None, now=now,
    )  # fmt: skip
    again = rhine_api.post(HOLDS, body, idempotency_key="call-1")

    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert Call.objects.count() == 1
    captured = rhine_api.post(
        f"{HOLDS}/{first.json()['id']}/capture", {"quantities": {"prompt_tokens": 10}}
    )
    assert captured.json()["charged"] == "2"


def test_the_ceiling_of_a_grant_holds_over_all_its_holds(
    funded: Organisation, grant: str, rhine_api: ApiClient
) -> None:
    answers = [hold(rhine_api, grant, idempotency_key=f"c{n}") for n in range(3)]

    assert [answer.status_code for answer in answers] == [201, 201, 402]
    assert answers[2].json()["code"] == "grant_ceiling_exhausted"
    assert hold(rhine_api, grant, idempotency_key="c2").status_code == 402
    assert balance_of(funded) == (10_000_000, 1_640_000)
    # What is captured still counts, what is released does not.
    rhine_api.post(f"{HOLDS}/{answers[0].json()['id']}/release")
    assert hold(rhine_api, grant).status_code == 201


def test_a_wallet_that_cannot_pay_is_a_402(
    acme: Organisation, ada_api: ApiClient, rhine_service: Service, rhine_api: ApiClient
) -> None:
    give_tokens(acme, 819)
    token = ask_grant(ada_api, rhine_service).json()["token"]

    refused = hold(rhine_api, token)

    assert refused.status_code == 402
    assert refused.json()["code"] == "credit_balance_exhausted"
    assert acme.public_id not in refused.content.decode()
    assert balance_of(acme) == (819_000, 0)


def test_the_keys_own_cap_counts_too(
    funded: Organisation, ada: User, rhine_service: Service, rhine_api: ApiClient
) -> None:
    _key, text = make_key(funded, created_by=ada, cap_millitokens=500_000)
    token = ask_grant(ApiClient(text), rhine_service).json()["token"]

    assert hold(rhine_api, token).json()["code"] == "budget_exhausted"
    assert balance_of(funded) == (10_000_000, 0)


def test_a_frozen_wallet_holds_nothing_more(
    funded: Organisation, grant: str, rhine_api: ApiClient
) -> None:
    running = hold(rhine_api, grant).json()["id"]
    wallet = Wallet.objects.get(owner_key=funded.public_id)
    ledger.freeze_wallet(wallet_pk=wallet.pk, reason="finding:fnd_x", now=utc_now())

    refused = hold(rhine_api, grant)

    assert (refused.status_code, refused.json()["code"]) == (402, "wallet_frozen")
    assert "fnd_x" not in refused.content.decode()
    assert balance_of(funded) == (10_000_000, 820_000)
    used = {"quantities": {"prompt_tokens": 10}}
    assert rhine_api.post(f"{HOLDS}/{running}/capture", used).status_code == 200


def test_an_unguarded_ledger_holds_nothing(
    funded: Organisation, grant: str, rhine_api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_missing", ("ledger_entry_no_update",))

    refused = hold(rhine_api, grant)

    assert (refused.status_code, refused.json()["code"]) == (503, "ledger_unguarded")
    assert not Call.objects.exists()
    assert balance_of(funded) == (10_000_000, 0)
    assert "503" in get_document()["paths"][HOLDS]["post"]["responses"]


def test_an_amount_can_be_held_instead(
    funded: Organisation, grant: str, rhine_api: ApiClient
) -> None:
    body = {"grant": grant, "amount": "100.5"}
    both = rhine_api.post(HOLDS, body | {"max_quantities": MOST})
    neither = rhine_api.post(HOLDS, {"grant": grant})

    held = rhine_api.post(HOLDS, body)

    assert codes(both) == codes(neither) == {"": "one_of_two"}
    # 125 tokens of answer at 0.8.
    assert held.json()["amount"] == "100"
    captured = rhine_api.post(
        f"{HOLDS}/{held.json()['id']}/capture", {"quantities": {"prompt_tokens": 250}}
    )
    assert captured.json()["charged"] == "50"
    assert balance_of(funded) == (9_950_000, 0)


def test_releasing_gives_everything_back(
    funded: Organisation, grant: str, rhine_api: ApiClient
) -> None:
    public_id = hold(rhine_api, grant).json()["id"]

    first = rhine_api.post(f"{HOLDS}/{public_id}/release")
    again = rhine_api.post(f"{HOLDS}/{public_id}/release")
    late = rhine_api.post(f"{HOLDS}/{public_id}/capture", {"quantities": {"prompt_tokens": 1}})

    assert first.status_code == again.status_code == 200
    assert (late.status_code, late.json()["code"]) == (409, "hold_released")
    assert balance_of(funded) == (10_000_000, 0)
    assert Call.objects.get().status == "failed"


def test_a_captured_hold_is_not_released(
    funded: Organisation, grant: str, rhine_api: ApiClient
) -> None:
    public_id = hold(rhine_api, grant).json()["id"]
    rhine_api.post(f"{HOLDS}/{public_id}/capture", {"quantities": {"prompt_tokens": 10}})

    refused = rhine_api.post(f"{HOLDS}/{public_id}/release")

    assert (refused.status_code, refused.json()["code"]) == (409, "hold_captured")
    assert balance_of(funded) == (9_998_000, 0)


def test_a_hold_is_extended_once_per_key_and_within_the_ceiling(
    funded: Organisation, grant: str, rhine_api: ApiClient
) -> None:
    public_id = hold(rhine_api, grant).json()["id"]
    extend = f"{HOLDS}/{public_id}/extend"
    more = {"max_quantities": {"completion_tokens": 500}}

    first = rhine_api.post(extend, more, idempotency_key="e1")
    again = rhine_api.post(extend, more, idempotency_key="e1")
    beyond = rhine_api.post(extend, {"amount": "781"}, idempotency_key="e2")
    nothing = rhine_api.post(extend, {"amount": "0"})

    assert first.json()["amount"] == again.json()["amount"] == "1220"
    assert again["Idempotent-Replayed"] == "true"
    assert beyond.status_code == 402
    assert nothing.status_code == 400
    assert balance_of(funded) == (10_000_000, 1_220_000)
    assert rhine_api.post(extend, {"amount": "780"}).status_code == 200
    rhine_api.post(f"{HOLDS}/{public_id}/release")
    closed = rhine_api.post(extend, more)
    assert (closed.status_code, closed.json()["code"]) == (409, "hold_released")


def test_a_hold_is_its_providers_alone(
    funded: Organisation, grant: str, rhine_api: ApiClient, rival_api: ApiClient
) -> None:
    public_id = hold(rhine_api, grant).json()["id"]

    answers = [
        hold(rival_api, grant),
        rival_api.post(f"{HOLDS}/{public_id}/extend", {"amount": "1"}),
        rival_api.post(f"{HOLDS}/{public_id}/capture", {"quantities": {"prompt_tokens": 1}}),
        rival_api.post(f"{HOLDS}/{public_id}/release"),
        rhine_api.post(f"{HOLDS}/hld_{'0' * 26}/release"),
        rhine_api.post(f"{HOLDS}/nonsense/release"),
    ]

    assert {answer.status_code for answer in answers} == {404}
    assert Call.objects.get().status == "open"
    assert balance_of(funded) == (10_000_000, 820_000)


def test_a_hold_of_the_gateway_is_not_the_providers_to_capture(
    funded: Organisation, grant: str, rhine_api: ApiClient
) -> None:
    public_id = hold(rhine_api, grant).json()["id"]
    Call.objects.update(surface="gateway")

    refused = rhine_api.post(f"{HOLDS}/{public_id}/capture", {"quantities": {"prompt_tokens": 1}})

    assert refused.status_code == 404
    assert balance_of(funded) == (10_000_000, 820_000)


def test_a_hold_does_not_grow_after_its_key_ended(
    acme: Organisation, funded: Organisation, grant: str, rhine_api: ApiClient
) -> None:
    public_id = hold(rhine_api, grant).json()["id"]
    before = balance_of(funded)
    acme.api_keys.filter(kind="live").update(suspended_at=utc_now())

    refused = rhine_api.post(f"{HOLDS}/{public_id}/extend", {"amount": "1"})

    assert (refused.status_code, refused.json()["code"]) == (403, "grant_key_refused")
    assert balance_of(funded) == before
    used = {"quantities": {"prompt_tokens": 10}}
    assert rhine_api.post(f"{HOLDS}/{public_id}/capture", used).status_code == 200


def test_a_paused_service_holds_nothing(
    funded: Organisation, grant: str, rhine_service: Service, rhine_api: ApiClient
) -> None:
    catalog.pause_service(service=rhine_service, now=utc_now())

    refused = hold(rhine_api, grant)

    assert (refused.status_code, refused.json()["code"]) == (409, "service_not_live")
