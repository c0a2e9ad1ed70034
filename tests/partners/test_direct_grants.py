"""Direct mode: a tenant's grant is a token that anybody can verify, and nobody can forge."""

from datetime import timedelta
from typing import Any

import jwt
import pytest
import time_machine
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from accounts import services as accounts
from accounts.models import ApiKey, Organisation, User
from marketplace.catalog.models import AIModel, Provider, Service
from marketplace.metering.models import Call
from marketplace.partners.models import DirectGrant, SigningKey
from marketplace.partners.services import rotate_signing_key
from portal.kernel.clock import utc_now
from tests.api.client import ApiClient
from tests.cast import make_key
from tests.partners.cast import make_live_service
from tests.partners.direct import GRANTS, JWKS, ask_grant, claims_of, hold
from tests.partners.money import balance_of


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


def test_a_policy_forbids_grants_and_holds_on_those_given_before(
    funded: Organisation, ada_api: ApiClient, rhine_api: ApiClient, grant: str,
    rhine_service: Service,
) -> None:  # fmt: skip
    before = balance_of(funded)
    Organisation.objects.filter(pk=funded.pk).update(policy={"regions": ["us-east"]})

    refusals = [ask_grant(ada_api, rhine_service), hold(rhine_api, grant)]

    for refused in refusals:
        assert (refused.status_code, refused.json()["code"]) == (403, "policy_violation")
        assert "allowed regions: us-east" in refused.json()["detail"]
    assert DirectGrant.objects.count() == 1
    assert not Call.objects.exists()
    assert balance_of(funded) == before


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
