"""A small REST client for tests: a key, JSON in, JSON out."""

from dataclasses import dataclass, field
from itertools import count
from typing import Any

from django.test import Client

_numbers = count(1)


@dataclass
class ApiClient:
    """Calls the API in this process with one key (or none)."""

    key: str = ""
    client: Client = field(default_factory=Client)

    def get(self, path: str, **query: Any) -> Any:
        return self.client.get(path, query, headers=self._headers())

    def post(self, path: str, body: Any = None, *, idempotency_key: str | None = None) -> Any:
        """With a fresh Idempotency-Key unless one is given ("" for none)."""
        wanted = f"test-{next(_numbers)}" if idempotency_key is None else idempotency_key
        return self.send("post", path, body, **({"Idempotency-Key": wanted} if wanted else {}))

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        sent: dict[str, Any] = {"content_type": "application/json"}
        if body is not None:
            sent["data"] = body
        request = getattr(self.client, method)
        return request(path, headers=self._headers() | headers, **sent)

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}


def codes(response: Any) -> dict[str, str]:
    """What a problem says is wrong, by place: {"/region": "invalid_choice"}."""
    places = ("pointer", "parameter", "header")
    return {
        next(error[place] for place in places if place in error): error["code"]
        for error in response.json().get("errors", [])
    }
