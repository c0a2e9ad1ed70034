"""Direct mode: a tenant's grant, the provider's holds on it, and what is charged in the end."""

from datetime import timedelta
from typing import Any

import jwt
import pytest
import time_machine
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from accounts import services as accounts
from accounts.models import ApiKey, Organisation, User
from marketplace.catalog import services as catalog
from marketplace.catalog.models import AIModel, Provider, Service
from marketplace.ledger import selectors as ledger
from marketplace.metering import services as metering
from marketplace.metering.models import Call, UsageCharge, UsageEvent
from marketplace.partners.models import CappedReport, DirectGrant, SigningKey
from marketplace.partners.services import rotate_signing_key
from portal.kernel.clock import utc_now
from tests.api.client import ApiClient, codes
from tests.cast import make_key
from tests.partners.cast import make_live_service
from tests.partners.money import balance_of, give_tokens

GRANTS = "/api/v1/direct-grants"
HOLDS = "/api/provider/v1/holds"
JWKS = "/.well-known/tokenworks/jwks.json"
# At 0.2 in, 0.05 cached, 0.8 out: 100 × 0.2 + 1,000 × 0.8 = 820 tokens.
MOST = {"prompt_tokens": 100, "completion_tokens": 1000}


@pytest.fixture
def funded(acme: Organisation) -> Organisation:
    """Acme with 10,000 tokens."""
    give_tokens(acme, 10_000)
    return acme


def ask_grant(client: ApiClient, service: Service, ceiling: str = "2000", **more: Any) -> Any:
    return client.post(GRANTS, {"service": service.public_id, "ceiling": ceiling, **more})


@pytest.fixture
def grant(funded: Organisation, ada_api: ApiClient, rhine_service: Service) -> str:
    """A grant's token of acme for rhine's service, up to 2,000 tokens."""
    response = ask_grant(ada_api, rhine_service)
    assert response.status_code == 201
    return str(response.json()["token"])


