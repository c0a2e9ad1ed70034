"""Direct mode by hand: where it answers, and what tenants and providers ask of it."""

from typing import Any

import jwt

from marketplace.catalog.models import Service
from tests.api.client import ApiClient

GRANTS = "/api/v1/direct-grants"
HOLDS = "/api/provider/v1/holds"
JWKS = "/.well-known/tokenworks/jwks.json"
# At 0.2 in, 0.05 cached, 0.8 out: 100 × 0.2 + 1,000 × 0.8 = 820 tokens.
MOST = {"prompt_tokens": 100, "completion_tokens": 1000}


def ask_grant(client: ApiClient, service: Service, ceiling: str = "2000", **more: Any) -> Any:
    return client.post(GRANTS, {"service": service.public_id, "ceiling": ceiling, **more})


def claims_of(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


def hold(client: ApiClient, grant: str, **more: Any) -> Any:
    body = {"grant": grant, "max_quantities": MOST} | more.pop("body", {})
    return client.post(HOLDS, body, **more)
