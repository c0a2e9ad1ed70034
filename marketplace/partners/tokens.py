"""A grant as a JWT: signed with Ed25519, verifiable by anybody with the published keys."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from jwt.algorithms import OKPAlgorithm

ALGORITHM = "EdDSA"
MAX_TOKEN_CHARACTERS = 4096
CLAIMS = ("iss", "aud", "sub", "jti", "iat", "nbf", "exp")


@dataclass(frozen=True, kw_only=True)
class GrantClaims:
    """What a grant says. ``subject`` is the tenant's pseudonym at this provider."""

    grant_id: str
    service_id: str
    subject: str
    ceiling: str
    unit: str
    issued_at: datetime
    expires_at: datetime


def new_key_pair(key_id: str) -> tuple[str, dict[str, str]]:
    """A private key (PEM) and its public half as a JWK."""
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
    jwk = json.loads(OKPAlgorithm.to_jwk(private.public_key()))
    return pem, {**jwk, "kid": key_id, "use": "sig", "alg": ALGORITHM}


def sign(claims: GrantClaims, *, key_id: str, private_pem: str) -> str:
    """The compact JWT that the tenant hands to the provider."""
    payload = {
        "iss": settings.SITE_URL,
        "aud": claims.service_id,
        "sub": claims.subject,
        "jti": claims.grant_id,
        "iat": int(claims.issued_at.timestamp()),
        "nbf": int(claims.issued_at.timestamp()),
        "exp": int(claims.expires_at.timestamp()),
        "ceiling": claims.ceiling,
        "unit": claims.unit,
    }
    return jwt.encode(
        payload, private_pem, algorithm=ALGORITHM, headers={"kid": key_id, "typ": "JWT"}
    )


def key_id_of(token: str) -> str:
    """Which key the token says it is signed with; "" when it is no token. Proves nothing."""
    if len(token) > MAX_TOKEN_CHARACTERS:
        return ""
    try:
        return str(jwt.get_unverified_header(token).get("kid", ""))
    except jwt.PyJWTError:
        return ""


def verify(token: str, *, public_jwk: dict[str, str]) -> dict[str, Any]:
    """The claims of a token of ours, expired or not: times are judged by the caller's clock.

    Raises ``jwt.PyJWTError`` for another signature, algorithm or issuer, or missing claims.
    """
    return jwt.decode(
        token,
        jwt.PyJWK(public_jwk, ALGORITHM).key,
        algorithms=[ALGORITHM],
        issuer=settings.SITE_URL,
        options={
            "require": list(CLAIMS),
            "verify_aud": False,
            "verify_exp": False,
            "verify_nbf": False,
            "verify_iat": False,
        },
    )
