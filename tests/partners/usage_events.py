"""Usage events by hand: holds to report of, events, and what is answered."""

from typing import Any

from marketplace.catalog.models import Service
from portal.kernel.clock import utc_now
from tests.api.client import ApiClient

EVENTS = "/api/provider/v1/usage-events"
BATCH_TYPE = "application/cloudevents-batch+json"


def place_holds(
    tenant: ApiClient, provider: ApiClient, service: Service, count: int = 1, tokens: int = 100
) -> list[str]:
    """So many holds of 0.2 × tokens each."""
    grant = tenant.post(
        "/api/v1/direct-grants", {"service": service.public_id, "ceiling": "1000000"}
    ).json()["token"]
    body = {"grant": grant, "max_quantities": {"prompt_tokens": tokens}}
    return [provider.post("/api/provider/v1/holds", body).json()["id"] for _number in range(count)]


def event(hold: str, event_id: str, prompt_tokens: int = 50, **changes: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": "https://inference.rhine.example",
        "type": "tokenworks.usage.v1",
        "subject": hold,
        "time": utc_now().isoformat().replace("+00:00", "Z"),
        "data": {"prompt_tokens": prompt_tokens},
    } | changes


def report(client: ApiClient, events: list[Any]) -> list[dict[str, Any]]:
    response = client.post(EVENTS, events)
    assert response.status_code == 200, response.content
    answers: list[dict[str, Any]] = response.json()["results"]
    return answers


def outcomes(answers: list[dict[str, Any]]) -> list[str]:
    return [answer["code"] or answer["outcome"] for answer in answers]