def claims_of(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


def hold(client: ApiClient, grant: str, **more: Any) -> Any:
    body = {"grant": grant, "max_quantities": MOST} | more.pop("body", {})
    return client.post(HOLDS, body, **more)


def test_a_grant_is_a_token_that_anybody_can_verify(
    funded: Organisation, ada_api: ApiClient, rhine_service: Service
) -> None:
    answer = ask_grant(ada_api, rhine_service, lifetime_seconds=60).json()
    keys = jwt.PyJWKSet.from_dict(ApiClient().get(JWKS).json())
    key = keys[jwt.get_unverified_header(answer["token"])["kid"]]

    claims = jwt.decode(
        answer["token"], key, algorithms=["EdDSA"], audience=rhine_service.public_id
    )

    assert claims["jti"] == answer["id"]
    assert claims["exp"] - claims["iat"] == 60
    assert claims["ceiling"] == "2000"
    assert claims["sub"].startswith("tnt_")
    assert funded.public_id not in str(claims)
    assert "d" not in ApiClient().get(JWKS).json()["keys"][0]
    assert balance_of(funded) == (10_000_000, 0)


def test_a_pseudonym_is_one_per_provider(
    funded: Organisation, ada_api: ApiClient, rhine_service: Service, rival: Provider, qwen: AIModel
) -> None:
    other = make_live_service(rival, qwen)

    subjects = [
        jwt.decode(
            ask_grant(ada_api, service).json()["token"], options={"verify_signature": False}
        )["sub"]
        for service in (rhine_service, rhine_service, other)
    ]

    assert subjects[0] == subjects[1] != subjects[2]


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


@pytest.mark.parametrize("change", ["suspend_api_key", "revoke_api_key"])
def test_a_grant_ends_with_its_key(
    funded: Organisation, grant: str, rhine_api: ApiClient, change: str
) -> None:
    key = ApiKey.objects.get(organisation=funded)
    getattr(accounts, change)(key=key, actor=accounts.SYSTEM_ACTOR, now=utc_now())

    refused = hold(rhine_api, grant)

    assert (refused.status_code, refused.json()["code"]) == (403, "grant_key_refused")
    assert balance_of(funded) == (10_000_000, 0)


def test_a_grant_ends_when_the_keys_holder_is_out(
    funded: Organisation, grant: str, rhine_api: ApiClient
) -> None:
    holder = ApiKey.objects.get(organisation=funded).created_by
    User.objects.filter(pk=holder.pk).update(is_active=False)

    refused = hold(rhine_api, grant)

    assert (refused.status_code, refused.json()["code"]) == (403, "grant_key_refused")
    assert balance_of(funded) == (10_000_000, 0)


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


def forged(token: str, **claims: Any) -> str:
    """The token's content, changed, under another key."""
    header = jwt.get_unverified_header(token)
    key = Ed25519PrivateKey.generate()
    return jwt.encode(claims_of(token) | claims, key, algorithm="EdDSA", headers=header)


def test_forged_tokens_hold_nothing(funded: Organisation, grant: str, rhine_api: ApiClient) -> None:
    header, payload, signature = grant.split(".")
    claims = claims_of(grant)
    kid = jwt.get_unverified_header(grant)["kid"]
    public = SigningKey.objects.get().public_jwk["x"]
    forgeries = [
        "",
        "nonsense",
        "a.b.c",
        forged(grant, ceiling="1000000"),
        f"{header}.{payload}.",
        f"{header}.{payload}.{signature[:-4]}AAAA",
        jwt.encode(claims, "", algorithm="none", headers={"kid": kid}),
        jwt.encode(claims, public * 2, algorithm="HS256", headers={"kid": kid}),
        jwt.encode(claims, "x" * 40, algorithm="HS256", headers={"kid": "sig_" + "0" * 26}),
        "x" * 5000,
    ]

    answers = [hold(rhine_api, token) for token in forgeries]

    assert {answer.status_code for answer in answers} == {400}
    assert not Call.objects.exists()
    assert balance_of(funded) == (10_000_000, 0)


def test_after_a_rotation_old_grants_live_on_and_new_ones_use_the_new_key(
    funded: Organisation,
    grant: str,
    ada_api: ApiClient,
    rhine_service: Service,
    rhine_api: ApiClient,
) -> None:
    rotate_signing_key(now=utc_now())
    fresh = ask_grant(ada_api, rhine_service).json()["token"]

    kids = {key["kid"] for key in ApiClient().get(JWKS).json()["keys"]}

    assert {jwt.get_unverified_header(token)["kid"] for token in (grant, fresh)} == kids
    assert hold(rhine_api, grant).status_code == hold(rhine_api, fresh).status_code == 201
    with time_machine.travel(utc_now() + timedelta(hours=1), tick=False):
        assert len(ApiClient().get(JWKS).json()["keys"]) == 1


def test_a_private_key_is_kept_as_ciphertext(grant: str) -> None:
    stored = SigningKey.objects.extra(select={"raw": "private_pem || ''"}).get().raw

    assert "PRIVATE KEY" not in stored


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"ceiling": "0"}, 400, "grant_rejected"),
        ({"ceiling": "-1"}, 400, "invalid_input"),
        ({"ceiling": 1000}, 400, "invalid_input"),
        ({"ceiling": "1e3"}, 400, "invalid_input"),
        ({"ceiling": "9999999999999999"}, 400, "invalid_input"),
        ({"lifetime_seconds": 901}, 400, "invalid_input"),
        ({"lifetime_seconds": 29}, 400, "invalid_input"),
        ({"service": "qwen/unknown@nobody"}, 404, "service_not_found"),
        ({"service": ""}, 400, "invalid_input"),
    ],
)
def test_a_grant_that_cannot_be_is_refused(
    funded: Organisation,
    ada_api: ApiClient,
    rhine_service: Service,
    body: dict[str, Any],
    status: int,
    code: str,
) -> None:
    response = ada_api.post(GRANTS, {"service": rhine_service.public_id, "ceiling": "10"} | body)

    assert (response.status_code, response.json()["code"]) == (status, code)
    assert not DirectGrant.objects.exists()


def test_a_grant_respects_what_the_key_may_call(
    funded: Organisation, ada: User, rhine_service: Service, rival: Provider, qwen: AIModel
) -> None:
    other = make_live_service(rival, qwen)
    _key, text = make_key(funded, created_by=ada, allowed_services=[other.public_id])
    _test_key, test_text = make_key(funded, created_by=ada, kind="test")
    _reader, reader_text = make_key(funded, created_by=ada, scopes=["read"])

    refused = ask_grant(ApiClient(text), rhine_service)

    assert (refused.status_code, refused.json()["code"]) == (403, "service_not_allowed")
    assert ask_grant(ApiClient(text), other).status_code == 201
    assert ask_grant(ApiClient(test_text), rhine_service).status_code == 404
    assert ask_grant(ApiClient(reader_text), rhine_service).status_code == 403


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
