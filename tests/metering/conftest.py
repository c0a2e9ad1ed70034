from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from accounts import services as accounts
from accounts.models import ApiKey, Organisation
from accounts.services import AuthenticatedKey
from marketplace.catalog import selectors as catalog
from marketplace.catalog.models import Service
from marketplace.metering import services as metering
from marketplace.metering.models import Call
from portal.kernel.clock import utc_now
from tests.cast import make_key
from tests.market import give_tokens
from tests.partners.cast import make_live_service, make_model, make_provider

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Meter:
    """acme's calls of rhine's service, opened and closed at any time."""

    acme: Organisation
    key: ApiKey
    secret: str
    service: Service

    def authenticated(self, secret: str | None = None) -> AuthenticatedKey:
        key = accounts.authenticate_api_key(text=secret or self.secret, now=utc_now())
        assert key is not None
        return key

    def move_to(self, zone: str) -> None:
        Organisation.objects.filter(pk=self.acme.pk).update(timezone=zone)
        self.acme.refresh_from_db()

    def request(self, service: Service | None = None, **fields: Any) -> metering.OpenCall:
        service = service or self.service
        found = catalog.find_callable_services(service.handle, unit=service.unit, now=utc_now())
        fields.setdefault("key", None)
        key = fields.pop("key") or self.authenticated()
        return metering.OpenCall(
            key=key,
            service=found[0],
            operation=fields.pop("operation", "chat"),
            prompt_tokens=fields.pop("prompt_tokens", 100),
            completion_tokens=fields.pop("completion_tokens", 100),
            expires_at=fields.pop("expires_at", utc_now() + timedelta(minutes=10)),
            **fields,
        )

    def open(self, *, now: datetime | None = None, **fields: Any) -> metering.OpenedCall:
        now = now or utc_now()
        fields.setdefault("expires_at", now + timedelta(minutes=10))
        [result] = metering.open_calls([self.request(**fields)], now=now)
        assert result.call is not None, result
        return result.call

    def close(
        self, call: metering.OpenedCall, *, now: datetime | None = None, **fields: Any
    ) -> metering.CloseResult:
        fields = {
            "status": "succeeded", "prompt_tokens": 10, "completion_tokens": 5,
            "usage_source": "provider", "duration_ms": 300, **fields,
        }  # fmt: skip
        [result] = metering.close_calls(
            [metering.CloseCall(call=call, **fields)], now=now or utc_now()
        )
        return result

    def call(
        self, now: datetime, *, service: Service | None = None, key: Any = None, **fields: Any
    ) -> Call:
        """One whole call at this time; 10 and 5 tokens cost 6,000 millitokens."""
        opened = self.open(now=now, service=service, key=key)
        self.close(opened, now=now + timedelta(milliseconds=300), **fields)
        return Call.objects.get(public_id=opened.public_id)


@pytest.fixture
def meter(acme: Organisation) -> Meter:
    give_tokens(acme, now=BEGINNING)
    key, secret = make_key(acme)
    service = make_live_service(make_provider("Rhine"), make_model())
    return Meter(acme, key, secret, service)
